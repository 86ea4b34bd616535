"""Which parts of SQL are understood; a query with any other is refused before it is read."""

from __future__ import annotations

from sqlglot import exp

from sql.errors import SqlError
from sql.parse import place_of

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Mod: "%"}
SET_OPERATIONS: dict[type[exp.Expr], str] = {
    exp.Union: "union",
    exp.Intersect: "intersect",
    exp.Except: "except",
}
# Every kind of node that is understood, with those of its optional parts that are; any other stops the query.
# A part that nobody looks at would be an answer to another question (one holds the not of `not like`).
_UNDERSTOOD: dict[type[exp.Expr], str] = {
    **dict.fromkeys((*COMPARISONS, *ARITHMETIC), ""),
    **dict.fromkeys(SET_OPERATIONS, "with_ distinct order limit offset"),
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


def refuse_what_is_not_understood(text: str, query: exp.Expr) -> None:
    for node in query.walk(prune=lambda one: isinstance(one, exp.DataType)):
        if isinstance(node, exp.DataType):
            continue
        understood = _UNDERSTOOD.get(type(node))
        if understood is None:
            raise SqlError(refusal(type(node).__name__, text, node))
        for part, value in node.args.items():
            if value in (None, False, []) or part in understood.split() or node.arg_types.get(part):
                continue
            raise SqlError(refusal(_WORDS.get(part, part.strip("_").replace("_", " ")), text, node))


def refusal(what: str, text: str, node: exp.Expr) -> str:
    return (
        f"{what} is not answered on the laptop ({place_of(text, node)}): "
        "ask without it, or ask Athena itself."
    )
