"""Athena's SQL as DuckDB's, understood piece by piece: every name is resolved and every type is Athena's.

sqlglot reads the text; here are the clauses of a query, in `sql.expressions` its values and in
`sql.functions` what each name means. What is not understood is refused with a sentence, so that an answer is
Athena's answer or none. Differences that remain: approximate aggregates are exact here, and a sum of doubles
may differ in its last digits, as it may between two runs in Athena.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlglot import exp

from sql.duck import cast, quoted
from sql.errors import SqlError, nearest
from sql.expressions import Expressions, direction
from sql.parse import name_of, parse, place_of
from sql.scope import DATABASE, Column, Context, Scope, Source, lookup, unknown_column
from sql.typed import Typed, coerce, named
from sql.typed import field as field_of
from sql.types import BIGINT, UNKNOWN, SqlType, common, from_hive
from sql.understood import SET_OPERATIONS, refuse_what_is_not_understood

Schema = Mapping[str, Mapping[str, str]]
"""Table or view → its columns with their Hive types, as Glue holds them."""

_CATALOG = "awsdatacatalog"


@dataclass(frozen=True)
class Output:
    """One column of a result."""

    name: str
    type: SqlType


@dataclass(frozen=True)
class Analysis:
    """A query that has been understood: its DuckDB SQL, its result's columns, and what it reads."""

    sql: str
    columns: tuple[Output, ...]
    reads: frozenset[str]


def to_duckdb(sql: str, schema: Schema, *, now: datetime | None = None) -> str:
    """DuckDB SQL with the meaning that `sql` has in Athena, for a connection that `sql.duck.prepare` has set.

    Raises SqlError for what Athena would refuse and for what cannot be answered as Athena does.

    >>> to_duckdb("select 7 / 2 as half", {})
    'select (7 // 2) as "half"'
    """
    return analyse(sql, schema, now=now).sql


def analyse(
    sql: str, schema: Schema, *, now: datetime | None = None, views: Collection[str] = ()
) -> Analysis:
    """As `to_duckdb`, with the result's columns.

    `now` is the moment at which the query is said to begin. `views` are the names in the schema that are
    views: their columns are computed, so that a double in them may be NaN.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    began = moment.replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
    translation = _Translation(sql, schema, began, views)
    query = parse(sql)
    refuse_what_is_not_understood(sql, query)
    written, columns = translation.query(query, Context())
    return Analysis(
        written, tuple(Output(one.name, one.type) for one in columns), frozenset(translation.reads)
    )


class _Translation(Expressions):
    def __init__(self, text: str, schema: Schema, began: str, views: Collection[str]) -> None:
        super().__init__(text, began)
        self._tables = {
            table.lower(): {column.lower(): from_hive(kind) for column, kind in columns.items()}
            for table, columns in schema.items()
        }
        self._views = frozenset(views)
        self.reads: set[str] = set()
        self._named = 0

    # A query and its clauses.

    def query(self, node: exp.Expr, context: Context) -> tuple[str, Sequence[Column]]:
        """A select, a union or the like, or one of them in parentheses."""
        if isinstance(node, exp.Subquery):
            if node.args.get("with_") or any(node.args.get(part) for part in ("order", "limit", "offset")):
                inner, columns = self.query(node.this, self._with(node, context)[1])
                tail = self._tail(node, _outputs(columns))
                return f"{self._with(node, context)[0]}({inner}){tail}", columns
            return self.query(node.this, context)
        withs, inside = self._with(node, context)
        if isinstance(node, exp.Select):
            written, columns = self._select(node, inside)
        elif type(node) in SET_OPERATIONS:
            written, columns = self._set_operation(node, inside)
        else:
            raise self.unsupported(node)
        return withs + written, columns

    def _with(self, node: exp.Expr, context: Context) -> tuple[str, Context]:
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
        """A name for DuckDB that no table or column has: those have no blanks."""
        self._named += 1
        return f"{name} {self._named}"

    def _renamed(self, columns: Sequence[Column], alias: exp.Expr | None, what: str) -> Sequence[Column]:
        names = [name_of(self._text, one) for one in (alias.args.get("columns") or [])] if alias else []
        if not names:
            return columns
        if len(names) != len(columns):
            raise SqlError(f"{what} names {len(names)} columns and has {len(columns)}: name each.")
        return [replace(column, name=name) for column, name in zip(columns, names, strict=True)]

    def _set_operation(self, node: exp.Expr, context: Context) -> tuple[str, Sequence[Column]]:
        word = SET_OPERATIONS[type(node)]
        left, right = (self.query(node.args[side], context) for side in ("this", "expression"))
        if len(left[1]) != len(right[1]):
            raise self.wrong(
                node.args["expression"],
                f"The two sides of {word} have {len(left[1])} and {len(right[1])} columns",
                "give both the same columns",
            )
        kinds = []
        for one, other in zip(left[1], right[1], strict=True):
            kind = common(one.type, other.type)
            if kind is None:
                raise self.wrong(
                    node.args["expression"],
                    f"The two sides of {word} have {one.type} and {other.type} as column {one.name!r}",
                    "cast one of them",
                )
            kinds.append(kind)
        every = "" if node.args.get("distinct") else " all"
        written = f" {word}{every} ".join(self.as_kinds(*side, kinds) for side in (left, right))
        columns = [
            replace(one, type=kind, is_stored=one.is_stored and other.is_stored)
            for one, other, kind in zip(left[1], right[1], kinds, strict=True)
        ]
        return written + self._tail(node, _outputs(columns)), columns

    def as_kinds(self, written: str, columns: Sequence[Column], kinds: Sequence[SqlType]) -> str:
        pairs = list(zip(columns, kinds, strict=True))
        if all(column.type == kind for column, kind in pairs):
            return f"({written})"
        side = self._unique("side")
        turned = [
            f"{coerce(Typed(named(side, column.inner), column.type), kind)} as {quoted(column.inner)}"
            for column, kind in pairs
        ]
        return f"(select {', '.join(turned)} " + f"from ({written}) as {quoted(side)})"

    def _select(self, node: exp.Select, context: Context) -> tuple[str, Sequence[Column]]:
        scope = Scope(parent=context.scope)
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
            clauses.append(f"where {self.condition(where.this, inner, 'where')}")
        if (group := node.args.get("group")) is not None:
            clauses.append(self._group(group, values, inner))
        if (having := node.args.get("having")) is not None:
            clauses.append(f"having {self.condition(having.this, inner, 'having')}")
        named_values = [(column.name, value) for column, value in zip(columns, values, strict=True)]
        tail = self._tail(node, named_values, inner, is_distinct=distinct is not None)
        return " ".join(clauses) + tail, columns

    def _projections(self, node: exp.Select, context: Context) -> tuple[list[Typed], list[Column]]:
        named_values: list[tuple[str, Typed]] = []
        for projection in node.expressions:
            if self._is_star(projection):
                named_values.extend(self._star(projection, context))
                continue
            value = self.value(projection.this if isinstance(projection, exp.Alias) else projection, context)
            named_values.append((self._output_name(projection, len(named_values)), value))
        columns: list[Column] = []
        taken: set[str] = set()
        for name, value in named_values:
            inner = name if name not in taken else self._unique(name)
            taken.add(inner)
            columns.append(Column(name, value.type, inner, value.is_stored))
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

    def _star(self, node: exp.Expr, context: Context) -> Iterator[tuple[str, Typed]]:
        scope = context.scope or Scope()
        star = node.this if isinstance(node, exp.Column) else node
        if any(value for value in star.args.values()):
            raise SqlError("Athena has no * except (…) or * replace (…): list the columns.")
        if isinstance(node, exp.Column):
            alias = name_of(self._text, node.args["table"])
            found = [source for source in scope.sources if source.alias == alias]
            if not found:
                raise unknown_column(self._text, f"{alias}.*", scope, node)
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

    def _group(self, group: exp.Group, values: Sequence[Typed], context: Context) -> str:
        written = []
        for part in group.expressions:
            if isinstance(part, exp.Literal) and not part.is_string:
                self._ordinal(part, len(values), "group by")
                written.append(part.name)
            elif isinstance(part, exp.GroupingSets | exp.Rollup | exp.Cube):
                raise self.unsupported(part)
            else:
                written.append(self.value(part, context).sql)
        return f"group by {', '.join(written)}"

    def _ordinal(self, literal: exp.Literal, count: int, clause: str) -> int:
        if not literal.name.isdigit() or not 1 <= int(literal.name) <= count:
            raise self.wrong(
                literal, f"{clause} {literal.name} names no column", f"the select has columns 1 to {count}"
            )
        return int(literal.name)

    def _tail(
        self,
        node: exp.Expr,
        outputs: Sequence[tuple[str, Typed]],
        context: Context | None = None,
        *,
        is_distinct: bool = False,
    ) -> str:
        """order by, limit and offset; without a context only the columns are in sight, as after a union."""
        written = ""
        if (order := node.args.get("order")) is not None:
            terms = [self._order_term(term, outputs, context, is_distinct) for term in order.expressions]
            written += f" order by {', '.join(terms)}"
        for part in ("limit", "offset"):
            if (clause := node.args.get(part)) is not None:
                written += f" {part} {self._limit(clause, part)}"
        return written

    def _order_term(
        self, term: exp.Expr, outputs: Sequence[tuple[str, Typed]], context: Context | None, is_distinct: bool
    ) -> str:
        place = self._place_in(term.this, outputs)
        if place is not None:
            value = outputs[place - 1][1]
        elif context is not None and context.scope is not None:
            context.scope.outputs = outputs
            value = self.value(term.this, context)
            place = next((at for at, (_, one) in enumerate(outputs, start=1) if one.sql == value.sql), None)
        if place is None and (context is None or is_distinct):
            raise self.wrong(
                term,
                "After distinct, union and the like only the columns of the result are in sight of order by",
                "put it into a subquery to order by something else",
            )
        if place is not None and (context is None or is_distinct or not value.may_be_nan):
            return str(place) + direction(term)
        return self.sortable(value, term) + direction(term)

    def _place_in(self, node: exp.Expr, outputs: Sequence[tuple[str, Typed]]) -> int | None:
        """The output column that an order by term names, by its number or by its name."""
        if isinstance(node, exp.Literal) and not node.is_string:
            return self._ordinal(node, len(outputs), "order by")
        if not isinstance(node, exp.Column) or node.table:
            return None
        wanted = name_of(self._text, node.this)
        places = [place for place, (name, _) in enumerate(outputs, start=1) if name == wanted]
        if len({outputs[place - 1][1].sql for place in places}) > 1:
            raise self.wrong(
                node, f"order by {node.name} may mean several columns", "give them different names"
            )
        return places[0] if places else None

    def _limit(self, clause: exp.Expr, word: str) -> str:
        count = clause.args.get("count") if isinstance(clause, exp.Fetch) else clause.args.get("expression")
        if not isinstance(count, exp.Literal) or not count.name.isdigit() or clause.args.get("expressions"):
            raise self.wrong(clause, f"{word} needs a whole number", "write it out")
        return count.name

    # Sources.

    def _from(self, node: exp.Select, scope: Scope, context: Context) -> str:
        clause = node.args.get("from_")
        if clause is None:
            if node.args.get("joins"):
                raise self.unsupported(node)
            return ""
        written = self._source(clause.this, scope, context)
        for join in [*(clause.this.args.get("joins") or []), *(node.args.get("joins") or [])]:
            written += self._join(join, scope, context)
        return written

    def _source(self, node: exp.Expr, scope: Scope, context: Context) -> str:
        alias = node.args.get("alias")
        name = name_of(self._text, alias.this) if alias is not None and alias.this is not None else ""
        match node:
            case exp.Table():
                return self._table(node, name, alias, scope, context)
            case exp.Subquery():
                if isinstance(node.this, exp.Table | exp.Subquery) and alias is None:
                    if node.args.get("joins") or node.this.args.get("joins"):
                        raise SqlError(
                            "Joins in parentheses are not answered on the laptop: write them in a row."
                        )
                    return self._source(node.this, scope, context)
                written, columns = self.query(node.this, context)
                return self._derived(written, columns, name, alias, scope)
            case exp.Values():
                written, columns = self._rows(node, context)
                return self._derived(written, columns, name, alias, scope)
            case exp.Unnest():
                return self._unnest(node, name, alias, scope, context)
        raise self.unsupported(node)

    def _derived(
        self, written: str, columns: Sequence[Column], name: str, alias: exp.Expr | None, scope: Scope
    ) -> str:
        inner = name or self._unique("subquery")
        self._add(scope, Source(name, self._renamed(columns, alias, name or "the subquery"), inner), alias)
        return f"({written}) as {quoted(inner)}"

    def _add(self, scope: Scope, source: Source, node: exp.Expr | None) -> None:
        if source.alias and any(other.alias == source.alias for other in scope.sources):
            where = f" ({place_of(self._text, node)})" if node is not None else ""
            raise SqlError(f"Two sources are called {source.alias!r}{where}: give one of them another alias.")
        scope.sources.append(source)

    def _table(
        self, node: exp.Table, alias_name: str, alias: exp.Expr | None, scope: Scope, context: Context
    ) -> str:
        if not isinstance(node.this, exp.Identifier):
            raise self.wrong(node, "A function cannot stand in from", "use a table or unnest(…)")
        name = name_of(self._text, node.this)
        database = node.args.get("db")
        catalog = node.args.get("catalog")
        if (database is not None and name_of(self._text, database) != DATABASE) or (
            catalog is not None and name_of(self._text, catalog) != _CATALOG
        ):
            raise self.wrong(
                node,
                f"The laptop's lake has the database {DATABASE!r} only",
                f"write {DATABASE}.{name} or {name}",
            )
        is_with = database is None and name in context.withs
        if is_with:
            inner, columns = context.withs[name]
        elif name in self._tables:
            self.reads.add(name)
            inner = name
            columns = [
                Column(column, kind, column, is_stored=name not in self._views)
                for column, kind in self._tables[name].items()
            ]
        else:
            raise self.wrong(
                node,
                f"There is no table or view {name!r}",
                f"{nearest(name, [*self._tables, *context.withs])}; show tables lists them",
            )
        shown = alias_name or name
        self._add(scope, Source(shown, self._renamed(columns, alias, shown), shown, not is_with), node)
        return f"{quoted(inner)} as {quoted(shown)}"

    def _rows(self, node: exp.Values, context: Context) -> tuple[str, Sequence[Column]]:
        rows = [[self.value(cell, context) for cell in row.expressions] for row in node.expressions]
        if len({len(row) for row in rows}) != 1:
            raise self.wrong(node, "The rows of values differ in length", "give each the same columns")
        kinds = []
        for cells in zip(*rows, strict=True):
            kind: SqlType | None = UNKNOWN
            for cell in cells:
                kind = common(kind, cell.type) if kind is not None else None
            if kind is None:
                raise self.wrong(node, "A column of values mixes types", "cast its values alike")
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
            Column(name, kind, name, is_stored)
            for name, kind, is_stored in zip(names, kinds, stored, strict=True)
        ]
        return f"select {listed} " + f"from (values {written}) as rows({listed})", columns

    def _unnest(
        self, node: exp.Unnest, name: str, alias: exp.Expr | None, scope: Scope, context: Context
    ) -> str:
        """An array becomes a column, a map two, an array of rows one a field; the shorter end in nulls."""
        offset = node.args.get("offset")
        names = (
            [name_of(self._text, one) for one in (alias.args.get("columns") or [])]
            if alias is not None
            else []
        )
        if isinstance(offset, exp.Identifier):
            names.append(name_of(self._text, offset))
        if not name or not names:
            raise self.wrong(node, "unnest(…) needs a name and names for its columns", "as t(x)")
        spread: list[str] = []
        columns: list[tuple[str, SqlType]] = []
        inside = replace(context, scope=scope)
        values = [self.value(one, inside) for one in node.expressions]
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
                f"unnest(…) as {name} has {len(columns)} columns and {len(names)} names "
                f"({place_of(self._text, node)}): name each."
            )
        rows = ", ".join(f"unnest({one}) as {quoted(f'u{index}')}" for index, one in enumerate(spread))
        listed = ", ".join(f"{sql} as {quoted(one)}" for (sql, _), one in zip(columns, names, strict=True))
        stored = all(value.is_stored for value in values)
        found = [Column(one, kind, one, stored) for one, (_, kind) in zip(names, columns, strict=True)]
        self._add(scope, Source(name, found, name), node)
        return f"lateral (select {listed} " + f"from (select {rows})) as {quoted(name)}"

    def _join(self, node: exp.Join, scope: Scope, context: Context) -> str:
        side, kind = str(node.args.get("side") or "").lower(), str(node.args.get("kind") or "").lower()
        if side not in ("", "left", "right", "full") or kind not in ("", "inner", "outer", "cross"):
            raise self.wrong(node, f"Athena has no {side} {kind} join", "join on a condition")
        before = list(scope.sources)
        source = self._source(node.this, scope, context)
        on, using = node.args.get("on"), node.args.get("using")
        is_lateral = isinstance(node.this, exp.Unnest)
        if on is None and not using:
            if side or kind == "inner" or (kind == "" and not is_lateral and node.args.get("kind")):
                raise self.wrong(node, f"A {side or kind} join needs a condition", "on … or using (…)")
            return f" cross join {source}"
        if is_lateral and (side not in ("", "left") or not isinstance(on, exp.Boolean) or not on.this):
            raise SqlError(
                f"unnest is joined with cross join or left join … on true ({place_of(self._text, node)})."
            )
        word = f"{side} join" if side else "join"
        if using:
            return f" {word} {source} on {self._using(using, side, scope, before)}"
        if on is None:
            raise self.unsupported(node)
        return f" {word} {source} on {self.condition(on, replace(context, scope=scope), 'on')}"

    def _using(
        self, using: Sequence[exp.Identifier], side: str, scope: Scope, before: Sequence[Source]
    ) -> str:
        conditions = []
        joined = scope.sources[-1]
        earlier = Scope(sources=list(before), merged=scope.merged)
        for identifier in using:
            name = name_of(self._text, identifier)
            left = lookup(self._text, [name], earlier, identifier)
            right = lookup(self._text, [name], Scope(sources=[joined]), identifier)
            conditions.append(self.compare("=", left, right, identifier))
            kind = common(left.type, right.type) or left.type
            one, other = coerce(left, kind), coerce(right, kind)
            both = {"full": f"coalesce({one}, {other})", "right": other}.get(side, one)
            scope.merged[name] = Typed(both, kind, is_stored=left.is_stored and right.is_stored)
        return " and ".join(conditions)

    # Values.


def _outputs(columns: Sequence[Column]) -> list[tuple[str, Typed]]:
    return [
        (column.name, Typed(quoted(column.inner), column.type, is_stored=column.is_stored))
        for column in columns
    ]
