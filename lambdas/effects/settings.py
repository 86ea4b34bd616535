"""What the stack tells a function: its environment, read once and typed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from importlib import import_module
from typing import Any, Self

from lambdas.model import Pipeline


class SettingsError(RuntimeError):
    """An environment that no stack of this version made; the message names the variable."""


def text(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


def texts(value: str) -> Mapping[str, str]:
    return json_object(value, str, "texts")


def numbers(value: str) -> Mapping[str, float]:
    return json_object(value, (int, float), "numbers")


def json_object(value: str, kind: type | tuple[type, ...], words: str) -> dict[str, Any]:
    try:
        given = json.loads(value)
    except json.JSONDecodeError:
        given = None
    if not isinstance(given, dict) or not all(
        isinstance(each, kind) and not isinstance(each, bool) for each in given.values()
    ):
        raise ValueError(f"is no JSON object of {words}")
    return given


def variable(read: Callable[[str], Any] = text, **more: Any) -> Any:
    """A field that is read from the environment, from FRESHET_ and its name in capitals."""
    return field(metadata={"read": read}, **more)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every function of a pipeline is told."""

    pipeline: str = variable()
    overrides: Mapping[str, float] = variable(numbers, default_factory=dict)

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings as this process was given them; raises `SettingsError`."""
        given = os.environ if environment is None else environment
        values: dict[str, Any] = {}
        for spot in fields(cls):
            name = f"FRESHET_{spot.name.upper()}"
            try:
                if name in given:
                    values[spot.name] = spot.metadata["read"](given[name])
                elif spot.default is MISSING and spot.default_factory is MISSING:
                    raise ValueError("is not set")
            except ValueError as error:
                raise SettingsError(
                    f"The variable {name} {error}; deploy the pipeline's stack again, which sets it."
                ) from None
        return cls(**values)

    def load_pipeline(self) -> Pipeline:
        """The declaration in the pipeline's folder, under its name and with numbers overridden."""
        name = f"pipelines.{self.pipeline}.pipeline"
        try:
            declared = import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # the declaration's own import
            raise SettingsError(
                f"FRESHET_PIPELINE is {self.pipeline!r}, but the function's code has no "
                f"{name.replace('.', '/')}.py; deploy the pipeline's stack again."
            ) from None
        pipeline = getattr(declared, "pipeline", None)
        if not isinstance(pipeline, Pipeline):
            raise SettingsError(
                f"{name.replace('.', '/')}.py declares no pipeline; write pipeline = Pipeline(…) in it."
            )
        return pipeline.named(self.pipeline).overridden(self.overrides)


@dataclass(frozen=True, kw_only=True)
class CommitSettings(Settings):
    """What detect and tick need to commit and to send: the state log, the results, the incident changes; and
    to read records, which is detect's daily work and tick's where a log is damaged.
    """

    state_bucket: str = variable()
    result_streams: Mapping[str, str] = variable(texts)
    changes_queue_url: str = variable()
    second_stream: str = variable(default="")
    stream_name: str = variable()
    reference_tables: Mapping[str, str] = variable(texts, default_factory=dict)

    def stream_of(self, shard_id: str) -> tuple[str, str]:
        """The stream that a log's shard is of, and the shard's id there."""
        prefix, _, listed_id = shard_id.rpartition("/")
        return self.second_stream if prefix else self.stream_name, listed_id


@dataclass(frozen=True, kw_only=True)
class TransformSettings(Settings):
    quarantine_bucket: str = variable()


@dataclass(frozen=True, kw_only=True)
class AlertSettings(Settings):
    incidents_table: str = variable()
    alerts_topic_arn: str = variable()
    result_streams: Mapping[str, str] = variable(texts)
    reference_tables: Mapping[str, str] = variable(texts, default_factory=dict)
    time_zone: str = variable(default="UTC")
