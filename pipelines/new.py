"""A new pipeline's folder, filled from `_template`: whole at once, but for the limit that a case asks for."""

from __future__ import annotations

import json
import keyword
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from string import Template

from lambdas.columns import Double, Integer, Json, Text, Timestamp
from lambdas.model import NAME
from pipelines import discovery
from pipelines.entries import RecordingError
from pipelines.recording import moment
from pipelines.sample import TIMES, WRITE_TIMES, Sample, SampleColumn, Unreadable, look
from pipelines.traffic import nested

TEMPLATE = Path(__file__).parent / "_template"
SUFFIX = ".template"
DO_FIRST = "Write here what whoever is told should do first."
FLOWS = "write in a line what flows here"
LEAST_LIMIT = 12  # digits of a limit that nothing is above
LONGEST_LINE = 110
# How the made-up traffic writes a time.
TIME_VALUES = {"iso": "iso(at)", "seconds": "round(at, 3)", "milliseconds": "round(at * 1000)"}
RECORDED = {"iso": "2026-01-31T10:00:00Z", "seconds": 1_769_853_600, "milliseconds": 1_769_853_600_000}


class NotMade(ValueError):
    """A pipeline that cannot be made; the message says why and what to do."""


def new(
    name: str,
    *,
    source: Path | None = None,
    watch: str = "",
    key: str = "",
    time: str = "",
    root: Path | None = None,
) -> list[str]:
    """Make `pipelines/<name>` and return what to tell of it, a line each.

    `source` is a file of the user's own events, whose columns are taken over; `watch`, `key` and `time` name
    columns of it where evident names do not say them. Raises `NotMade`.
    """
    root = root or discovery.ROOT
    for problem in name_problems(name, root):
        raise NotMade(f"{name}: {problem}")
    if source is None and (watch or key or time):
        raise NotMade("--watch, --key and --time name columns of a file; say --from and the file as well.")
    try:
        sample = look(source, watch=watch, key=key, time=time) if source else MADE_UP
    except (Unreadable, RecordingError) as error:
        raise NotMade(str(error)) from None
    texts = parts(name, sample, is_made_up=source is None)
    draft = root / f".{name}"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        for template in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
            path = draft / template.relative_to(TEMPLATE).with_suffix("")
            path = path.with_name(path.name.replace("name_", f"{name}_"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(Template(template.read_text()).substitute(texts))
        draft.rename(root / name)
    except OSError as error:
        raise NotMade(f"{root / name} cannot be written: {error.strerror}; mend that, then again.") from None
    return [*made(name, sample, source)]


def name_problems(name: str, root: Path) -> Iterator[str]:
    """Why a pipeline cannot be called so, a sentence each."""
    if not NAME.fullmatch(name):
        yield "a pipeline's name is lower snake case of at most 40 characters; say one such as tank_levels."
    elif keyword.iskeyword(name):
        yield "Python has a keyword of that name; say another."
    elif name in discovery.TAKEN:
        yield "Freshet has a stack or a table of that name; say another."
    elif (root / f"{name}.py").exists():
        yield f"there is a module pipelines/{name}.py; say another name."
    elif (root / name).exists():
        yield f"pipelines/{name} is there already; say another name, or remove that folder."


@dataclass(frozen=True)
class Values:
    """The numbers of the first cases and the traffic: two that are ordinary, and one that is strange."""

    lowest: float
    ordinary: float
    strange: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Values:
        """The file's highest value is the strange one, so that the file itself will alert."""
        highest = numbers[-1]
        places = (numbers[int(len(numbers) * part)] for part in (0.95, 0.75, 0.5, 0.05, 0.0))
        ordinary = next(value for value in places if value < highest)
        exact = cls(min(numbers[int(len(numbers) * 0.05)], ordinary), ordinary, highest)
        short = cls(cut(exact.lowest), cut(exact.ordinary), cut(exact.strange))
        return short if short.ordinary < short.strange else exact


MEASURED = SampleColumn("value", "value", Double)
DEVICE = SampleColumn("device_id", "device_id", Text)
MEASURED_AT = SampleColumn("measured_at", "measured_at", Timestamp, "iso")
MADE_UP = Sample("", 0, (DEVICE, MEASURED, MEASURED_AT), MEASURED, DEVICE, MEASURED_AT, ())
MADE_UP_VALUES = Values(20.0, 30.0, 100.0)
ABOUT = {"device_id": "which device", "value": "what it measured", "measured_at": "when it measured"}
# A file of one series has no column that says whose a reading is.
ONE_SERIES = SampleColumn("series", "series", Text)


def parts(name: str, sample: Sample, *, is_made_up: bool) -> dict[str, str]:
    """What the templates leave open."""
    key, measure, clock = sample.key or ONE_SERIES, sample.measure, sample.time
    columns = sample.columns if sample.key else [key, *sample.columns]
    values = MADE_UP_VALUES if is_made_up else Values.of(measure.numbers)
    file = "".join(each for each in sample.file if each.isalnum() or each in " ._-")[-60:]
    is_text = key.kind is Text
    stem = key.name.removesuffix("_id")[:20]
    keys = [f"{stem}-{number}" if is_text else number for number in (1, 2, 3)]
    about = ABOUT if is_made_up else {column.name: f"as in {file}" for column in columns}
    if sample.key is None:
        about[key.name] = "which series; the file holds one"
    names = {"KEY": key.source, "MEASURE": measure.source, **({"TIME": clock.source} if clock else {})}
    record: dict[str, object] = {key.source: keys[0], measure.source: plain(values.ordinary, measure)}
    form = (clock.form or "iso") if clock else ""
    record |= {clock.source: RECORDED[form]} if clock else {}
    json_line = "nested_json" if sample.is_nested else "json_line"
    shown = {each: numeral(getattr(values, each), measure) for each in ("lowest", "ordinary", "strange")}
    return {
        "name": name,
        "title": name.replace("_", " "),
        "column_imports": "\n".join(column_imports(columns)),
        "columns": "\n".join(
            declared(column, about[column.name], required=column is measure) for column in columns
        ),
        "event_arguments": f'key="{key.name}"' + (f', time="{clock.name}"' if clock else ""),
        "limit": f"{10 ** max(LEAST_LIMIT, len(str(int(abs(values.strange)))) + 1):_}",
        "limit_hint": (
            "The made-up traffic goes from {lowest} to {ordinary}, what is strange in it is {strange}."
            if is_made_up
            else "Of the file's values most are up to {ordinary}, the highest is {strange}."
        ).format(**shown),
        "do_first": DO_FIRST,
        "flows": FLOWS,
        "key": key.name,
        "key_example": str(keys[0]),
        "key_examples": ", ".join(json.dumps(each) for each in keys),
        "key_type": "str" if is_text else "int",
        "key_sql": "varchar" if is_text else "bigint",
        "measure": measure.name,
        "spread": "randint" if measure.kind is Integer else "uniform",
        "names": "\n".join(f"{each} = {quoted(source)}" for each, source in names.items()),
        "time": clock.name if clock else "arrived_at",
        "time_value": f", TIME: {TIME_VALUES[form]}" if clock else "",
        "json_line": json_line,
        "imported_traffic": f"iso, {json_line}" if form == "iso" else json_line,
        # Without a time of its own an event has its arrival's, and so is never late.
        "late": "4" if clock else "0",
        "record": json.dumps(nested(record) if sample.is_nested else record, ensure_ascii=False),
        **shown,
    }


def plain(value: float, measure: SampleColumn) -> float:
    return int(value) if measure.kind is Integer else float(value)


def numeral(value: float, measure: SampleColumn) -> str:
    """A number as Python and YAML read it alike: without an exponent."""
    return format(Decimal(repr(plain(value, measure))), "f")


def cut(value: float) -> float:
    """A number to six digits, never above itself: the file has a value as high.

    >>> cut(108.51054280000001), cut(-0.0123456789), cut(39197)
    (108.51, -0.0123457, 39197.0)
    """
    exact = Decimal(repr(value))
    place = max(exact.adjusted() - 5, exact.as_tuple().exponent)
    return float(exact.quantize(Decimal(1).scaleb(int(place)), ROUND_FLOOR))


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def column_imports(columns: Sequence[SampleColumn]) -> Iterator[str]:
    kinds = {column.kind for column in columns}
    yield f"from lambdas.columns import {', '.join(sorted(each.__name__ for each in kinds - {Json}))}"
    if Json in kinds:
        yield "from lambdas.columns import Json as JsonText"


def declared(column: SampleColumn, about: str, *, required: bool) -> str:
    """A column's line in the declaration."""
    arguments = [quoted(about)]
    if column.kind is Timestamp and column.form not in ("", "iso"):
        arguments.append(f"form={quoted(column.form)}")
    if column.source != column.name:
        arguments.append(f"source={quoted(column.source)}")
    if required:
        arguments.append("required=True")
    kind = "JsonText" if column.kind is Json else column.kind.__name__
    line = f"    {column.name} = {kind}({', '.join(arguments)})"
    if len(line) <= LONGEST_LINE:
        return line
    return "\n".join([f"    {column.name} = {kind}(", *(f"        {each}," for each in arguments), "    )"])


def made(name: str, sample: Sample, source: Path | None) -> Iterator[str]:
    """What to tell of a new pipeline, a line each."""
    yield f"pipelines/{name} is there. It deploys and plays as it is, and tells nobody of anything yet."
    if source:
        yield f"Its columns, by the first {sample.rows:,} rows of {sample.file}:"
        for column in sample.columns:
            said = ", ".join(remarks(column, sample))
            yield f"  {column.name:<26}{column.kind.__name__:<10}{said}".rstrip()
        if sample.key is None:
            yield "  No column says whose a reading is: the key is a column 'series'."
        if sample.time is None:
            shown = unread(sample)
            yield f"  No column is a time that can be read{shown}: a reading's arrival is its time."
            if shown:
                yield f"  To have its own, {WRITE_TIMES}, remove pipelines/{name} and make it again."
        for left_out in sample.left_out:
            yield (
                f'  Left out: {left_out!r}; a name has up to 80 characters, none of them " ` or \\, and what '
                "stands before a dot in it is no other column's name."
            )
    yield "Its first case fails until you have written the limit, and says where:"
    yield f"  ./freshet cases {name}"
    yield "Then play it:"
    yield f"  ./freshet replay {name} {source}" if source else f"  ./freshet demo {name}"


def unread(sample: Sample) -> str:
    """A column that by its name should be the time, with a value of it that is none."""
    named = (column for column in sample.columns if TIMES.search(column.name) and column.values)
    for column in named:
        if column is not sample.measure:
            shown = next((value for value in column.values if moment(value) is None), column.values[0])
            return f" ({column.source!r} holds {shown[:40]!r})"
    return ""


def remarks(column: SampleColumn, sample: Sample) -> Iterator[str]:
    parts = {"the key": sample.key, "the time": sample.time, "watched": sample.measure}
    yield from (part for part, each in parts.items() if each is column)
    if column.source != column.name:
        yield f"from {column.source!r}"
    if column.rewritten:
        yield f"{column.rewritten!r} becomes ISO 8601 in a replay: producers are to send that"
    if column.unfit:
        does = "value does" if column.unfit == 1 else "values do"
        yield f"{column.unfit:,} {does} not fit and will be quarantined"
