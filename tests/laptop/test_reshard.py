"""The deployed app while its stream is split and merged again, under its own policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from laptop.clock import Clock
from laptop.cloud import Cloud
from laptop.run import Progress, Run, Traffic
from laptop.run_folder import RunFolder
from pipelines import discovery
from pipelines.traffic import Sent, iso, json_line
from sql.lake import Lake

START = 1_767_261_600.0  # 2026-01-01 10:00 UTC
SECONDS, SPLIT, MERGE = 240, 80, 150
SENSORS = [f"sensor-{number}" for number in range(1, 7)]
# A spell that begins in the first shard and ends in one of its children, one that ends in the merged shard,
# one that the children see alone, and one that the merged shard sees alone.
SPELLS = {"sensor-1": (60, 100), "sensor-2": (70, 170), "sensor-3": (90, 120), "sensor-4": (160, 200)}
FIRST, SECOND, THIRD, FOURTH = (f"shardId-{number:012}" for number in range(4))


def readings() -> Iterator[tuple[str, Sent]]:
    """A reading a second of each sensor."""
    for second in range(SECONDS):
        for sensor in SENSORS:
            begins, ends = SPELLS.get(sensor, (0, 0))
            at = START + second
            temperature = 40.0 if begins <= second < ends else 20.0
            values = {"sensor_id": sensor, "temperature": temperature, "timestamp": iso(at)}
            yield "temperature", Sent(at + 0.1, json_line(values), sensor)


@pytest.mark.semantics(line=6, clause="each")
def test_nobody_notices_a_split_and_a_merge(
    cdk_out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr("laptop.run.QUIET", 300.0)  # long enough for all incidents to be over
    folder = RunFolder.new(tmp_path)
    with Cloud(Clock(START)) as cloud:
        cloud.deploy(cdk_out)
        with closing(Run(cloud, folder, Progress())) as run:
            kinesis, stream = cloud.client("kinesis"), run.stream_of("temperature")
            reshards: dict[int, Callable[[], object]] = {
                SPLIT: lambda: kinesis.split_shard(
                    StreamName=stream, ShardToSplit=FIRST, NewStartingHashKey=str(2**127)
                ),
                MERGE: lambda: kinesis.merge_shards(
                    StreamName=stream, ShardToMerge=SECOND, AdjacentShardToMerge=THIRD
                ),
            }

            def sent() -> Iterator[tuple[str, Sent]]:
                for each in readings():
                    for second in [one for one in reshards if each[1].at >= START + one]:
                        reshards.pop(second)()
                    yield each

            # when
            run.play(Traffic(sent=sent(), start=START, seconds=SECONDS, step=5))
            run.keep()
            troubles = run.troubles()
    # then
    lake = Lake(folder.path)
    assert not troubles["temperature"].total()
    table = discovery.load("temperature").table
    rows = lake.query(f"select shard_id, sensor_id, measured_at from {table}").rows  # noqa: S608 - our own
    assert len(rows) == len(set(rows)) == SECONDS * len(SENSORS)
    assert Counter(shard_id for shard_id, *_ in rows).keys() == {FIRST, SECOND, THIRD, FOURTH}
    changes = lake.query("select key, state, incident_id from incident_changes").rows
    assert sorted((key, state) for key, state, _ in changes) == [
        (sensor, state) for sensor in SPELLS for state in ("opened", "resolved")
    ]
    assert len({incident_id for *_, incident_id in changes}) == len(SPELLS)
    told = [message.subject for message in run.messages if message.to == "everything@example.com"]
    assert (len(told), len(set(told))) == (len(changes), len(changes))
