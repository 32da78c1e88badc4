"""Runs a query over its candidates, one page at a time, without holding up other requests.

Takes a compiled query, parameters, scope, page size and continuation; gives a `Page`. Streaming queries resume after
the last row's position; queries that must see everything first (ORDER BY, DISTINCT, GROUP BY, aggregates) keep their
result in memory for the next page and compute it again if it is gone (after a restart).
"""

import asyncio
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from typing import Any, NamedTuple

import orjson

from local_azure.cosmos import request_units
from local_azure.cosmos.candidates import Position, Scope, candidates
from local_azure.cosmos.container import Container
from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.errors import bad_request
from local_azure.cosmos.sql.select import GroupCollector, Select

MAX_PAGE_ITEMS = 1000
DEFAULT_PAGE_ITEMS = 100
MAX_PAGE_BYTES = 4 * 1024 * 1024
_SLICE_SECONDS = 0.004
_KEPT_RESULTS = 64
_KEPT_ROWS = 500_000


class Read(NamedTuple):
    """How many stored items, of what size, were looked at for a page."""

    items: int
    size: int


class Page(NamedTuple):
    """One page of results, each as JSON."""

    documents: list[bytes]
    continuation: str | None
    read: Read

    @property
    def size(self) -> int:
        return sum(map(len, self.documents))

    @property
    def charge(self) -> float:
        return request_units.query_charge(len(self.documents), self.read.items, self.size)


class Token(NamedTuple):
    """A decoded continuation."""

    position: Position | None = None
    skipped: int = 0
    given: int = 0
    kept: int = 0


def _encode(token: Token) -> str:
    return urlsafe_b64encode(orjson.dumps(list(token))).decode()


def _decode(text: str | None) -> Token:
    if not text:
        return Token()
    try:
        position, skipped, given, kept = orjson.loads(urlsafe_b64decode(text))
    except (ValueError, TypeError) as error:
        raise bad_request("The continuation token is not one of this emulator's.") from error
    return Token(position, skipped, given, kept)


class _Breather:
    """Gives way to other requests when a slice of time is used up."""

    def __init__(self) -> None:
        self.until = time.perf_counter() + _SLICE_SECONDS

    def is_due(self) -> bool:
        return time.perf_counter() >= self.until

    async def pause(self) -> None:
        await asyncio.sleep(0)
        self.until = time.perf_counter() + _SLICE_SECONDS


def _reads_whole_items(select: Select) -> bool:
    return len(select.query.sources) == 1 and select.query.sources[0].value is None


def _returns_stored_body(select: Select) -> bool:
    return select.query.star and _reads_whole_items(select)


async def _stream(
    container: Container, select: Select, p: dict[str, Any], scope: Scope, *, limit: int, token: Token
) -> Page:
    skip, take = select.bounds(p)
    skipped, given, items, size, given_size = token.skipped, token.given, 0, 0, 0
    documents: list[bytes] = []
    stored = _returns_stored_body(select)
    breather = _Breather()
    for batch in candidates(container, select, p, scope, token.position):
        for position, body in batch:
            items += 1
            size += len(body)
            rows = [[]] if stored and select.where is None else select.expand([orjson.loads(body)], p)
            for row in rows:
                if skipped < skip:
                    skipped += 1
                    continue
                if given >= take:
                    break
                value = None if stored else select.project(row, p)
                if value is UNDEFINED:
                    continue
                documents.append(body if stored else orjson.dumps(value))
                given_size += len(documents[-1])
                given += 1
            if given >= take:
                return Page(documents, None, Read(items, size))
            if len(documents) >= limit or given_size >= MAX_PAGE_BYTES:
                return Page(documents, _encode(Token(position, skipped, given)), Read(items, size))
            if breather.is_due():
                await breather.pause()
    return Page(documents, None, Read(items, size))


async def _collect(container: Container, select: Select, p: dict[str, Any], scope: Scope) -> tuple[list[Any], Read]:
    collector = select.collector(p)
    items, size = 0, 0
    breather = _Breather()
    if select.counts_rows and isinstance(collector, GroupCollector) and _reads_whole_items(select):
        key = scope.key.text if scope.key is not None else None
        collector.add_rows(container.table.count(int(container.store.clock()), key, scope.low, scope.high))
    else:
        for batch in candidates(container, select, p, scope, None):
            for _, body in batch:
                size += len(body)
                for row in select.expand([orjson.loads(body)], p):
                    collector.add(row)
                if breather.is_due():
                    await breather.pause()
            items += len(batch)
    skip, take = select.bounds(p)
    return collector.results()[skip : skip + take], Read(items, size)


def _slice(values: list[Any], start: int, limit: int) -> list[bytes]:
    page: list[bytes] = []
    size = 0
    for value in values[start : start + limit]:
        page.append(orjson.dumps(value))
        size += len(page[-1])
        if size >= MAX_PAGE_BYTES:
            break
    return page


class _Kept(NamedTuple):
    """A complete result that later pages are cut from."""

    fingerprint: str
    values: list[Any]


class QueryRunner:
    """Runs queries; holds the results whose later pages may be asked for."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._last_kept = 0

    async def run(
        self,
        container: Container,
        select: Select,
        p: dict[str, Any],
        scope: Scope,
        *,
        page_size: int,
        continuation: str | None,
    ) -> Page:
        """The next page of a query. Raises 400 for a foreign continuation token."""
        token = _decode(continuation)
        limit = MAX_PAGE_ITEMS if page_size < 0 else min(page_size or DEFAULT_PAGE_ITEMS, MAX_PAGE_ITEMS)
        if not select.query.sources:
            value = select.project([], p)
            return Page([] if value is UNDEFINED else [orjson.dumps(value)], None, Read(0, 0))
        if select.is_streaming:
            return await _stream(container, select, p, scope, limit=limit, token=token)
        return await self._materialised(container, select, p, scope, limit=limit, token=token)

    async def _materialised(
        self, container: Container, select: Select, p: dict[str, Any], scope: Scope, *, limit: int, token: Token
    ) -> Page:
        fingerprint = f"{container.rid}|{scope}|{select.query.text}|{p}"
        entry, read = self._kept.pop(token.kept, None), Read(0, 0)
        if entry is None or entry.fingerprint != fingerprint:
            values, read = await _collect(container, select, p, scope)
            entry = _Kept(fingerprint, values)
        page = _slice(entry.values, token.given, limit)
        end = token.given + len(page)
        if end >= len(entry.values):
            return Page(page, None, read)
        return Page(page, _encode(Token(given=end, kept=self._keep(entry))), read)

    def _keep(self, entry: _Kept) -> int:
        self._last_kept += 1
        self._kept[self._last_kept] = entry
        total = sum(len(kept.values) for kept in self._kept.values())
        while len(self._kept) > 1 and (len(self._kept) > _KEPT_RESULTS or total > _KEPT_ROWS):
            total -= len(self._kept.popitem(last=False)[1].values)
        return self._last_kept
