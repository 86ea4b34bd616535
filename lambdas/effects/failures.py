"""What fails of one shard keeps no other waiting: it is raised when all have had their turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger

logger = Logger(child=True)


class Failures:
    def __init__(self) -> None:
        self._failures: list[Exception] = []

    @contextmanager
    def of(self, shard_id: str) -> Iterator[None]:
        try:
            yield
        except Exception as failure:
            logger.error("A shard's tick failed.", shard_id=shard_id, reason=type(failure).__name__)
            self._failures.append(failure)

    def tell(self, stream: str) -> None:
        """Raises them together, if there are any."""
        if self._failures:
            raise ExceptionGroup(
                f"The tick failed in {len(self._failures)} shards of {stream}", self._failures
            )
