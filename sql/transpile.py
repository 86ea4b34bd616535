"""Athena's SQL as DuckDB's, understood piece by piece: every name is resolved and every type is Athena's.

sqlglot reads the text; what each piece means is decided here and in `sql.functions`. A kind of node without a case
below is refused with a sentence, so that an answer is Athena's answer or none. Known differences that remain:
approximate aggregates are exact here, and a sum of doubles may differ in its last digits, as it may between two
runs in Athena.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlglot import exp

from sql import functions
from sql.casts import convert
from sql.duck import cast, quoted, string
from sql.errors import SqlError, nearest
from sql.functions import Aggregation, Call
from sql.parse import name_of, parse, place_of
from sql.typed import Typed, coerce, local, named
from sql.typed import field as field_of
from sql.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DAY_TO_SECOND,
    DOUBLE,
    INTEGER,
    TIMESTAMP,
    TIMESTAMP_TZ,
    UNKNOWN,
    UNKNOWN_ZONE,
    VARCHAR,
    YEAR_TO_MONTH,
    SqlType,
    array,
    common,
    decimal,
    from_hive,
    from_trino,
)

Schema = Mapping[str, Mapping[str, str]]
"""Table or view → its columns with their Hive types, as Glue holds them."""

DATABASE = "freshet"
_CATALOG = "awsdatacatalog"


@dataclass(frozen=True)
class Output:
    """One column of a result."""

    name: str
    type: SqlType


@dataclass(frozen=True)
class Analysis:
    """A query that has been understood: DuckDB SQL, its result's columns, and the tables and views that it reads."""

    sql: str
    columns: tuple[Output, ...]
    reads: frozenset[str]


def to_duckdb(sql: str, schema: Schema, *, now: datetime | None = None) -> str:
    """DuckDB SQL with the meaning that `sql` has in Athena; run it on a connection that `sql.duck.prepare` set.

    Raises SqlError for what Athena would refuse and for what cannot be answered as Athena does.

    >>> to_duckdb("select 7 / 2 as half", {})
    'select (7 // 2) as "half"'
    """
    return analyse(sql, schema, now=now).sql


def analyse(sql: str, schema: Schema, *, now: datetime | None = None) -> Analysis:
    """As `to_duckdb`, with the result's columns. `now` is the moment at which the query is said to begin."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    began = moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
    translation = _Translation(sql, schema, began)
    query = parse(sql)
    _refuse_what_is_not_understood(sql, query)
    written, columns = translation.query(query, _Context())
    return Analysis(
        written, tuple(Output(one.name, one.type) for one in columns), frozenset(translation.reads)
    )


def _refuse_what_is_not_understood(text: str, query: exp.Expr) -> None:
    for node in query.walk(prune=lambda one: isinstance(one, exp.DataType)):
        if isinstance(node, exp.DataType):
            continue
        understood = _UNDERSTOOD.get(type(node))
        if understood is None:
            raise SqlError(_refusal(type(node).__name__, text, node))
        for part, value in node.args.items():
            if value in (None, False, []) or part in understood.split() or node.arg_types.get(part):
                continue
            raise SqlError(_refusal(_WORDS.get(part, part.strip("_").replace("_", " ")), text, node))


def _refusal(what: str, text: str, node: exp.Expr) -> str:
    return (
        f"{what} is not answered on the laptop ({place_of(text, node)}): "
        "ask without it, or ask Athena itself."
    )


@dataclass(frozen=True)
class _Column:
    """A column of a source: the name by which the query knows it, and the name by which DuckDB does."""

    name: str
    type: SqlType
    inner: str
    is_stored: bool = False


@dataclass
class _Source:
    alias: str
    columns: Sequence[_Column]
    inner: str

    def typed(self, column: _Column) -> Typed:
        return Typed(named(self.inner, column.inner), column.type, is_stored=column.is_stored)


@dataclass
class _Scope:
    """What a name can mean at one place of a query."""

    parent: _Scope | None = None
    sources: list[_Source] = field(default_factory=list)
    merged: dict[str, Typed] = field(default_factory=dict)
    windows: dict[str, exp.Window] = field(default_factory=dict)
    outputs: dict[str, list[Typed]] = field(default_factory=dict)
    aliases: frozenset[str] = frozenset()

    def columns(self) -> Iterator[str]:
        for source in self.sources:
            for column in source.columns:
                yield column.name


@dataclass(frozen=True)
class _Context:
    """What a query inherits: the sources around it, and the queries of `with`."""

    scope: _Scope | None = None
    withs: Mapping[str, tuple[str, Sequence[_Column]]] = field(default_factory=dict)


_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Mod: "%"}
_SET_OPERATIONS: dict[type[exp.Expr], str] = {
    exp.Union: "union",
    exp.Intersect: "intersect",
    exp.Except: "except",
}
# Every kind of node that is understood, with those of its optional parts that are; any other stops the query. A
# part that nobody looks at would be an answer to another question (sqlglot keeps the not of `not like` in one).
_UNDERSTOOD: dict[type[exp.Expr], str] = {
    **dict.fromkeys((*_COMPARISONS, *_ARITHMETIC), ""),
    **dict.fromkeys(_SET_OPERATIONS, "with_ distinct order limit offset"),
    **dict.fromkeys((exp.And, exp.Or, exp.Not, exp.Paren, exp.Neg, exp.Literal, exp.Boolean, exp.Null), ""),
    **dict.fromkeys(
        (exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between, exp.Escape, exp.Exists, exp.AtTimeZone), ""
    ),
    **dict.fromkeys((exp.From, exp.Where, exp.Having, exp.Offset, exp.CTE, exp.Star, exp.Var, exp.Dot), ""),
    **dict.fromkeys(
        (exp.CurrentDate, exp.CurrentTimestamp, exp.Localtimestamp, exp.Extract, exp.Bracket), ""
    ),
    **dict.fromkeys(
        (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.StrPosition, exp.Lambda, exp.Limit), ""
    ),
    exp.Alias: "alias",
    exp.Anonymous: "expressions",
    exp.Array: "expressions",
    exp.Case: "this default",
    exp.Cast: "safe",
    exp.Column: "table db catalog",
    exp.Distinct: "expressions",
    exp.Div: "typed safe",
    exp.DPipe: "safe",
    exp.Fetch: "direction count limit_options",
    exp.Group: "expressions",
    exp.Identifier: "quoted",
    exp.If: "false",
    exp.In: "expressions query",
    exp.Interval: "this unit",
    exp.Is: "negate",
    exp.Join: "on side kind using",
    exp.Like: "negate",
    exp.LimitOptions: "rows",
    exp.Order: "this",
    exp.Ordered: "desc",
    exp.Select: "with_ expressions distinct from_ joins where group having windows order limit offset",
    exp.Subquery: "with_ alias joins order limit offset",
    exp.Table: "this db catalog alias joins",
    exp.TableAlias: "this columns",
    exp.Trim: "expression position",
    exp.TryCast: "safe",
    exp.Tuple: "expressions",
    exp.Unnest: "alias offset",
    exp.Values: "alias",
    exp.Window: "partition_by order spec alias over",
    exp.WindowSpec: "kind start start_side end end_side",
    exp.With: "expressions",
}
_WORDS = {
    "sample": "tablesample",
    "with_ties": "with ties",
    "this": "a precision",
    "match": "match_recognize",
    "grouping_sets": "grouping sets",
}
_EXTRACTED = frozenset(functions.PARTS_OF_TIME) - {"millisecond", "week_of_year"}
_INTERVALS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?: [0-9]{1,2}:[0-9]{1,2}(?::[0-9]{1,2}(?:\.[0-9]{1,3})?)?)?) +(.+)"
)


class _Translation:
    def __init__(self, text: str, schema: Schema, began: str) -> None:
        self._text = text
        self._began = began
        self._tables = {
            table.lower(): {column.lower(): from_hive(kind) for column, kind in columns.items()}
            for table, columns in schema.items()
        }
        self.reads: set[str] = set()
        self._named = 0

    # A query and its clauses.

    def query(self, node: exp.Expr, context: _Context) -> tuple[str, Sequence[_Column]]:
        """A select, a union or the like, or one of them in parentheses."""
        if isinstance(node, exp.Subquery):
            if node.args.get("with_") or any(node.args.get(part) for part in ("order", "limit", "offset")):
                inner, columns = self.query(node.this, self._with(node, context)[1])
                tail = self._tail(node, _Scope(outputs=_outputs("", columns)), [one.type for one in columns])
                return f"{self._with(node, context)[0]}({inner}){tail}", columns
            return self.query(node.this, context)
        withs, inside = self._with(node, context)
        if isinstance(node, exp.Select):
            written, columns = self._select(node, inside)
        elif type(node) in _SET_OPERATIONS:
            written, columns = self._set_operation(node, inside)
        else:
            raise self._unsupported(node)
        return withs + written, columns

    def _with(self, node: exp.Expr, context: _Context) -> tuple[str, _Context]:
        clause = node.args.get("with_")
        if clause is None:
            return "", context
        if clause.args.get("recursive"):
            raise SqlError("with recursive is not answered on the laptop: write the steps out.")
        known = dict(context.withs)
        written = []
        for part in clause.expressions:
            alias = part.args["alias"]
            name = name_of(self._text, alias.this)
            inner, columns = self.query(part.this, replace(context, withs=known))
            # A name of its own, so that a table of the same name can still be read inside.
            unique = self._unique(name)
            written.append(f"{quoted(unique)} as ({inner})")
            known[name] = (unique, self._renamed(columns, alias, f"with {name}"))
        return f"with {', '.join(written)} ", replace(context, withs=known)

    def _unique(self, name: str) -> str:
        self._named += 1
        return f"{name}_{self._named}"

    def _renamed(self, columns: Sequence[_Column], alias: exp.Expr | None, what: str) -> Sequence[_Column]:
        names = [name_of(self._text, one) for one in (alias.args.get("columns") or [])] if alias else []
        if not names:
            return columns
        if len(names) != len(columns):
            raise SqlError(f"{what} names {len(names)} columns and has {len(columns)}: name each.")
        return [replace(column, name=name) for column, name in zip(columns, names, strict=True)]

    def _set_operation(self, node: exp.Expr, context: _Context) -> tuple[str, Sequence[_Column]]:
        word = _SET_OPERATIONS[type(node)]
        left, right = (self.query(node.args[side], context) for side in ("this", "expression"))
        if len(left[1]) != len(right[1]):
            raise SqlError(
                f"The two sides of {word} have {len(left[1])} and {len(right[1])} columns "
                f"({place_of(self._text, node.args['expression'])}): give both the same columns."
            )
        kinds = []
        for one, other in zip(left[1], right[1], strict=True):
            kind = common(one.type, other.type)
            if kind is None:
                raise SqlError(
                    f"The two sides of {word} have {one.type} and {other.type} as column {one.name!r} "
                    f"({place_of(self._text, node.args['expression'])}): cast one of them."
                )
            kinds.append(kind)
        every = "" if node.args.get("distinct") else " all"
        written = f" {word}{every} ".join(self._as_kinds(*side, kinds) for side in (left, right))
        columns = [
            replace(one, type=kind, is_stored=one.is_stored and other.is_stored)
            for one, other, kind in zip(left[1], right[1], kinds, strict=True)
        ]
        scope = _Scope(outputs=_outputs("", columns))
        return written + self._tail(node, scope, kinds), columns

    def _as_kinds(self, written: str, columns: Sequence[_Column], kinds: Sequence[SqlType]) -> str:
        pairs = list(zip(columns, kinds, strict=True))
        if all(column.type == kind for column, kind in pairs):
            return f"({written})"
        side = self._unique("side")
        turned = [
            f"{coerce(Typed(named(side, column.inner), column.type), kind)} as {quoted(column.inner)}"
            for column, kind in pairs
        ]
        return f"(select {', '.join(turned)} " + f"from ({written}) as {quoted(side)})"

    def _select(self, node: exp.Select, context: _Context) -> tuple[str, Sequence[_Column]]:
        scope = _Scope(parent=context.scope)
        sources = self._from(node, scope, context)
        for window in node.args.get("windows") or []:
            scope.windows[name_of(self._text, window.this)] = window
        inner = replace(context, scope=scope)
        values, columns = self._projections(node, inner)
        scope.aliases = frozenset(column.name for column in columns)
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on"):
            raise SqlError("Athena has no distinct on: use row_number() over (partition by …) in a subquery.")
        listed = ", ".join(
            f"{value.sql} as {quoted(column.inner)}" for value, column in zip(values, columns, strict=True)
        )
        clauses = [f"select {'distinct ' if distinct is not None else ''}{listed}"]
        if sources:
            clauses.append(f"from {sources}")
        if (where := node.args.get("where")) is not None:
            clauses.append(f"where {self._condition(where.this, inner, 'where')}")
        if (group := node.args.get("group")) is not None:
            clauses.append(self._group(group, values, inner))
        if (having := node.args.get("having")) is not None:
            clauses.append(f"having {self._condition(having.this, inner, 'having')}")
        ordered = _Scope(scope.parent, scope.sources, scope.merged, scope.windows, {})
        for value, column in zip(values, columns, strict=True):
            ordered.outputs.setdefault(column.name, []).append(value)
        tail = self._tail(
            node, ordered, [value.type for value in values], values, inner, is_distinct=distinct is not None
        )
        return " ".join(clauses) + tail, columns

    def _projections(self, node: exp.Select, context: _Context) -> tuple[list[Typed], list[_Column]]:
        named_values: list[tuple[str, Typed]] = []
        for projection in node.expressions:
            if self._is_star(projection):
                named_values.extend(self._star(projection, context))
                continue
            value = self._value(projection.this if isinstance(projection, exp.Alias) else projection, context)
            named_values.append((self._output_name(projection, len(named_values)), value))
        columns: list[_Column] = []
        taken: set[str] = set()
        for name, value in named_values:
            inner = name if name not in taken else self._unique(name)
            taken.add(inner)
            columns.append(_Column(name, value.type, inner, value.is_stored))
        return [value for _, value in named_values], columns

    def _output_name(self, projection: exp.Expr, index: int) -> str:
        match projection:
            case exp.Alias():
                return name_of(self._text, projection.args["alias"])
            case exp.Column():
                return name_of(self._text, projection.this)
            case exp.Dot() if isinstance(projection.expression, exp.Identifier):
                return name_of(self._text, projection.expression)
        return f"_col{index}"

    def _is_star(self, node: exp.Expr) -> bool:
        return isinstance(node, exp.Star) or (
            isinstance(node, exp.Column) and isinstance(node.this, exp.Star)
        )

    def _star(self, node: exp.Expr, context: _Context) -> Iterator[tuple[str, Typed]]:
        scope = context.scope or _Scope()
        star = node.this if isinstance(node, exp.Column) else node
        if any(value for value in star.args.values()):
            raise SqlError("Athena has no * except (…) or * replace (…): list the columns.")
        if isinstance(node, exp.Column):
            alias = name_of(self._text, node.args["table"])
            found = [source for source in scope.sources if source.alias == alias]
            if not found:
                raise self._unknown_column(f"{alias}.*", scope, node)
            for column in found[0].columns:
                yield column.name, found[0].typed(column)
            return
        if not scope.sources:
            raise SqlError("select * needs a from: name a table.")
        yield from scope.merged.items()
        for source in scope.sources:
            for column in source.columns:
                if column.name not in scope.merged:
                    yield column.name, source.typed(column)

    def _group(self, group: exp.Group, values: Sequence[Typed], context: _Context) -> str:
        written = []
        for part in group.expressions:
            if isinstance(part, exp.Literal) and not part.is_string:
                self._ordinal(part, len(values), "group by")
                written.append(part.name)
            elif isinstance(part, exp.GroupingSets | exp.Rollup | exp.Cube):
                raise self._unsupported(part)
            else:
                written.append(self._value(part, context).sql)
        return f"group by {', '.join(written)}"

    def _ordinal(self, literal: exp.Literal, count: int, clause: str) -> int:
        if not literal.name.isdigit() or not 1 <= int(literal.name) <= count:
            raise SqlError(
                f"{clause} {literal.name} names no column ({place_of(self._text, literal)}): "
                f"the select has columns 1 to {count}."
            )
        return int(literal.name)

    def _tail(
        self,
        node: exp.Expr,
        scope: _Scope,
        kinds: Sequence[SqlType],
        values: Sequence[Typed] | None = None,
        context: _Context | None = None,
        *,
        is_distinct: bool = False,
    ) -> str:
        """order by, limit and offset. Of a union only the columns are in sight, which `values` being None says."""
        written = ""
        if (order := node.args.get("order")) is not None:
            inside = replace(context or _Context(), scope=scope)
            terms = []
            for term in order.expressions:
                place = self._place_in(term.this, scope, len(kinds), values)
                if place is None and values is None:
                    raise SqlError(
                        f"A union is ordered by the columns of its result ({place_of(self._text, term)}): "
                        "put it into a subquery to order by something else."
                    )
                if place is not None and (values is None or is_distinct or not values[place - 1].may_be_nan):
                    written_term = str(place)
                else:
                    value = (
                        values[place - 1] if place is not None and values else self._value(term.this, inside)
                    )
                    written_term = self._sortable(value, term)
                terms.append(written_term + _direction(term))
            written += f" order by {', '.join(terms)}"
        for part, word in (("limit", "limit"), ("offset", "offset")):
            if (clause := node.args.get(part)) is not None:
                written += f" {word} {self._limit(clause, word)}"
        return written

    def _place_in(
        self, node: exp.Expr, scope: _Scope, count: int, values: Sequence[Typed] | None
    ) -> int | None:
        """The output column that an order by term names, by its number or by its name."""
        if isinstance(node, exp.Literal) and not node.is_string:
            return self._ordinal(node, count, "order by")
        if isinstance(node, exp.Column) and not node.table:
            named_so = scope.outputs.get(name_of(self._text, node.this), [])
            if len({one.sql for one in named_so}) > 1:
                raise SqlError(
                    f"order by {node.name} may mean several columns ({place_of(self._text, node)}): "
                    "give them different names."
                )
            if named_so:
                every = (
                    list(values)
                    if values is not None
                    else [one for ones in scope.outputs.values() for one in ones]
                )
                return 1 + [one.sql for one in every].index(named_so[0].sql)
        return None

    def _sortable(self, value: Typed, node: exp.Expr) -> str:
        if not value.type.is_orderable and value.type != UNKNOWN:
            raise SqlError(
                f"{value.type} has no order ({place_of(self._text, node)}): order by one of its parts."
            )
        return f"athena_number({cast(value.sql, DOUBLE)})" if value.may_be_nan else value.sql

    def _limit(self, clause: exp.Expr, word: str) -> str:
        count = clause.args.get("count") if isinstance(clause, exp.Fetch) else clause.args.get("expression")
        if not isinstance(count, exp.Literal) or not count.name.isdigit() or clause.args.get("expressions"):
            raise SqlError(f"{word} needs a whole number ({place_of(self._text, clause)}): write it out.")
        return count.name

    # Sources.

    def _from(self, node: exp.Select, scope: _Scope, context: _Context) -> str:
        clause = node.args.get("from_")
        if clause is None:
            if node.args.get("joins"):
                raise self._unsupported(node)
            return ""
        written = self._source(clause.this, scope, context)
        for join in [*(clause.this.args.get("joins") or []), *(node.args.get("joins") or [])]:
            written += self._join(join, scope, context)
        return written

    def _source(self, node: exp.Expr, scope: _Scope, context: _Context) -> str:
        alias = node.args.get("alias")
        name = name_of(self._text, alias.this) if alias is not None and alias.this is not None else ""
        match node:
            case exp.Table():
                return self._table(node, name, alias, scope, context)
            case exp.Subquery():
                if isinstance(node.this, exp.Table | exp.Subquery) and alias is None:
                    if node.args.get("joins") or node.this.args.get("joins"):
                        raise SqlError(
                            "Joins in parentheses are not answered on the laptop: write them one after another."
                        )
                    return self._source(node.this, scope, context)
                written, columns = self.query(node.this, context)
                return self._derived(written, columns, name, alias, scope)
            case exp.Values():
                written, columns = self._rows(node, context)
                return self._derived(written, columns, name, alias, scope)
            case exp.Unnest():
                return self._unnest(node, name, alias, scope, context)
        raise self._unsupported(node)

    def _derived(
        self, written: str, columns: Sequence[_Column], name: str, alias: exp.Expr | None, scope: _Scope
    ) -> str:
        inner = name or self._unique("subquery")
        self._add(scope, _Source(name, self._renamed(columns, alias, name or "the subquery"), inner), alias)
        return f"({written}) as {quoted(inner)}"

    def _add(self, scope: _Scope, source: _Source, node: exp.Expr | None) -> None:
        if source.alias and any(other.alias == source.alias for other in scope.sources):
            where = f" ({place_of(self._text, node)})" if node is not None else ""
            raise SqlError(f"Two sources are called {source.alias!r}{where}: give one of them another alias.")
        scope.sources.append(source)

    def _table(
        self, node: exp.Table, alias_name: str, alias: exp.Expr | None, scope: _Scope, context: _Context
    ) -> str:
        if not isinstance(node.this, exp.Identifier):
            raise SqlError(
                f"A function cannot stand in from ({place_of(self._text, node)}): use a table or unnest(…)."
            )
        name = name_of(self._text, node.this)
        database = node.args.get("db")
        catalog = node.args.get("catalog")
        if (database is not None and name_of(self._text, database) != DATABASE) or (
            catalog is not None and name_of(self._text, catalog) != _CATALOG
        ):
            raise SqlError(
                f"The laptop's lake has the database {DATABASE!r} only ({place_of(self._text, node)}): "
                f"write {DATABASE}.{name} or {name}."
            )
        if database is None and name in context.withs:
            inner, columns = context.withs[name]
        elif name in self._tables:
            self.reads.add(name)
            inner = name
            columns = [
                _Column(column, kind, column, is_stored=True) for column, kind in self._tables[name].items()
            ]
        else:
            raise SqlError(
                f"There is no table or view {name!r} ({place_of(self._text, node)}); "
                f"{nearest(name, [*self._tables, *context.withs])}; show tables lists them."
            )
        shown = alias_name or name
        self._add(scope, _Source(shown, self._renamed(columns, alias, shown), shown), node)
        return f"{quoted(inner)} as {quoted(shown)}"

    def _rows(self, node: exp.Values, context: _Context) -> tuple[str, Sequence[_Column]]:
        rows = [[self._value(cell, context) for cell in row.expressions] for row in node.expressions]
        if len({len(row) for row in rows}) != 1:
            raise SqlError(
                f"The rows of values differ in length ({place_of(self._text, node)}): give each the same columns."
            )
        kinds = []
        for cells in zip(*rows, strict=True):
            kind: SqlType | None = UNKNOWN
            for cell in cells:
                kind = common(kind, cell.type) if kind is not None else None
            if kind is None:
                raise SqlError(
                    f"A column of values mixes types ({place_of(self._text, node)}): cast its values alike."
                )
            kinds.append(kind)
        written = ", ".join(
            "("
            + ", ".join(cast(coerce(cell, kind), kind) for cell, kind in zip(row, kinds, strict=True))
            + ")"
            for row in rows
        )
        names = [f"_col{index}" for index in range(len(kinds))]
        listed = ", ".join(quoted(name) for name in names)
        stored = [all(cell.is_stored for cell in cells) for cells in zip(*rows, strict=True)]
        columns = [
            _Column(name, kind, name, is_stored)
            for name, kind, is_stored in zip(names, kinds, stored, strict=True)
        ]
        return f"select {listed} " + f"from (values {written}) as rows({listed})", columns

    def _unnest(
        self, node: exp.Unnest, name: str, alias: exp.Expr | None, scope: _Scope, context: _Context
    ) -> str:
        """Each array becomes a column, each map two, an array of rows one for each field; the shorter end in nulls."""
        offset = node.args.get("offset")
        names = (
            [name_of(self._text, one) for one in (alias.args.get("columns") or [])]
            if alias is not None
            else []
        )
        if isinstance(offset, exp.Identifier):
            names.append(name_of(self._text, offset))
        if not name or not names:
            raise SqlError(
                f"unnest(…) needs a name and names for its columns ({place_of(self._text, node)}): as t(x)."
            )
        spread: list[str] = []
        columns: list[tuple[str, SqlType]] = []
        inside = replace(context, scope=scope)
        values = [self._value(one, inside) for one in node.expressions]
        for value in values:
            slot = f"u{len(spread)}"
            match value.type.name:
                case "map":
                    for side, function in enumerate(("map_keys", "map_values")):
                        columns.append((quoted(f"u{len(spread)}"), value.type.arguments[side]))
                        spread.append(f"{function}({value.sql})")
                case "array" if value.type.arguments[0].name == "row":
                    spread.append(value.sql)
                    row = Typed(quoted(slot), value.type.arguments[0])
                    parts = [field_of(row, part) for part in row.type.fields]
                    columns.extend((part.sql, part.type) for part in parts)
                case "array":
                    spread.append(value.sql)
                    columns.append((quoted(slot), value.type.arguments[0]))
                case _:
                    raise SqlError(
                        f"unnest() takes arrays and maps, not {value.type} ({place_of(self._text, node)})."
                    )
        if offset:
            longest = ", ".join(f"coalesce(len({one}), 0)" for one in spread)
            columns.append((quoted(f"u{len(spread)}"), BIGINT))
            spread.append(f"range(1, 1 + greatest({longest}, 0))")
        if len(names) != len(columns):
            raise SqlError(
                f"unnest(…) as {name} has {len(columns)} columns and {len(names)} names ({place_of(self._text, node)})."
            )
        rows = ", ".join(f"unnest({one}) as {quoted(f'u{index}')}" for index, one in enumerate(spread))
        listed = ", ".join(f"{sql} as {quoted(one)}" for (sql, _), one in zip(columns, names, strict=True))
        stored = all(value.is_stored for value in values)
        found = [_Column(one, kind, one, stored) for one, (_, kind) in zip(names, columns, strict=True)]
        self._add(scope, _Source(name, found, name), node)
        return f"lateral (select {listed} " + f"from (select {rows})) as {quoted(name)}"

    def _join(self, node: exp.Join, scope: _Scope, context: _Context) -> str:
        side, kind = str(node.args.get("side") or "").lower(), str(node.args.get("kind") or "").lower()
        if side not in ("", "left", "right", "full") or kind not in ("", "inner", "outer", "cross"):
            raise SqlError(
                f"Athena has no {side} {kind} join ({place_of(self._text, node)}): join on a condition."
            )
        before = list(scope.sources)
        source = self._source(node.this, scope, context)
        on, using = node.args.get("on"), node.args.get("using")
        is_lateral = isinstance(node.this, exp.Unnest)
        if on is None and not using:
            if side or kind == "inner" or (kind == "" and not is_lateral and node.args.get("kind")):
                raise SqlError(
                    f"A {side or kind} join needs a condition ({place_of(self._text, node)}): on … or using (…)."
                )
            return f" cross join {source}"
        if is_lateral and (side not in ("", "left") or not isinstance(on, exp.Boolean) or not on.this):
            raise SqlError(
                f"unnest is joined with cross join or left join … on true ({place_of(self._text, node)})."
            )
        word = f"{side} join" if side else "join"
        if using:
            return f" {word} {source} on {self._using(using, side, scope, before)}"
        return f" {word} {source} on {self._condition(on, replace(context, scope=scope), 'on')}"

    def _using(self, using: Sequence[exp.Expr], side: str, scope: _Scope, before: Sequence[_Source]) -> str:
        conditions = []
        joined = scope.sources[-1]
        earlier = _Scope(sources=list(before), merged=scope.merged)
        for identifier in using:
            name = name_of(self._text, identifier)
            left = self._lookup([name], earlier, identifier)
            right = self._lookup([name], _Scope(sources=[joined]), identifier)
            conditions.append(self._compare("=", left, right, identifier))
            kind = common(left.type, right.type) or left.type
            one, other = coerce(left, kind), coerce(right, kind)
            both = {"full": f"coalesce({one}, {other})", "right": other}.get(side, one)
            scope.merged[name] = Typed(both, kind, is_stored=left.is_stored and right.is_stored)
        return " and ".join(conditions)

    # Values.

    def _condition(self, node: exp.Expr, context: _Context, clause: str) -> str:
        value = self._value(node, context)
        if value.type not in (BOOLEAN, UNKNOWN):
            raise SqlError(
                f"{clause} needs a boolean and got {value.type} ({place_of(self._text, node)}): write a comparison."
            )
        return coerce(value, BOOLEAN)

    def _value(self, node: exp.Expr, context: _Context) -> Typed:
        operator = type(node)
        if operator in _COMPARISONS:
            left, right = self._pair(node, context)
            return Typed(self._compare(_COMPARISONS[operator], left, right, node), BOOLEAN)
        if operator in _ARITHMETIC or operator is exp.Div:
            with self._placed(node):
                return self._arithmetic(node, context)
        match node:
            case exp.Paren():
                return self._value(node.this, context)
            case exp.Column() | exp.Dot():
                return self._reference(node, context)
            case exp.Literal():
                return self._literal(node)
            case exp.Boolean():
                return Typed(str(node.this).lower(), BOOLEAN)
            case exp.Null():
                return Typed("null", UNKNOWN, is_stored=True)
            case exp.And() | exp.Or():
                word = "and" if operator is exp.And else "or"
                sides = [self._condition(node.args[side], context, word) for side in ("this", "expression")]
                return Typed(f"({f' {word} '.join(sides)})", BOOLEAN)
            case exp.Not():
                return Typed(f"(not {self._condition(node.this, context, 'not')})", BOOLEAN)
            case exp.Is():
                if not isinstance(node.expression, exp.Null):
                    raise SqlError(f"Athena has is null only ({place_of(self._text, node)}): compare with =.")
                word = "is not null" if node.args.get("negate") else "is null"
                return Typed(f"({self._value(node.this, context).sql} {word})", BOOLEAN)
            case exp.NullSafeEQ() | exp.NullSafeNEQ():
                return self._distinct_from(node, context)
            case exp.Between():
                return self._between(node, context)
            case exp.In():
                return self._in(node, context)
            case exp.Like() | exp.Escape():
                return self._like(node, context)
            case exp.Exists():
                written, _ = self.query(node.this, context)
                return Typed(f"exists ({written})", BOOLEAN)
            case exp.Subquery() | exp.Select():
                written, columns = self.query(node, context)
                if len(columns) != 1:
                    raise SqlError(
                        f"A subquery as a value has one column ({place_of(self._text, node)}): select one."
                    )
                return Typed(f"({written})", columns[0].type, is_stored=columns[0].is_stored)
            case exp.Case():
                return self._case(node, context)
            case exp.If():
                return self._branches(
                    [(self._condition(node.this, context, "if"), node.args["true"])],
                    node.args.get("false"),
                    context,
                    node,
                )
            case exp.Cast():
                return self._cast(node, context)
            case exp.Neg():
                return self._negative(node, context)
            case exp.Interval():
                return self._interval(node)
            case exp.DPipe():
                return self._call("concat", [node.this, node.expression], node, context)
            case exp.AtTimeZone():
                return self._at_time_zone(node, context)
            case exp.Extract():
                part = node.this.name.lower()
                if part not in _EXTRACTED:
                    raise SqlError(
                        f"extract knows no {part} ({place_of(self._text, node)}); {nearest(part, _EXTRACTED)}."
                    )
                return self._call(part, [node.expression], node, context)
            case exp.StrPosition():
                return self._call("strpos", [node.this, node.args["substr"]], node, context)
            case exp.Trim():
                return self._trim(node, context)
            case exp.Bracket() if len(node.expressions) == 1:
                return functions.subscript(
                    self._as_call("[…]", [node.this, *node.expressions], node, context)
                )
            case exp.Array():
                return self._array(node, context)
            case exp.CurrentDate() | exp.CurrentTimestamp() | exp.Localtimestamp():
                return self._moment(node)
            case exp.Anonymous() | exp.Filter() | exp.Window() | exp.IgnoreNulls() | exp.RespectNulls():
                return self._function(node, context)
        raise self._unsupported(node)

    def _pair(self, node: exp.Expr, context: _Context) -> tuple[Typed, Typed]:
        return self._value(node.args["this"], context), self._value(node.args["expression"], context)

    def _compare(self, sign: str, left: Typed, right: Typed, node: exp.Expr) -> str:
        kind = common(left.type, right.type)
        if kind is None or not (kind.is_orderable or kind == UNKNOWN):
            raise SqlError(
                f"Athena cannot compare {left.type} with {right.type} ({place_of(self._text, node)}): cast one of them."
            )
        one, other = coerce(left, kind), coerce(right, kind)
        written = f"({one} {sign} {other})"
        if kind.is_floating and (left.may_be_nan or right.may_be_nan):
            return f"athena_ordered({one}, {other}, {written}, {'true' if sign == '<>' else 'false'})"
        return written

    def _distinct_from(self, node: exp.Expr, context: _Context) -> Typed:
        left, right = self._pair(node, context)
        self._compare("=", left, right, node)
        kind = common(left.type, right.type) or left.type
        word = "is not distinct from" if isinstance(node, exp.NullSafeEQ) else "is distinct from"
        return Typed(f"({coerce(left, kind)} {word} {coerce(right, kind)})", BOOLEAN)

    def _between(self, node: exp.Between, context: _Context) -> Typed:
        value = self._value(node.this, context)
        low, high = (self._value(node.args[side], context) for side in ("low", "high"))
        return Typed(
            f"({self._compare('>=', value, low, node)} and {self._compare('<=', value, high, node)})", BOOLEAN
        )

    def _in(self, node: exp.In, context: _Context) -> Typed:
        value = self._value(node.this, context)
        if (inner := node.args.get("query")) is not None:
            written, columns = self.query(inner, context)
            if len(columns) != 1:
                raise SqlError(
                    f"in (select …) compares with one column ({place_of(self._text, node)}): select one."
                )
            kind = common(value.type, columns[0].type)
            self._compare("=", value, Typed("", columns[0].type, is_stored=True), node)
            assert kind is not None
            return Typed(f"({coerce(value, kind)} in {self._as_kinds(written, columns, [kind])})", BOOLEAN)
        members = [self._value(member, context) for member in node.expressions]
        kind = value.type
        for member in members:
            self._compare("=", value, member, node)
            kind = common(kind, member.type) or kind
        if kind.is_floating and any(one.may_be_nan for one in members):
            return Typed(
                "(" + " or ".join(self._compare("=", value, one, node) for one in members) + ")", BOOLEAN
            )
        return Typed(
            f"({coerce(value, kind)} in ({', '.join(coerce(one, kind) for one in members)}))", BOOLEAN
        )

    def _like(self, node: exp.Expr, context: _Context) -> Typed:
        like = node.this if isinstance(node, exp.Escape) else node
        if not isinstance(like, exp.Like):
            raise self._unsupported(like)
        sides = self._pair(like, context)
        if any(side.type not in (VARCHAR, UNKNOWN) for side in sides):
            raise SqlError(
                f"like compares varchar with varchar ({place_of(self._text, node)}): cast the other."
            )
        word = "not like" if like.args.get("negate") else "like"
        written = f"{coerce(sides[0], VARCHAR)} {word} {coerce(sides[1], VARCHAR)}"
        if isinstance(node, exp.Escape):
            mark = node.expression
            if not isinstance(mark, exp.Literal) or len(mark.name) != 1:
                raise SqlError(f"escape needs one character ({place_of(self._text, node)}): write it out.")
            written += f" escape {string(mark.name)}"
        return Typed(f"({written})", BOOLEAN)

    def _case(self, node: exp.Case, context: _Context) -> Typed:
        subject = self._value(node.this, context) if node.this is not None else None
        branches = []
        for branch in node.args["ifs"]:
            if subject is None:
                condition = self._condition(branch.this, context, "when")
            else:
                condition = self._compare("=", subject, self._value(branch.this, context), branch)
            branches.append((condition, branch.args["true"]))
        return self._branches(branches, node.args.get("default"), context, node)

    def _branches(
        self,
        branches: Iterable[tuple[str, exp.Expr]],
        otherwise: exp.Expr | None,
        context: _Context,
        node: exp.Expr,
    ) -> Typed:
        values = [(condition, self._value(value, context)) for condition, value in branches]
        last = self._value(otherwise, context) if otherwise is not None else None
        every = [value for _, value in values] + ([last] if last is not None else [])
        kind = UNKNOWN
        for value in every:
            shared = common(kind, value.type)
            if shared is None:
                raise SqlError(
                    f"The branches give {kind} and {value.type} ({place_of(self._text, node)}): cast them to one type."
                )
            kind = shared
        written = " ".join(f"when {condition} then {coerce(value, kind)}" for condition, value in values)
        end = f" else {coerce(last, kind)}" if last is not None else ""
        return Typed(f"case {written}{end} end", kind, is_stored=all(value.is_stored for value in every))

    def _cast(self, node: exp.Cast, context: _Context) -> Typed:
        written = node.args["to"].sql(dialect="trino")
        is_literal = isinstance(node.this, exp.Literal) and node.this.is_string
        digits = re.fullmatch(r"(?i)timestamp\(([0-9]+)\)( with time zone)?", written)
        if is_literal and digits is not None:
            if int(digits.group(1)) > 3:
                raise SqlError(
                    f"Timestamps have milliseconds here ({place_of(self._text, node)}): write at most three digits."
                )
            written = "timestamp with time zone" if digits.group(2) else "timestamp"
        to = from_trino(written)
        value = self._value(node.this, context)
        if value.text is not None and to.is_instant:
            return self._instant(value.text, node)
        return convert(value, to, is_try=isinstance(node, exp.TryCast), where=place_of(self._text, node))

    def _instant(self, text: str, node: exp.Expr) -> Typed:
        """A timestamp with its zone written out, such as timestamp '2020-01-01 00:00:00 Europe/Berlin'."""
        where = place_of(self._text, node)
        found = _MOMENT.fullmatch(text)
        if found is None:
            raise SqlError(
                f"{text!r} is not a timestamp with a zone ({where}): write '2020-01-01 00:00:00 UTC'."
            )
        wall, zone = found.groups()
        if re.fullmatch(r"[+-][0-9]{2}:[0-9]{2}", zone):
            instant = cast(
                string(f"{wall}{':00' if wall.count(':') == 0 and ' ' in wall else ''}{zone}"), TIMESTAMP_TZ
            )
            return Typed(instant, replace(TIMESTAMP_TZ, zone=UNKNOWN_ZONE))
        zone = functions.zone_named(zone, where)
        return Typed(f"timezone('{zone}', {cast(string(wall), TIMESTAMP)})", replace(TIMESTAMP_TZ, zone=zone))

    def _negative(self, node: exp.Neg, context: _Context) -> Typed:
        value = self._value(node.this, context)
        if not value.type.is_number and value.type not in (DAY_TO_SECOND, YEAR_TO_MONTH):
            raise SqlError(f"- needs a number and got {value.type} ({place_of(self._text, node)}): cast it.")
        digits = f"-{value.digits}" if value.digits is not None and not value.digits.startswith("-") else None
        return Typed(f"(- {value.sql})", value.type, digits=digits, is_stored=value.is_stored)

    def _interval(self, node: exp.Interval) -> Typed:
        unit = node.args.get("unit")
        text = node.this
        name = unit.name.lower() if isinstance(unit, exp.Var) else ""
        where = place_of(self._text, node)
        if not isinstance(text, exp.Literal) or not re.fullmatch(r"[+-]?[0-9]+", text.name.strip()):
            raise SqlError(
                f"An interval is written like interval '2' day ({where}): use date_add for a computed one."
            )
        count = int(text.name)
        if name in _INTERVALS:
            return Typed(f"to_{name}s({count})", DAY_TO_SECOND)
        if name in ("month", "year"):
            return Typed(f"to_{name}s({count})", YEAR_TO_MONTH)
        raise SqlError(
            f"Athena has no interval of {name or 'this unit'} ({where}): use second, minute, hour, day, month, year."
        )

    def _arithmetic(self, node: exp.Expr, context: _Context) -> Typed:
        left, right = self._pair(node, context)
        spans = (DAY_TO_SECOND, YEAR_TO_MONTH)
        if isinstance(node, exp.Div):
            return functions.divide(left, right)
        sign = _ARITHMETIC[type(node)]
        if sign == "+" and left.type in spans and right.type not in spans:
            left, right = right, left
        if sign in "+-" and right.type in spans:
            return self._shifted(sign, left, right, node)
        moments = (DATE, TIMESTAMP)
        if sign == "-" and all(one.type in moments or one.type.is_instant for one in (left, right)):
            kind = common(left.type, right.type) or TIMESTAMP
            kind = TIMESTAMP if kind == DATE else kind
            return Typed(f"({coerce(left, kind)} - {coerce(right, kind)})", DAY_TO_SECOND)
        return functions.arithmetic(sign, left, right)

    def _shifted(self, sign: str, of: Typed, span: Typed, node: exp.Expr) -> Typed:
        """A moment, or a span, moved by a span."""
        if of.type == span.type:
            return Typed(f"({of.sql} {sign} {span.sql})", of.type)
        if of.type == DATE:
            if not re.fullmatch(r"\(?(- )?to_(day|month|year)s\(-?[0-9]+\)\)?", span.sql):
                raise SqlError(
                    f"A date moves by whole days, months and years ({place_of(self._text, node)}): "
                    "cast it to timestamp first."
                )
            return Typed(cast(f"({of.sql} {sign} {span.sql})", DATE), DATE)
        if of.type == TIMESTAMP:
            return Typed(f"({of.sql} {sign} {span.sql})", TIMESTAMP)
        if of.type.is_instant:
            if span.type == DAY_TO_SECOND:
                return replace(
                    of,
                    sql=f"({of.sql} {sign} {span.sql})",
                    instant=f"({of.instant} {sign} {span.sql})" if of.instant else "",
                )
            wall = f"({local(of, 'An interval of months')} {sign} {span.sql})"
            return Typed(f"timezone('{of.type.zone}', {wall})", of.type)
        raise SqlError(f"Athena has no {of.type} {sign} {span.type}")

    def _at_time_zone(self, node: exp.AtTimeZone, context: _Context) -> Typed:
        zone = node.args["zone"]
        where = place_of(self._text, node)
        if not isinstance(zone, exp.Literal):
            raise SqlError(
                f"at time zone needs a zone written out ({where}): such as 'UTC' or 'Europe/Berlin'."
            )
        return functions.at_zone(self._value(node.this, context), zone.name, where)

    def _trim(self, node: exp.Trim, context: _Context) -> Typed:
        side = str(node.args.get("position") or "BOTH").upper()
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(side, "trim")
        characters = node.args.get("expression")
        if characters is None:
            return self._call(name, [node.this], node, context)
        call = self._as_call(name, [node.this, characters], node, context)
        return Typed(f"{name}({call.given(0, VARCHAR)}, {call.given(1, VARCHAR)})", VARCHAR)

    def _array(self, node: exp.Array, context: _Context) -> Typed:
        members = tuple(self._value(member, context) for member in node.expressions)
        kind = UNKNOWN
        for member in members:
            shared = common(kind, member.type)
            if shared is None:
                raise SqlError(
                    f"The array mixes {kind} and {member.type} ({place_of(self._text, node)}): cast them alike."
                )
            kind = shared
        written = ", ".join(coerce(member, kind) for member in members)
        return Typed(cast(f"[{written}]", array(kind)), array(kind), parts=members)

    def _literal(self, node: exp.Literal) -> Typed:
        text = node.name
        if node.is_string:
            return Typed(string(text), VARCHAR, text=text, is_stored=True)
        if re.fullmatch(r"[0-9]+", text):
            value = int(text)
            if value >= 2**63:
                raise SqlError(
                    f"{text} is too large for bigint ({place_of(self._text, node)}): write it as a decimal, {text}.0."
                )
            return Typed(str(value), INTEGER if value < 2**31 else BIGINT, digits=str(value), is_stored=True)
        if re.fullmatch(r"[0-9]*\.?[0-9]*[eE][+-]?[0-9]+", text):
            return Typed(cast(text, DOUBLE), DOUBLE, digits=text, is_stored=True)
        whole, _, fraction = text.partition(".")
        whole = whole.lstrip("0")
        kind = decimal(max(1, len(whole) + len(fraction)), len(fraction))
        if len(whole) + len(fraction) > 38:
            raise SqlError(
                f"{text} has more digits than a decimal ({place_of(self._text, node)}): write {text}e0 for a double."
            )
        return Typed(cast(string(text), kind), kind, digits=text, is_stored=True)

    def _moment(self, node: exp.Expr) -> Typed:
        name = {exp.CurrentDate: "current_date", exp.Localtimestamp: "localtimestamp"}.get(type(node), "now")
        return functions.now(name, self._began)

    # Names.

    def _reference(self, node: exp.Expr, context: _Context) -> Typed:
        names: list[str] = []
        inner = node
        while isinstance(inner, exp.Dot):
            if not isinstance(inner.expression, exp.Identifier):
                raise self._unsupported(inner.expression)
            names.insert(0, name_of(self._text, inner.expression))
            inner = inner.this
        if not isinstance(inner, exp.Column):
            value = self._value(inner, context)
        else:
            identifiers = [inner.args.get(part) for part in ("catalog", "db", "table", "this")]
            names = [name_of(self._text, one) for one in identifiers if one is not None] + names
            return self._lookup(names, context.scope or _Scope(), node)
        for name in names:
            value = field_of(value, name)
        return value

    def _lookup(self, names: list[str], scope: _Scope, node: exp.Expr) -> Typed:
        around: _Scope | None = scope
        while around is not None:
            found = self._in_scope(names, around, node)
            if found is not None:
                return found
            around = around.parent
        raise self._unknown_column(".".join(names), scope, node)

    def _in_scope(self, names: list[str], scope: _Scope, node: exp.Expr) -> Typed | None:
        if (
            len(names) > 2
            and names[0] == DATABASE
            and any(source.alias == names[1] for source in scope.sources)
        ):
            names = names[1:]
        if len(names) > 1:
            for source in scope.sources:
                if source.alias != names[0]:
                    continue
                if names[1] in scope.merged:
                    raise SqlError(
                        f"{names[1]!r} belongs to both sides of using ({place_of(self._text, node)}): "
                        f"write {names[1]} without {names[0]}."
                    )
                columns = [column for column in source.columns if column.name == names[1]]
                if columns:
                    return self._one_of([source.typed(column) for column in columns], names, 2, node)
        if names[0] in scope.merged:
            return self._one_of([scope.merged[names[0]]], names, 1, node)
        found = [
            source.typed(column)
            for source in scope.sources
            for column in source.columns
            if column.name == names[0]
        ]
        return self._one_of(found, names, 1, node) if found else None

    def _one_of(self, found: Sequence[Typed], names: Sequence[str], used: int, node: exp.Expr) -> Typed:
        if len(found) > 1:
            raise SqlError(
                f"{names[0]!r} is a column of several sources ({place_of(self._text, node)}): "
                f"write its table before it, as in t.{names[0]}."
            )
        value = found[0]
        for name in names[used:]:
            if name not in value.type.fields:
                raise SqlError(
                    f"{'.'.join(names[:used])} has no field {name!r} ({place_of(self._text, node)}); "
                    f"{nearest(name, value.type.fields)}."
                )
            value = field_of(value, name)
        return value

    def _unknown_column(self, name: str, scope: _Scope, node: exp.Expr) -> SqlError:
        tables = [source.alias for source in scope.sources if source.alias]
        where = place_of(self._text, node)
        if not scope.sources:
            return SqlError(f"There is no column {name!r} ({where}): the query has no from.")
        alone = name.rpartition(".")[2]
        hint = nearest(alone, scope.columns())
        ask = f"; describe {tables[0]} lists them" if tables and tables[0] in self._tables else ""
        if alone in scope.aliases:
            hint = "an alias can be used in order by only: repeat the expression"
            ask = ""
        return SqlError(
            f"There is no column {name!r} in {', '.join(tables) or 'the subquery'} ({where}); {hint}{ask}."
        )

    # Functions.

    def _as_call(self, name: str, arguments: Iterable[exp.Expr], node: exp.Expr, context: _Context) -> Call:
        values = []
        for argument in arguments:
            if isinstance(argument, exp.Lambda):
                raise SqlError(
                    f"{name}() with a lambda (x -> …) is not answered on the laptop ({place_of(self._text, node)}): "
                    "unnest the array and use where or an aggregate."
                )
            values.append(self._value(argument, context))
        return Call(name, tuple(values), place_of(self._text, node), self._began)

    def _call(self, name: str, arguments: Iterable[exp.Expr], node: exp.Expr, context: _Context) -> Typed:
        return functions.SCALARS[name](self._as_call(name, arguments, node, context))

    def _function(self, node: exp.Expr, context: _Context) -> Typed:
        """A call with what may stand around it: filter (where …), ignore nulls, over (…)."""
        over = filtered = ""
        ignores = ""
        window: exp.Window | None = None
        while not isinstance(node, exp.Anonymous):
            match node:
                case exp.Window():
                    window = node
                    over = f" over ({self._window(node, context)})"
                case exp.Filter():
                    filtered = self._condition(node.expression.this, context, "filter")
                case exp.IgnoreNulls():
                    ignores = " ignore nulls"
                case exp.RespectNulls():
                    pass
                case _:
                    raise self._unsupported(node)
            node = node.this
        name = str(node.this).lower()
        where = place_of(self._text, node)
        arguments = list(node.expressions)
        is_aggregate = name in functions.AGGREGATES
        if name in functions.SCALARS:
            if (
                over
                or filtered
                or ignores
                or any(isinstance(one, exp.Distinct | exp.Order) for one in arguments)
            ):
                raise SqlError(
                    f"{name}() is not an aggregate ({where}): it takes no over, filter or distinct."
                )
            return self._call(name, arguments, node, context)
        if not is_aggregate and name not in functions.WINDOWS:
            raise SqlError(
                f"{name}() is not among the functions that the laptop answers as Athena does ({where}); "
                f"{nearest(name, functions.known())}."
            )
        write = Aggregation(filtered=filtered, over=over)
        if is_aggregate:
            arguments, write = self._around_arguments(name, arguments, write, where, context)
        if ignores:
            if name not in functions.MAY_IGNORE_NULLS:
                raise SqlError(
                    f"{name}() takes no ignore nulls on the laptop ({where}): filter the nulls out."
                )
            write = replace(write, order=ignores)
        if name in functions.WINDOWS:
            self._check_window(name, window, filtered, where, context)
        if name == "count" and len(arguments) == 1 and isinstance(arguments[0], exp.Star):
            arguments = []
        call = self._as_call(name, arguments, node, context)
        return (functions.AGGREGATES if is_aggregate else functions.WINDOWS)[name](call, write)

    def _around_arguments(
        self, name: str, arguments: list[exp.Expr], write: Aggregation, where: str, context: _Context
    ) -> tuple[list[exp.Expr], Aggregation]:
        order = next((one for one in arguments if isinstance(one, exp.Order)), None)
        if order is not None:
            if name not in functions.MAY_BE_ORDERED or arguments[-1] is not order:
                raise SqlError(f"{name}() takes no order by ({where}): only array_agg does.")
            terms = [self._term(term, context) for term in order.expressions]
            write = replace(write, order=f" order by {', '.join(terms)}")
            arguments = [*arguments[:-1], order.this]
        if any(isinstance(one, exp.Distinct) for one in arguments):
            distinct = arguments[0]
            if name not in functions.MAY_BE_DISTINCT or write.over or len(arguments) != 1:
                raise SqlError(f"{name}() takes no distinct here ({where}): select distinct in a subquery.")
            arguments = list(distinct.expressions)
            if len(arguments) != 1:
                raise SqlError(f"{name}(distinct …) takes one value ({where}): concat the values.")
            write = replace(write, distinct=True)
        return arguments, write

    def _check_window(
        self, name: str, window: exp.Window | None, filtered: str, where: str, context: _Context
    ) -> None:
        if window is None or filtered:
            raise SqlError(f"{name}() needs over (…) and takes no filter ({where}).")
        if name in functions.NEED_AN_ORDER:
            spec = self._specification(window, context)
            if spec.args.get("order") is None or spec.args.get("spec") is not None:
                raise SqlError(f"{name}() needs an order by in its window and takes no frame ({where}).")

    def _specification(self, node: exp.Window, context: _Context) -> exp.Window:
        alias = node.args.get("alias")
        if alias is None:
            return node
        name = name_of(self._text, alias)
        known = (context.scope or _Scope()).windows
        if name not in known or any(node.args.get(part) for part in ("partition_by", "order", "spec")):
            raise SqlError(
                f"There is no window {name!r} to use as it is ({place_of(self._text, node)}): write over (…)."
            )
        return known[name]

    def _window(self, node: exp.Window, context: _Context) -> str:
        node = self._specification(node, context)
        parts = []
        if node.args.get("partition_by"):
            parts.append(
                "partition by "
                + ", ".join(self._value(one, context).sql for one in node.args["partition_by"])
            )
        if (order := node.args.get("order")) is not None:
            parts.append("order by " + ", ".join(self._term(term, context) for term in order.expressions))
        if (frame := node.args.get("spec")) is not None:
            parts.append(self._frame(frame))
        return " ".join(parts)

    def _term(self, term: exp.Expr, context: _Context) -> str:
        return self._sortable(self._value(term.this, context), term) + _direction(term)

    def _frame(self, frame: exp.Expr) -> str:
        kind = str(frame.args.get("kind")).lower()
        if kind not in ("rows", "range") or frame.args.get("exclude"):
            raise SqlError(
                f"A frame counts rows or a range ({place_of(self._text, frame)}): write rows between … and …."
            )
        edges = [self._edge(frame, "start", kind)]
        if frame.args.get("end") is not None:
            edges.append(self._edge(frame, "end", kind))
        return f"{kind} between {edges[0]} and {edges[1] if len(edges) == 2 else 'current row'}"

    def _edge(self, frame: exp.Expr, side: str, kind: str) -> str:
        edge, direction = frame.args.get(side), str(frame.args.get(f"{side}_side") or "").lower()
        if isinstance(edge, str):
            return f"{edge.lower()} {direction}".strip()
        if kind == "rows" and isinstance(edge, exp.Literal) and edge.name.isdigit():
            return f"{edge.name} {direction}"
        if kind == "range" and isinstance(edge, exp.Interval):
            return f"{self._interval(edge).sql} {direction}"
        raise SqlError(
            f"A frame's edge is a number of rows or an interval written out ({place_of(self._text, frame)})."
        )

    # Refusals.

    def _unsupported(self, node: exp.Expr) -> SqlError:
        return SqlError(_refusal(type(node).__name__, self._text, node))

    @contextmanager
    def _placed(self, node: exp.Expr) -> Iterator[None]:
        """Adds the place to a refusal that does not know it."""
        try:
            yield
        except SqlError as error:
            if "line " in str(error):
                raise
            raise SqlError(
                f"{str(error).rstrip('.')} ({place_of(self._text, node)}): cast one of them."
            ) from error


def _outputs(table: str, columns: Sequence[_Column]) -> dict[str, list[Typed]]:
    found: dict[str, list[Typed]] = {}
    for column in columns:
        sql = named(table, column.inner) if table else quoted(column.inner)
        found.setdefault(column.name, []).append(Typed(sql, column.type, is_stored=column.is_stored))
    return found


def _direction(term: exp.Expr) -> str:
    """Athena puts nulls last in both directions unless told otherwise."""
    return f" {'desc' if term.args.get('desc') else 'asc'} nulls {'first' if term.args.get('nulls_first') else 'last'}"
