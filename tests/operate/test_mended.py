"""`freshet redrive --quarantine`: which bytes go back, and that each record goes back once."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from lambdas.columns import Double, Text, Timestamp
from lambdas.effects.quarantine import Rejected, rows
from lambdas.formats.csv_line import Csv
from lambdas.formats.decode import Decoder, Unreadable
from lambdas.formats.json_objects import Json
from lambdas.model import Event, Pipeline
from operate.deployment import Refused, Terminal
from operate.mended import LOCKED, Records
from operate.redrive import Deployed

NOW = 1_767_261_600.0  # 2026-01-01 10:00 UTC
OUTPUTS = {"LakeBucket": "lake", "StreamName": "stream"}


class Reading(Event, key="sensor_id", time="measured_at"):
    sensor_id = Text("which sensor")
    temperature = Double("how warm", required=True)
    measured_at = Timestamp("when")


class Renamed(Event, key="sensor_id"):
    sensor_id = Text("which sensor")
    temperature = Double("how warm", required=True, source="heat")


def of(event: type[Event], *formats: Any) -> Pipeline:
    return Pipeline(
        about="a test's", event=event, formats=formats or [Json()], detectors=[], name="temperature"
    )


GOOD, OLD = b'{"sensor_id": "a", "temperature": 1}', b'{"sensor_id": "a", "heat": 2}'


class World:
    """A lake with a quarantine, a stream, and what was said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.session = boto3.Session(region_name="us-east-1")
        self.s3, self.kinesis = self.session.client("s3"), self.session.client("kinesis")
        clients = {"s3": self.s3, "kinesis": self.kinesis}
        monkeypatch.setattr(self.session, "client", clients.__getitem__)
        self.s3.create_bucket(Bucket="lake")
        self.kinesis.create_stream(StreamName="stream", ShardCount=1)
        self.said: list[str] = []
        self.now = NOW
        self.numbers = iter(range(1, 10_000))

    def quarantine(self, *records: bytes, by: Pipeline, knows_parts: bool = True) -> None:
        """What transform writes of records that it reads by such a declaration."""
        lines: list[bytes] = []
        for data in records:
            parts = list(Decoder(by).decode(data, round(NOW * 1000)))
            bad = [part for part in parts if isinstance(part, Unreadable)]
            rejected = Rejected(
                data=data, partition_key="a", shard_id="shardId-0", sequence_number=str(next(self.numbers)),
                arrival_ms=round(NOW * 1000), parts=bad, good=len(parts) - len(bad),
            )  # fmt: skip
            for row in rows(rejected):
                if not knows_parts:
                    del row["record_parts"]
                lines.append(json.dumps(row).encode() + b"\n")
        key = f"quarantine/pipeline=temperature/dt=2026-01-01-10/{next(self.numbers)}.json.gz"
        self.s3.put_object(Bucket="lake", Key=key, Body=gzip.compress(b"".join(lines)))

    def redrive(self, by: Pipeline, *, yes: bool = True, **files: Path) -> int:
        self.said.clear()
        deployed = Deployed(pipeline=by, session=self.session, outputs=OUTPUTS)
        terminal = Terminal(self.said.append, lambda _: "no", lambda: True)
        return Records(deployed, terminal, now=lambda: self.now, **files).run(yes=yes)

    @property
    def sent(self) -> list[tuple[str, bytes]]:
        """What is in the stream, each with its partition key."""
        (shard,) = self.kinesis.list_shards(StreamName="stream")["Shards"]
        iterator = self.kinesis.get_shard_iterator(
            StreamName="stream", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        return [(record["PartitionKey"], record["Data"]) for record in records]

    @property
    def text(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr("lambdas.effects.sending.time.sleep", lambda _seconds: None)
    with mock_aws():
        yield World(monkeypatch)


@pytest.mark.semantics(line=5, clause="mended")
def test_what_a_mended_declaration_reads_goes_back_byte_by_byte_and_once(world: World) -> None:
    world.quarantine(OLD, b"no JSON", by=of(Reading))
    assert world.redrive(of(Reading)) == 0
    assert world.sent == []
    assert "0 of them can be read now" in world.said[0]

    assert world.redrive(of(Renamed)) == 0

    assert world.sent == [("a", OLD)]
    assert world.said[1:3] == [
        "  ready: 1 record: temperature is missing.",
        "  left: 1 record: The record is not JSON: Expecting value at character 1.",
    ]
    assert world.said[-1] == "1 record sent."
    assert world.redrive(of(Renamed)) == 0
    assert len(world.sent) == 1


def test_of_a_record_with_good_parts_the_bad_ones_go_alone(world: World) -> None:
    both = b'{"sensor_id": "a", "temperature": 1, "heat": 1}'
    world.quarantine(both + OLD + both + OLD.replace(b"2", b"3"), by=of(Reading))
    assert world.redrive(of(Renamed)) == 0
    assert world.sent == [("a", OLD + b"\n" + OLD.replace(b"2", b"3"))]


@pytest.mark.parametrize("knows_parts", [True, False])
def test_a_record_all_of_whose_parts_were_bad_goes_whole(world: World, knows_parts: bool) -> None:
    world.quarantine(OLD + OLD, by=of(Reading), knows_parts=knows_parts)
    assert world.redrive(of(Renamed)) == 0
    assert world.sent == [("a", OLD + OLD)]


def test_what_cannot_be_taken_apart_stays_with_a_sentence(world: World) -> None:
    class Lenient(Event, key="sensor_id"):
        sensor_id = Text("which sensor")
        temperature = Double("how warm")

    world.quarantine(b"a,1\nb,\n", by=of(Reading, Csv([Reading.sensor_id, Reading.temperature])))
    assert world.redrive(of(Lenient, Csv([Lenient.sensor_id, Lenient.temperature]))) == 0
    assert world.sent == []
    assert "its format does not write the bad ones alone" in world.text


def test_a_part_that_was_none_has_no_place_to_be_found_by(world: World) -> None:
    world.quarantine(GOOD + b"\n{broken", by=of(Reading))
    world.quarantine(GOOD + b"\n{broken", by=of(Reading), knows_parts=False)

    class Forgiving(Json):
        def read(self, data: bytes) -> Any:
            return super().read(data.replace(b"{broken", GOOD))

    assert world.redrive(of(Reading, Forgiving())) == 0
    assert world.sent == []
    assert "which are the bad ones cannot be told" in world.text
    assert "Whether other parts of the record were read is not known" in world.text


def test_a_person_mends_what_no_declaration_reads(world: World, tmp_path: Path) -> None:
    world.quarantine(b'{"sensor_id": "a", "temperature": "warm"}', b"\xff", by=of(Reading))
    file = tmp_path / "bad.jsonl"
    assert world.redrive(of(Reading), to=file) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    text, binary = map(json.loads, file.read_text().splitlines())
    assert (text["good_parts"], b64decode(binary["base64"])) == (0, b"\xff")

    file.write_text(json.dumps(text | {"record": GOOD.decode()}) + "\n\n" + json.dumps(binary))
    assert world.redrive(of(Reading), mended=file) == 0
    assert world.sent == [("a", GOOD)]
    assert "left: 1 record: The record is not UTF-8 text (byte 0)." in world.text

    # and said again, nothing more
    assert world.redrive(of(Reading), mended=file) == 0
    assert len(world.sent) == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("no JSON", "line 1: no JSON object with place and record"),
        ("[]", "line 1: no JSON object"),
        ('{"place": "x"}', "line 1: no JSON object"),
        ('{"place": "x", "base64": "?"}', "line 1: no JSON object"),
        ('{"place": "shardId-0:7:0", "record": "{}"}', "1 record that nobody quarantined, as shardId-0:7:0"),
    ],
)
def test_a_wrong_file_is_a_sentence(world: World, tmp_path: Path, line: str, sentence: str) -> None:
    world.quarantine(OLD, by=of(Reading))
    file = tmp_path / "bad.jsonl"
    file.write_text(line)
    with pytest.raises(Refused, match=sentence):
        world.redrive(of(Reading), mended=file)
    with pytest.raises(Refused, match=r"cannot be written: File exists\. Name a new file"):
        world.redrive(of(Reading), to=file)
    with pytest.raises(Refused, match="cannot be read"):
        world.redrive(of(Reading), mended=tmp_path / "none")


def test_a_record_that_the_stream_refuses_is_sent_again_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.quarantine(*(OLD.replace(b"2", b"%d" % number) for number in range(5)), by=of(Reading))
    put, calls = world.kinesis.put_records, list[int]()

    def throttled(**request: Any) -> Any:
        records = request["Records"]
        calls.append(len(records))
        answer = put(StreamName="stream", Records=records[:-1]) if records[1:] else {"Records": []}
        busy = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "busy"}
        return {"Records": [*answer["Records"], busy]} if len(calls) < 3 else put(**request)

    monkeypatch.setattr(world.kinesis, "put_records", throttled)
    assert world.redrive(of(Renamed)) == 0
    assert calls == [5, 1, 1]
    assert len(world.sent) == len(set(world.sent)) == 5


def test_what_the_stream_refuses_to_the_end_is_said_and_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.quarantine(OLD, by=of(Reading))
    busy = {"Records": [{"ErrorCode": "InternalFailure", "ErrorMessage": "no"}]}
    with monkeypatch.context() as patch:
        patch.setattr(world.kinesis, "put_records", lambda **_: busy)
        assert world.redrive(of(Renamed)) == 1
    assert "The stream refused 1 record, the last with InternalFailure" in world.said[-1]
    assert world.redrive(of(Renamed)) == 0
    assert world.sent == [("a", OLD)]


def test_who_is_cut_off_between_sending_and_marking_leaves_one_calls_records_to_be_sent_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operate.mended.MOST_RECORDS", 2)
    world.quarantine(*(OLD.replace(b"2", b"%d" % number) for number in range(6)), by=of(Reading))
    put, marks = world.s3.put_object, list[str]()

    def cut_off(**request: Any) -> Any:
        if request["Key"].endswith(".json"):
            marks.append(request["Key"])
            if len(marks) == 2:
                raise EndpointConnectionError(endpoint_url="https://nowhere")
        return put(**request)

    with monkeypatch.context() as patch:
        patch.setattr(world.s3, "put_object", cut_off)
        with pytest.raises(EndpointConnectionError):
            world.redrive(of(Renamed))
    assert len(world.sent) == 4
    assert world.redrive(of(Renamed)) == 0
    assert (len(world.sent), len(set(world.sent))) == (8, 6)


def test_two_runs_are_kept_apart_and_one_that_died_is_followed(world: World) -> None:
    world.quarantine(OLD, by=of(Reading))
    key = "redriven/pipeline=temperature/lock"
    world.s3.put_object(Bucket="lake", Key=key, Body=str(NOW + LOCKED).encode())
    with pytest.raises(Refused, match="try again in 900 s"):
        world.redrive(of(Renamed))
    assert world.sent == []
    world.now += LOCKED
    assert world.redrive(of(Renamed)) == 0
    assert world.redrive(of(Renamed)) == 0


def test_a_record_that_has_become_too_long_and_an_empty_quarantine_are_sentences(
    world: World, tmp_path: Path
) -> None:
    assert world.redrive(of(Reading)) == 0
    assert world.said == ["temperature in us-east-1: nothing in quarantine waits."]
    world.quarantine(OLD, by=of(Reading))
    file = tmp_path / "long.jsonl"
    place = "shardId-0:1:0"
    file.write_text(json.dumps({"place": place, "record": GOOD.decode() + " " * 1024 * 1024}))
    assert world.redrive(of(Reading), mended=file) == 0
    assert "left: 1 record: It is longer than the stream takes" in world.text
    assert world.sent == []


def test_nothing_is_sent_before_somebody_says_yes(world: World) -> None:
    world.quarantine(OLD, by=of(Reading))
    with pytest.raises(Refused, match="Nothing was done"):
        world.redrive(of(Renamed), yes=False)
    assert world.sent == []
    assert world.redrive(of(Renamed)) == 0
