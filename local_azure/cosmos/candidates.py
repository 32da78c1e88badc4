"""Which rows a query has to look at: a partition, a range, or the rows an automatic index names.

Takes a compiled query and its scope; gives batches of (position, body) that resume after a position. The choice between
indexes is made by counting index entries up to a limit, so it adapts to the data without statistics.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from local_azure.cosmos.container import Container
from local_azure.cosmos.partition_key import PartitionKey
from local_azure.cosmos.path_index import MAX_COLUMNS, Path
from local_azure.cosmos.sql.prefilter import EQUAL, Group, necessary_conditions, sql_ranges
from local_azure.cosmos.sql.select import Select

BATCH_ROWS = 256
_PROBE_LIMIT = 2000
_MAX_ALTERNATIVES = 64
_MAX_EQUAL = 5000


class Scope(NamedTuple):
    """What part of a container a query reads: one key, or a part of the hash space."""

    key: PartitionKey | None
    low: str
    high: str


Position = int | str
Batch = list[tuple[Position, bytes]]
Tests = list[tuple[str, list[Any]]]


def _groups(select: Select) -> list[Group]:
    sources = select.query.sources
    if not sources or sources[0].value is not None:
        return []
    return necessary_conditions(select.query.where, sources[0].alias)


def _union(container: Container, group: Group, p: dict[str, Any]) -> Tests | None:
    """The alternatives of a group as SQL tests with their arguments; None when a column is missing."""
    tests: Tests = []
    equal: dict[int, list[Any]] = {}
    for part in group:
        number = container.table.columns.number_of(part.path)
        found = sql_ranges(part, p) if number is not None else None
        if number is None or found is None:
            return None
        for test, values in found:
            if test == EQUAL:
                equal.setdefault(number, []).append(values[0])
            else:
                tests.append((test.replace("{x}", f"x{number}"), values))
    for number, values in equal.items():
        tests.append((f"x{number} IN ({','.join('?' * len(values))})", values))
    return tests if len(tests) <= _MAX_ALTERNATIVES and sum(map(len, equal.values())) <= _MAX_EQUAL else None


def _probe(container: Container, tests: Tests, limit: int) -> int:
    name = container.table.name
    total = 0
    for test, values in tests:
        statement = f"SELECT count(*) FROM (SELECT 1 FROM {name} WHERE {test} LIMIT {limit})"  # noqa: S608 - see item_table
        total += container.store.execute(statement, values).fetchone()[0]
    return total


def condition_paths(select: Select) -> list[Path]:
    """Paths a query compares with constants."""
    return sorted({condition.path for group in _groups(select) for condition in group})


def missing_paths(container: Container, select: Select) -> list[Path]:
    """Those of them that have no column yet, as many as may be added."""
    columns = container.table.columns
    return [path for path in condition_paths(select) if not columns.knows(path)][: MAX_COLUMNS - len(columns)]


def _fewest(container: Container, choices: list[Tests], limit: int) -> Tests | None:
    """The choice with the fewest index entries, if one has less than a limit."""
    best: Tests | None = None
    for tests in choices:
        count = _probe(container, tests, limit)
        if count < limit:
            best, limit = tests, count
    return best


def _indexed_rows(container: Container, select: Select, p: dict[str, Any]) -> list[int] | None:
    choices = [tests for group in _groups(select) if (tests := _union(container, group, p)) is not None]
    best = _fewest(container, choices, _PROBE_LIMIT) or _fewest(container, choices, container.last_rid // 4)
    if best is None:
        return None
    name = container.table.name
    statement = " UNION ".join(f"SELECT rid FROM {name} WHERE {test}" for test, _ in best)  # noqa: S608 - see item_table
    arguments = [value for _, values in best for value in values]
    return sorted(row[0] for row in container.store.execute(statement, arguments))


def _in_partition(container: Container, key: PartitionKey, after: Position | None, now: int) -> Iterator[Batch]:
    statement = (
        f"SELECT id, body FROM {container.table.name} WHERE pk=? AND id>?"  # noqa: S608 - see item_table
        f" AND (exp IS NULL OR +exp>?) ORDER BY id LIMIT {BATCH_ROWS}"
    )
    while True:
        rows = container.store.execute(statement, (key.text, after or "", now)).fetchall()
        if rows:
            yield rows
        if len(rows) < BATCH_ROWS:
            return
        after = rows[-1][0]


def _in_range(container: Container, scope: Scope, after: Position | None, now: int) -> Iterator[Batch]:
    statement = (
        f"SELECT rid, body FROM {container.table.name} WHERE rid>? AND epk>=? AND epk<?"  # noqa: S608 - see item_table
        f" AND (exp IS NULL OR +exp>?) ORDER BY rid LIMIT {BATCH_ROWS}"
    )
    while True:
        rows = container.store.execute(statement, (after or 0, scope.low, scope.high, now)).fetchall()
        if rows:
            yield rows
        if len(rows) < BATCH_ROWS:
            return
        after = rows[-1][0]


def _by_number(container: Container, numbers: list[int], scope: Scope, now: int) -> Iterator[Batch]:
    for start in range(0, len(numbers), BATCH_ROWS):
        part = numbers[start : start + BATCH_ROWS]
        statement = (
            f"SELECT rid, body FROM {container.table.name} WHERE rid IN ({','.join('?' * len(part))})"  # noqa: S608 - see item_table
            " AND +epk>=? AND +epk<? AND (exp IS NULL OR +exp>?) ORDER BY rid"
        )
        rows = container.store.execute(statement, (*part, scope.low, scope.high, now)).fetchall()
        if rows:
            yield rows


def candidates(
    container: Container, select: Select, p: dict[str, Any], scope: Scope, after: Position | None
) -> Iterator[Batch]:
    """Batches of live rows that can match, after a position of an earlier page."""
    now = int(container.store.clock())
    if scope.key is not None:
        return _in_partition(container, scope.key, after, now)
    numbers = _indexed_rows(container, select, p)
    if numbers is None:
        return _in_range(container, scope, after, now)
    return _by_number(container, [number for number in numbers if number > int(after or 0)], scope, now)
