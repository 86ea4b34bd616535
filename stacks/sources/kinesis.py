"""Producers that put into the pipeline's stream by themselves."""

from __future__ import annotations

from constructs import Construct

from lambdas.model import Kinesis, Pipeline
from stacks.constructs.bucket import PrivateBucket
from stacks.constructs.event_stream import EventStream


class Source(Construct):
    """The stream is there already, and its name among the stack's outputs."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        source: Kinesis,
        pipeline: Pipeline,
        stream: EventStream,
        lake: PrivateBucket,
    ) -> None:
        super().__init__(scope, id)
