"""Entry point: a batch of one shard's records from Kinesis, into its state and out to whoever must know."""

from __future__ import annotations

from binascii import a2b_base64
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.effects import given_up, metrics
from lambdas.effects.heritage import inherit
from lambdas.effects.outbox import Outbox
from lambdas.effects.recovery import Recovery
from lambdas.effects.references import References
from lambdas.effects.second_stream import SecondStream, decoded
from lambdas.effects.session import Session
from lambdas.effects.settings import CommitSettings
from lambdas.effects.state_log import StateLog
from lambdas.effects.taken_records import TakenRecords
from lambdas.formats.decode import Decoder
from lambdas.streaming import rekey
from lambdas.streaming.shard import Outcome, Record, Shard

logger = Logger()
settings = CommitSettings.of_environment()
pipeline = settings.load_pipeline()
decoder = Decoder(pipeline)
references = References(pipeline, settings.reference_tables)
log = StateLog(settings.state_bucket, pipeline.name)
taken = TakenRecords(settings.state_bucket, pipeline.name)
outbox = Outbox(settings.changes_queue_url, settings.result_streams, settings.second_stream)
second = SecondStream(settings.second_stream)
recovery = Recovery[Shard](
    pipeline.name, log, lambda shard_id, page: read_again(shard_id, page), settings.stream_of
)
session = Session(
    pipeline.name,
    log,
    taken,
    outbox,
    partial(rekey.begin, pipeline),
    partial(inherit, settings.stream_of),
    recovery.mend,
)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answers with the first record that could not be finished, after saving those before it; else with
    none.
    """
    if "redrive" in event:
        return redrive(**event["redrive"])
    batch = event["Records"]
    read = cache(partial(read_batch, batch))  # once, although another writer may make the work begin again
    for shard_id in shard_ids(batch):
        session.run(shard_id, lambda shard: shard.process(read()[0]))
    return {"batchItemFailures": [{"itemIdentifier": number} for number in read()[1]]}


def shard_ids(batch: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whose state a batch is for: of a second stream's there is one for each key."""
    shard_id = batch[0]["eventID"].partition(":")[0]
    return rekey.shard_names(pipeline, shard_id) if second.is_source_of(batch) else [shard_id]


def redrive(bucket: str, key: str) -> dict[str, Any]:
    """Detects a batch that the mapping gave up, each record once, however often this is called. Answers with
    what it came to, and with the first record that cannot be finished even now.
    """
    batch = given_up.records(bucket, key)
    records, failed = read_batch(batch)
    counts = Counter[str]()

    def work(shard_id: str, shard: Shard) -> Outcome:
        # Anew at each try: another writer may have taken some of them in.
        return shard.redrive(records, taken.around(shard_id, records[0].sequence, records[-1].sequence))

    for shard_id in shard_ids(batch):
        outcome = session.run(shard_id, partial(work, shard_id))
        assert outcome is not None  # work returns one
        counts.update(outcome.counts)
    return {"counts": dict(counts), "failed": failed}


def read_batch(batch: Sequence[Mapping[str, Any]]) -> tuple[list[Record], list[str]]:
    """The batch's records, enriched, up to one on which a format fails instead of refusing it; and that one's
    sequence number.
    """
    if second.is_source_of(batch):
        return read_rekeyed(batch), []
    failed: list[str] = []
    try:
        records = read_records(batch)
    except Exception:  # reading them one by one tells which it is
        records, failed = read_until_failure(batch)
    metrics.count(pipeline.name, references.enrich(row for record in records for row in record.rows))
    return records, failed


def read_until_failure(batch: Sequence[Mapping[str, Any]]) -> tuple[list[Record], list[str]]:
    records: list[Record] = []
    for given in batch:
        try:
            records += read_records([given])
        except Exception as error:
            number = given["kinesis"]["sequenceNumber"]
            # Its own text may hold a value of the event, so only its type is told.
            reason = (
                f"the decoder raised {type(error).__name__} on record {number}; mend the format that reads it"
            )
            if not records:
                raise RuntimeError(reason) from None
            logger.error("The batch ends before a record that cannot be finished.", reason=reason)
            return records, [number]
    return records, []


def read_records(batch: Sequence[Mapping[str, Any]]) -> list[Record]:
    given = [each["kinesis"] for each in batch]
    datas = [a2b_base64(each["data"]) for each in given]
    arrivals_ms = [round(each["approximateArrivalTimestamp"] * 1000) for each in given]
    sequences = [int(each["sequenceNumber"]) for each in given]
    decoded = decoder.decode_all(datas, arrivals_ms, sequences)
    return [
        Record(sequence, arrival_ms / 1000, rows, unreadable)
        for sequence, arrival_ms, (rows, unreadable) in zip(sequences, arrivals_ms, decoded, strict=True)
    ]


def read_rekeyed(batch: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Records of the second stream: they were decoded and enriched on their way into it."""
    return [
        rekey.read_record(
            int(each["kinesis"]["sequenceNumber"]),
            each["kinesis"]["approximateArrivalTimestamp"],
            decoded(a2b_base64(each["kinesis"]["data"])),
        )
        for each in batch
    ]


def read_again(shard_id: str, page: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Records that a log had and lost. What cannot be finished was not in it, and is left out."""
    if shard_id.startswith(rekey.PREFIX):
        return read_rekeyed(page)
    try:
        records = read_records(page)
    except Exception:
        records = []
        for given in page:
            with suppress(Exception):
                records += read_records([given])
    references.enrich(row for record in records for row in record.rows)
    return records
