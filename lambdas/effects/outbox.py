"""What a commit owes the world, sent each to its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lambdas.effects import metrics
from lambdas.effects.change_queue import ChangeQueue
from lambdas.effects.results import Results
from lambdas.effects.second_stream import KIND, SecondStream
from lambdas.effects.sending import Item


class Outbox:
    def __init__(
        self, changes_queue_url: str, result_streams: Mapping[str, str], second_stream: str = ""
    ) -> None:
        self._queue = ChangeQueue(changes_queue_url)
        self._second = SecondStream(second_stream)
        self._results = Results(result_streams)

    def send(self, items: Sequence[Item]) -> None:
        """Sends everything: first what somebody waits for, last what would be doubled if another failed."""
        self._queue.send(item for item in items if item.kind == "incident_change")
        self._second.send(item for item in items if item.kind == KIND)
        self._results.send(item for item in items if item.kind not in ("metric", KIND))
        metrics.measure(item for item in items if item.kind == "metric")
