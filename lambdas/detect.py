"""Entry point: a batch of one shard's records from Kinesis, into its state and out to whoever must know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger

from lambdas.commits import open_session
from lambdas.effects import given_up
from lambdas.effects.settings import CommitSettings
from lambdas.reading import Reader
from lambdas.streaming.shard import Outcome, Shard

logger = Logger()
settings = CommitSettings.of_environment()
pipeline = settings.load_pipeline()
reader = Reader(pipeline, settings)
session = open_session(pipeline, settings, reader.again)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answers with the first record that could not be finished, after saving those before it; else with
    none.
    """
    if "redrive" in event:
        return redrive(**event["redrive"])
    batch = event["Records"]
    read = cache(partial(reader.batch, batch))  # once, although another writer may make the work begin again
    for shard_id in reader.shard_ids(batch):
        session.run(shard_id, lambda shard: shard.process(read()[0]))
    return {"batchItemFailures": [{"itemIdentifier": number} for number in read()[1]]}


def redrive(bucket: str, key: str) -> dict[str, Any]:
    """Detects a batch that the mapping gave up, each record once, however often this is called. Answers with
    what it came to, and with the first record that cannot be finished even now.
    """
    batch = given_up.records(bucket, key)
    records, failed = reader.batch(batch)
    counts = Counter[str]()

    def work(shard_id: str, shard: Shard) -> Outcome:
        # Anew at each try: another writer may have taken some of them in.
        return shard.redrive(
            records, session.taken.around(shard_id, records[0].sequence, records[-1].sequence)
        )

    for shard_id in reader.shard_ids(batch):
        outcome = session.run(shard_id, partial(work, shard_id))
        assert outcome is not None  # work returns one
        counts.update(outcome.counts)
    return {"counts": dict(counts), "failed": failed}
