"""A whole SELECT, compiled: from root documents to result values.

`expand` turns one document into bound rows (FROM, JOIN, WHERE), `project` makes a result of a row, and a collector
gathers rows that need ordering, grouping or deduplication. Subqueries run the same pipeline on the spot.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.errors import bad_request
from local_azure.cosmos.sql.aggregates import new_accumulator
from local_azure.cosmos.sql.evaluator import Bindings, Evaluate, Parameters, Scope, compile_expression
from local_azure.cosmos.sql.parser import parse_query
from local_azure.cosmos.sql.tree import Alias, Call, Column, Literal, Node, Property, Query
from local_azure.cosmos.sql.values import distinct_key, sort_key

_MAX_COUNT = 2**31
_SPARE_ROWS = 1000


class Select:
    """A compiled query; immutable, shared by all requests that send the same text."""

    def __init__(self, query: Query, outer: Scope | None = None) -> None:
        self.query = query
        self.is_inner = outer is not None
        scope = outer or Scope({}, 0, compile_subquery)
        self.sources: list[tuple[Evaluate | None, bool]] = []
        for number, source in enumerate(query.sources):
            value = None
            if source.value is not None:
                inner = scope
                if number == 0 and outer is None:
                    inner = Scope({_root_name(source.value): 0}, 1, compile_subquery)
                value = compile_expression(source.value, inner)
            elif outer is not None:
                value = compile_expression(Alias(source.alias), outer)
            self.sources.append((value, source.each))
            scope = scope.with_alias(source.alias)
        self.where = compile_expression(query.where, scope) if query.where is not None else None
        self.size = scope.size
        self.group_by = [compile_expression(node, scope) for node in query.group_by]
        calls = self._compile_results(scope, reserve=bool(query.group_by))
        if calls and not query.group_by:
            calls = self._compile_results(scope, reserve=True)
        self.aggregates = [(call.name, compile_expression(call.arguments[0], scope)) for call in calls]
        empty = Scope({}, 0, compile_subquery)
        self.top, self.offset, self.limit = (
            compile_expression(node, empty) if node is not None else None
            for node in (query.top, query.offset, query.limit)
        )
        self.counts_rows = query.where is None and all(
            call.name == "COUNT" and isinstance(call.arguments[0], Literal) for call in calls
        )
        self.is_grouped = bool(self.aggregates or query.group_by)
        if query.star and self.is_grouped:
            raise bad_request("SELECT * cannot be used with GROUP BY.")
        self.is_streaming = not (self.is_grouped or self.order or query.distinct)

    def _compile_results(self, scope: Scope, *, reserve: bool) -> list[Call]:
        """Compiles what is computed per result; grouped rows carry their aggregates in a slot of their own."""
        results = Scope(scope.slots, scope.size + reserve, compile_subquery)
        results.aggregates, results.aggregate_slot = [], scope.size
        self.project = self._compile_projection(results)
        self.order = [(compile_expression(order.value, results), order.descending) for order in self.query.order_by]
        return results.aggregates

    def _compile_projection(self, scope: Scope) -> Evaluate:
        query = self.query
        if query.star:
            if len(query.sources) != 1:
                raise bad_request("'SELECT *' is only valid with a single input set.")
            slot = scope.slots[query.sources[0].alias]
            return lambda b, _p: b[slot]
        if query.value:
            return compile_expression(query.columns[0].value, scope)
        values = [compile_expression(column.value, scope) for column in query.columns]
        fields = list(zip(self.column_names(query), values, strict=True))
        return lambda b, p: {name: value for name, field in fields if (value := field(b, p)) is not UNDEFINED}

    @staticmethod
    def column_names(query: Query) -> list[str]:
        names = [_column_name(column, number) for number, column in enumerate(query.columns, 1)]
        if len(names) != len(set(names)):
            raise bad_request("The select list has the same name twice.")
        return names

    def expand(self, base: Bindings, p: Parameters) -> Iterator[Bindings]:
        """The bound rows of one root document (outermost query: base = [document]) that satisfy WHERE."""
        rows: list[Bindings] = [base]
        for number, (value, each) in enumerate(self.sources):
            if value is None:
                continue
            replaces_root = number == 0 and not self.is_inner
            rows = [
                ([] if replaces_root else row) + [element]
                for row in rows
                for element in _elements(value(row, p), each=each)
            ]
        where = self.where
        for row in rows:
            if where is None or where(row, p) is True:
                yield row

    def bounds(self, p: Parameters) -> tuple[int, int]:
        """(rows to skip, rows to give) of TOP or OFFSET LIMIT."""
        skip = _count(self.offset, p, "OFFSET") if self.offset is not None else 0
        take = _MAX_COUNT
        if self.limit is not None:
            take = _count(self.limit, p, "LIMIT")
        if self.top is not None:
            take = min(take, _count(self.top, p, "TOP"))
        return skip, take

    def collector(self, p: Parameters) -> "RowCollector | GroupCollector":
        return GroupCollector(self, p) if self.is_grouped else RowCollector(self, p)


class RowCollector:
    """Gathers projected rows; `results` orders and deduplicates them.

    When only the first rows of an order are wanted, the others are dropped now and then.
    """

    def __init__(self, select: Select, p: Parameters) -> None:
        self.select = select
        self.p = p
        self.rows: list[tuple[list[Any], Any]] = []
        self.most = _MAX_COUNT
        if select.order and not select.query.distinct:
            skip, take = select.bounds(p)
            self.most = 2 * (skip + take) + _SPARE_ROWS

    def add(self, row: Bindings) -> None:
        value = self.select.project(row, self.p)
        if value is not UNDEFINED:
            keys = [sort_key(order(row, self.p)) for order, _ in self.select.order]
            self.rows.append((keys, value))
            if len(self.rows) > self.most:
                self._sort()
                del self.rows[self.most // 2 :]

    def _sort(self) -> None:
        for position in reversed(range(len(self.select.order))):
            # One stable sort for each key, the least important first.
            self.rows.sort(key=lambda row: row[0][position], reverse=self.select.order[position][1])

    def results(self) -> list[Any]:
        self._sort()
        values = [value for _, value in self.rows]
        if self.select.query.distinct:
            first: dict[bytes, Any] = {}
            for value in values:
                first.setdefault(distinct_key(value), value)
            values = list(first.values())
        return values


class GroupCollector:
    """Accumulates aggregates for each group; without GROUP BY there is exactly one group."""

    def __init__(self, select: Select, p: Parameters) -> None:
        self.select = select
        self.p = p
        self.groups: dict[bytes, tuple[Bindings, list[Any]]] = {}
        if not select.group_by:
            self.groups[b""] = ([{}] * select.size, self._new())

    def _new(self) -> list[Any]:
        return [new_accumulator(name) for name, _ in self.select.aggregates]

    def add(self, row: Bindings) -> None:
        select, p = self.select, self.p
        key = b"\0".join(distinct_key(part(row, p)) for part in select.group_by)
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = (row, self._new())
        for (_, argument), accumulator in zip(select.aggregates, group[1], strict=True):
            accumulator.add(argument(row, p))

    def add_rows(self, count: int) -> None:
        """Counts rows without looking at them; for queries that only count (`Select.counts_rows`)."""
        for (_, argument), accumulator in zip(self.select.aggregates, self.groups[b""][1], strict=True):
            accumulator.count += count * (argument([], self.p) is not UNDEFINED)

    def results(self) -> list[Any]:
        rows = RowCollector(self.select, self.p)
        for first, accumulators in self.groups.values():
            rows.add([*first, [accumulator.result() for accumulator in accumulators]])
        return rows.results()


def _elements(value: Any, *, each: bool) -> list[Any]:
    if each:
        return value if type(value) is list else []
    return [] if value is UNDEFINED else [value]


def _count(node: Evaluate, p: Parameters, clause: str) -> int:
    value = node([], p)
    if type(value) is not int or not 0 <= value < _MAX_COUNT:
        raise bad_request(f"{clause} needs a non-negative integer.")
    return value


def _root_name(node: Node) -> str:
    while isinstance(node, Property):
        node = node.base
    return node.name if isinstance(node, Alias) else ""


def _column_name(column: Column, number: int) -> str:
    if column.name:
        return column.name
    value = column.value
    if isinstance(value, Alias):
        return value.name
    if isinstance(value, Property) and isinstance(value.key, Literal) and isinstance(value.key.value, str):
        return value.key.value
    return f"${number}"


def compile_subquery(query: Query, outer: Scope) -> Evaluate:
    select = Select(query, outer)

    def rows(b: Bindings, p: Parameters) -> list[Any]:
        collector = select.collector(p)
        for row in select.expand(b, p):
            collector.add(row)
        skip, take = select.bounds(p)
        return collector.results()[skip : skip + take]

    return rows


@lru_cache(maxsize=512)
def compile_text(text: str) -> Select:
    """The compiled query of a text. Raises 400 for text that is not a query."""
    try:
        return Select(parse_query(text))
    except RecursionError:
        raise bad_request("The query is nested too deeply.") from None
