"""Records as Lambda hands them over, and as shards process them: decoded, and enriched with references."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.effects import metrics
from lambdas.effects.references import References
from lambdas.effects.second_stream import SecondStream, decoded
from lambdas.effects.settings import CommitSettings
from lambdas.formats.decode import Decoder
from lambdas.model import Pipeline
from lambdas.streaming import rekey
from lambdas.streaming.shard import Record

logger = Logger(child=True)


class Reader:
    """Reads either stream of a pipeline."""

    def __init__(self, pipeline: Pipeline, settings: CommitSettings) -> None:
        self.decoder = Decoder(pipeline)
        self._pipeline = pipeline
        self._references = References(pipeline, settings.reference_tables)
        self._second = SecondStream(settings.second_stream)

    def shard_ids(self, batch: Sequence[Mapping[str, Any]]) -> list[str]:
        """Whose state a batch is for: of a second stream's there is one for each key."""
        shard_id = batch[0]["eventID"].partition(":")[0]
        return rekey.shard_names(self._pipeline, shard_id) if self._second.is_source_of(batch) else [shard_id]

    def batch(self, batch: Sequence[Mapping[str, Any]]) -> tuple[list[Record], list[str]]:
        """The batch's records, enriched, up to one on which a format fails instead of refusing it; and that
        one's sequence number.
        """
        if self._second.is_source_of(batch):
            return rekeyed(batch), []
        failed: list[str] = []
        try:
            records = self.records(batch)
        except Exception:  # reading them one by one tells which it is
            records, failed = self._until_failure(batch)
        counts = self._references.enrich(row for record in records for row in record.rows)
        metrics.count(self._pipeline.name, counts)
        return records, failed

    def again(self, shard_id: str, page: Sequence[Mapping[str, Any]]) -> list[Record]:
        """Records that a log had and lost. What cannot be finished was not in it, and is left out."""
        if shard_id.startswith(rekey.PREFIX):
            return rekeyed(page)
        try:
            records = self.records(page)
        except Exception:
            records = []
            for given in page:
                with suppress(Exception):
                    records += self.records([given])
        self._references.enrich(row for record in records for row in record.rows)
        return records

    def records(self, batch: Sequence[Mapping[str, Any]]) -> list[Record]:
        given = [each["kinesis"] for each in batch]
        datas = [a2b_base64(each["data"]) for each in given]
        arrivals_ms = [round(each["approximateArrivalTimestamp"] * 1000) for each in given]
        sequences = [int(each["sequenceNumber"]) for each in given]
        decoded_all = self.decoder.decode_all(datas, arrivals_ms, sequences)
        return [
            Record(sequence, arrival_ms / 1000, rows, unreadable)
            for sequence, arrival_ms, (rows, unreadable) in zip(
                sequences, arrivals_ms, decoded_all, strict=True
            )
        ]

    def _until_failure(self, batch: Sequence[Mapping[str, Any]]) -> tuple[list[Record], list[str]]:
        records: list[Record] = []
        for given in batch:
            try:
                records += self.records([given])
            except Exception as error:
                number = given["kinesis"]["sequenceNumber"]
                # Its own text may hold a value of the event, so only its type is told.
                reason = (
                    f"the decoder raised {type(error).__name__} on record {number}; mend the format that "
                    "reads it"
                )
                if not records:
                    raise RuntimeError(reason) from None
                logger.error("The batch ends before a record that cannot be finished.", reason=reason)
                return records, [number]
        return records, []


def rekeyed(batch: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Records of the second stream: they were decoded and enriched on their way into it."""
    return [
        rekey.read_record(
            int(each["kinesis"]["sequenceNumber"]),
            each["kinesis"]["approximateArrivalTimestamp"],
            decoded(a2b_base64(each["kinesis"]["data"])),
        )
        for each in batch
    ]
