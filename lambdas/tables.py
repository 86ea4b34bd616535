"""The tables that every pipeline shares, declared once: the stack makes them, the handlers write their
rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class TableColumn:
    """A column with its Hive type."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """A table of the lake; `grain` says what one row is."""

    name: str
    grain: str
    columns: tuple[TableColumn, ...]


CONTRIBUTIONS = "array<struct<name:string,direction:string,share:double,observed:double,unit:string>>"

WHO = (
    TableColumn("pipeline", "string", "the pipeline's name"),
    TableColumn("detector", "string", "the detector's name"),
    TableColumn("key", "string", "whose state it is; parts are set apart by |"),
)
WHAT = (
    TableColumn("direction", "string", "high, low or seen"),
    TableColumn("severity", "string", "low, medium, high or critical"),
    TableColumn("since", "timestamp", "event time at which it began"),
)
HOW = (
    TableColumn("observed", "double", "the value that went past its limit; null where there is none"),
    TableColumn("unit", "string", "unit of the observed value"),
    TableColumn("expected", "string", "what was expected, in words"),
    TableColumn("sentence", "string", "what was found, in words"),
    TableColumn("contributions", CONTRIBUTIONS, "what each column added to it"),
    TableColumn("shown", "map<string,string>", "further columns that help the reader"),
)
# A record's index counts its parts; in an aggregate that was opened this many more for each part before.
PARTS = 100_000_000  # more than any record can hold
PROVENANCE = (
    TableColumn("shard_id", "string", "the stream's shard that the record came through"),
    TableColumn("sequence_number", "string", "the record's number in its shard"),
    TableColumn(
        "record_index",
        "bigint",
        "the event's place in its record, from 0; in the n-th part of an aggregate n times 100,000,000 more",
    ),
    TableColumn("arrived_at", "timestamp", "when the stream took the record, UTC"),
)

RESULT_TABLES: Mapping[str, Table] = {
    "finding": Table(
        "findings",
        "one row per finding; a repeat has the same finding_id",
        (
            TableColumn("finding_id", "string", "made of what the finding is about, the same in a repeat"),
            TableColumn("incident_id", "string", "the incident that it belongs to"),
            *WHO,
            TableColumn("found_at", "timestamp", "event time at which it was found"),
            *WHAT,
            TableColumn("score", "double", "higher is stranger"),
            *HOW,
        ),
    ),
    "window_result": Table(
        "window_results",
        "one row per key, detector and window; a repeat has the same result_id",
        (
            TableColumn("result_id", "string", "made of detector, key and window, the same in a repeat"),
            *WHO,
            TableColumn("window_start", "timestamp", "first event time of the window"),
            TableColumn("window_end", "timestamp", "event time at which the window ends, itself outside"),
            TableColumn(
                "aggregates", "map<string,double>", "each aggregate by its name, as mean(temperature)"
            ),
        ),
    ),
    "late_event": Table(
        "late_events",
        "one row per event that came after its window had closed; the event itself is in its pipeline's "
        "table",
        (
            TableColumn("pipeline", "string", "the pipeline's name"),
            TableColumn("key", "string", "the event's key"),
            TableColumn("event_time", "timestamp", "when it happened"),
            TableColumn("watermark", "timestamp", "the event time that the shard had come to"),
            *PROVENANCE,
        ),
    ),
    "incident_change": Table(
        "incident_changes",
        "one row per change of an incident; a repeat has the same change_id",
        (
            TableColumn("change_id", "string", "incident and version, the same in a repeat"),
            TableColumn("incident_id", "string", "the incident"),
            TableColumn("version", "int", "counts the incident's changes from 1"),
            TableColumn("state", "string", "opened, escalated or resolved"),
            *WHO,
            *WHAT,
            TableColumn("detected_at", "timestamp", "event time of the first finding"),
            TableColumn("changed_at", "timestamp", "event time of this change"),
            TableColumn(
                "ended_at", "timestamp", "event time at which all was well again; null until resolved"
            ),
            TableColumn("reason", "string", "why it was resolved: clear, quiet or lost sight"),
            TableColumn("findings", "bigint", "findings so far"),
            TableColumn("worst_score", "double", "the highest score so far"),
            *HOW,
        ),
    ),
    "alert": Table(
        "alerts",
        "one row per message that was handed to a channel for a change; a repeat has the same alert_id",
        (
            TableColumn("alert_id", "string", "change and channel, the same in a repeat"),
            TableColumn("change_id", "string", "the incident change that it tells of"),
            TableColumn("incident_id", "string", "the incident"),
            *WHO,
            TableColumn("state", "string", "opened, escalated or resolved"),
            TableColumn("severity", "string", "low, medium, high or critical"),
            TableColumn("audience", "string", "who it is for"),
            TableColumn(
                "channel", "string", "topic (e-mail, SMS and more by subscription) or sms (one number)"
            ),
            TableColumn("subject", "string", "the message's subject; empty for an SMS"),
            TableColumn("changed_at", "timestamp", "event time of the change"),
            TableColumn("sent_at", "timestamp", "when the channel took it, UTC"),
        ),
    ),
}

QUARANTINE = Table(
    "quarantine",
    "one row per part of a record that could not be read",
    (
        TableColumn("reason", "string", "why, in a sentence"),
        TableColumn(
            "field", "string", "the column that did not fit; empty where the record itself could not be read"
        ),
        TableColumn("value", "string", "what stood there; empty for a private column"),
        TableColumn("data", "string", "the record's bytes, base64; in the row of its first bad part only"),
        TableColumn("partition_key", "string", "the record's partition key"),
        TableColumn("record_parts", "bigint", "how many parts the record was read as, the good ones with it"),
        *PROVENANCE,
    ),
)
