"""A damaged log of a shard that was split, that began with what another left it, or of the second stream."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from moto.kinesis.models import kinesis_backends

from tests.effects.support import BUCKET, body, keys, real
from tests.handlers.fault_matrix import CHILD, Effect, Step, measured, plays, undisturbed
from tests.handlers.support import NOON, SHARD, Sent, World, detect_event, reading

STREAM = "temperature-stream"


def in_shard(shard_id: str, record: Sent) -> Step:
    """A batch of one record, put into that shard: moto's own put goes on filling the parent."""
    shard: Any = kinesis_backends["123456789012"]["eu-central-1"].streams[STREAM].shards[shard_id]
    number = int(shard.put_record("key", b64encode(record.data).decode(), ""))
    event = detect_event([Sent(record.at, record.data, number)])
    event["Records"][0]["eventID"] = f"{shard_id}:{number}"
    return "lambdas.detect", event


def damage(shard_id: str, *kinds: str) -> None:
    for key in keys(prefix=f"state/temperature/{shard_id}/"):
        if key.rpartition(".")[2] in kinds:
            real("s3").put_object(Bucket=BUCKET, Key=key, Body=body(key)[:-1])


def scene(*damaged: tuple[str, str, int]) -> Any:
    """A sensor is hot all along. What is damaged: whose log, which kind of object, before which record (of an
    odd number: then the container has just started).
    """

    def play(_world: World) -> Iterator[Step]:
        for place in range(6):
            if place == 3:
                real("kinesis").split_shard(
                    StreamName=STREAM, ShardToSplit=SHARD, NewStartingHashKey=str(2**127)
                )
            for shard_id, kind, before in damaged:
                if before == place:
                    damage(shard_id, kind)
            yield in_shard(SHARD if place < 3 else CHILD, reading("sensor-1", 31 + place, NOON + place))

    return play


def visible(*damaged: tuple[str, str, int]) -> dict[Any, Any]:
    return measured(Effect(name="", call="", scene=scene(*damaged)), "").visible


@pytest.mark.parametrize(
    "damaged",
    [
        [(SHARD, "entry", 3)],
        [(SHARD, "entry", 3), (SHARD, "sent", 3), (SHARD, "base", 3)],
        [(CHILD, "entry", 5), (CHILD, "base", 5)],
        [(CHILD, "entry", 5), (CHILD, "sent", 5), (CHILD, "base", 5)],
        [(each, kind, 5) for each in (SHARD, CHILD) for kind in ("entry", "sent", "base")],
    ],
    ids=["the parent's entries", "all of the parent's", "the child's entries", "all of the child's", "all"],
)
def test_a_child_goes_on_with_what_its_parent_left_whatever_is_damaged(
    damaged: list[tuple[str, str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = visible()
    assert len([one for one in undisturbed if one[0] == "finding"]) == 6
    assert "mended" not in capsys.readouterr().out
    assert visible(*damaged) == undisturbed
    assert "mended" in capsys.readouterr().out


@pytest.mark.parametrize("kinds", [("entry",), ("entry", "sent", "base")], ids=["entries", "all"])
def test_a_shard_of_the_second_stream_is_mended_from_that_stream(
    kinds: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    def damaged_plays(world: World) -> Iterator[Step]:
        for place, step in enumerate(plays(world)):
            if place == 7:
                for key in keys(prefix="state/casino/rekeyed/"):
                    if key.rpartition(".")[2] in kinds:
                        real("s3").put_object(Bucket=BUCKET, Key=key, Body=body(key)[:-1])
            yield step

    disturbed = measured(Effect(name="", call="", scene=damaged_plays, pipeline="casino"), "")
    assert "mended" in capsys.readouterr().out
    assert disturbed.visible == undisturbed(plays, "casino").visible
