"""The query plan of a cross-partition query: what the client has to merge, and the query each range gets.

Takes a compiled query and its parameters; gives the JSON the SDK asks for with `x-ms-cosmos-is-query-plan-request`.
Shapes the SDK expects back from each range: ORDER BY rows are {"orderByItems": [{"item": v}], "payload": doc},
aggregates are [{"item": v}], AVG is [{"item": {"sum", "count"}}]. The rewritten text is an ordinary query that yields
them. What a client cannot merge is refused, as the service does.
"""

from typing import Any

import orjson

from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import bad_request
from local_azure.cosmos.partition_key import PartitionKey
from local_azure.cosmos.path_index import Path
from local_azure.cosmos.sql.prefilter import constant_of, necessary_conditions
from local_azure.cosmos.sql.select import Select
from local_azure.cosmos.sql.tree import AGGREGATES, Call, Query

_PLAN_NAMES = {
    "COUNT": "Count",
    "COUNTIF": "CountIf",
    "SUM": "Sum",
    "MIN": "Min",
    "MAX": "Max",
    "AVG": "Average",
}
_FULL_RANGE = {"min": "", "max": "FF", "isMinInclusive": True, "isMaxInclusive": False}


def _cut(query: Query, span: tuple[int, int] | None) -> str:
    return query.text[span[0] : span[1]] if span else ""


def _payload(query: Query) -> str:
    if query.star:
        return query.sources[0].alias
    if query.value:
        return _cut(query, query.columns[0].span)
    fields = [
        f"{orjson.dumps(name).decode()}: {_cut(query, column.span)}"
        for name, column in zip(Select.column_names(query), query.columns, strict=True)
    ]
    return "{" + ", ".join(fields) + "}"


def _tail(query: Query, take: int | None) -> str:
    parts = [f" FROM {_cut(query, query.from_span)}"]
    if query.where_span:
        parts.append(f" WHERE ({_cut(query, query.where_span)})")
    if query.order_by:
        keys = [_cut(query, order.span) + (" DESC" if order.descending else " ASC") for order in query.order_by]
        parts.append(" ORDER BY " + ", ".join(keys))
    if take is not None:
        parts.append(f" OFFSET 0 LIMIT {take}")
    return "".join(parts)


def _rewrite_order(query: Query, take: int | None) -> str:
    items = ", ".join(f'{{"item": {_cut(query, order.span)}}}' for order in query.order_by)
    distinct = "DISTINCT " if query.distinct else ""
    rid = "" if query.distinct else f"{query.sources[0].alias}._rid, "
    return f"SELECT {distinct}{rid}[{items}] AS orderByItems, {_payload(query)} AS payload{_tail(query, take)}"


def _rewrite_aggregate(query: Query) -> str:
    text = _cut(query, query.columns[0].span)
    call = query.columns[0].value
    if isinstance(call, Call) and call.name == "AVG":
        argument = text[text.index("(") + 1 : text.rindex(")")]
        text = f'{{"sum": SUM({argument}), "count": COUNT({argument})}}'
    return f'SELECT VALUE [{{"item": {text}}}]{_tail(query, None)}'


def _rewrite_plain(query: Query, take: int | None) -> str:
    distinct = "DISTINCT " if query.distinct else ""
    if query.star:
        return f"SELECT {distinct}*{_tail(query, take)}"
    return f"SELECT {distinct}VALUE {_payload(query)}{_tail(query, take)}"


def fixed_key(container: Container, select: Select, p: dict[str, Any]) -> PartitionKey | None:
    """The only partition key a query can find something in, when its condition names one."""
    sources = select.query.sources
    if not sources or sources[0].value is not None:
        return None
    values: dict[Path, Any] = {}
    for group in necessary_conditions(select.query.where, sources[0].alias):
        if len(group) == 1 and group[0].operator == "=" and group[0].path in container.key.paths:
            value = constant_of(group[0].constants[0], p)
            if value is None or type(value) in (str, int, float, bool):
                values[group[0].path] = value
    if len(values) < len(container.key.paths):
        return None
    return container.key.key_for([values[path] for path in container.key.paths])


def _ranges(container: Container, select: Select, p: dict[str, Any]) -> list[dict[str, Any]]:
    key = fixed_key(container, select, p)
    if key is None:
        return [_FULL_RANGE]
    return [{"min": key.epk, "max": key.epk, "isMinInclusive": True, "isMaxInclusive": True}]


def needs_client(select: Select) -> bool:
    """Whether results of several ranges must be merged by the client; the service serves other queries itself."""
    query = select.query
    return not select.is_streaming or query.top is not None or query.limit is not None


def _check_supported(select: Select) -> None:
    if select.query.group_by:
        raise bad_request(
            "Query contains 1 or more unsupported features. Upgrade your SDK to a version that does support the "
            "requested features: Query contained GroupBy, which the calling client does not support."
        )
    if select.aggregates and select.query.value:
        call = select.query.columns[0].value
        if not isinstance(call, Call) or call.name not in AGGREGATES:
            raise bad_request("Compositions of aggregates and other expressions are not allowed across partitions.")
    if not select.query.sources:
        raise bad_request("A query across partitions needs a FROM clause.")


def query_plan(container: Container, select: Select, p: dict[str, Any]) -> dict[str, Any]:
    """The answer to a query plan request. Raises 400 for what cannot run across partitions."""
    _check_supported(select)
    query = select.query
    skip, take = select.bounds(p)
    # One value needs no order.
    orders = [] if select.aggregates else query.order_by
    has_limit = query.limit is not None
    top = take if query.top is not None else None
    per_range = skip + take if has_limit or top is not None else None
    if query.distinct and query.order_by:
        # Rows of a range are distinct together with their order keys; the client drops more of them afterwards.
        per_range = None
    if select.aggregates:
        rewritten = _rewrite_aggregate(query) if query.value else query.text
    elif query.order_by:
        rewritten = _rewrite_order(query, per_range)
    elif per_range is not None:
        rewritten = _rewrite_plain(query, per_range)
    else:
        rewritten = query.text
    distinct = "None" if not query.distinct else "Ordered" if query.order_by else "Unordered"
    return {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryInfo": {
            "distinctType": distinct,
            "top": top,
            "offset": skip if has_limit else None,
            "limit": take if has_limit else None,
            "orderBy": ["Descending" if order.descending else "Ascending" for order in orders],
            "orderByExpressions": [_cut(query, order.span) for order in orders],
            "groupByExpressions": [],
            "groupByAliases": [],
            "aggregates": [_PLAN_NAMES[name] for name, _ in select.aggregates],
            "groupByAliasToAggregateType": {},
            "rewrittenQuery": rewritten,
            "hasSelectValue": query.value,
            "hasNonStreamingOrderBy": False,
        },
        "queryRanges": _ranges(container, select, p),
    }
