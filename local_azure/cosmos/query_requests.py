"""Requests that query items: in a partition, in a range, across ranges; and the query plan.

Across ranges the service itself serves queries that need no merging, one range after the other, and refuses the others
with 400/1004 so that the client asks for the plan (the SDK's own tests show both). `strict=False` serves everything.
"""

from collections.abc import Awaitable
from typing import Any, NamedTuple

import orjson

from local_azure.cosmos.call import Call, container_headers, parse_body, read_scope
from local_azure.cosmos.candidates import Scope
from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import CROSS_PARTITION_NOT_SERVABLE, bad_request
from local_azure.cosmos.http_server import Response
from local_azure.cosmos.index_filling import IndexFilling
from local_azure.cosmos.indexing import check_order
from local_azure.cosmos.query import Page, QueryRunner, Read
from local_azure.cosmos.query_metrics import execution_metrics, index_use
from local_azure.cosmos.query_plan import fixed_key, needs_client, query_plan
from local_azure.cosmos.sql.select import Select, compile_text

_EVERYTHING = Scope(None, "", "FF")


class _Asked(NamedTuple):
    """A query request, understood."""

    call: Call
    container: Container
    select: Select
    parameters: dict[str, Any]


def _understand(call: Call, container: Container) -> _Asked:
    body = parse_body(call)
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise bad_request("A query request is a JSON object with 'query' and 'parameters'.")
    parameters = body.get("parameters") or []
    if not all(isinstance(entry, dict) and "name" in entry for entry in parameters):
        raise bad_request("Query parameters are objects with 'name' and 'value'.")
    select = compile_text(body["query"])
    check_order(container.definition["indexingPolicy"], select)
    return _Asked(call, container, select, {entry["name"]: entry.get("value") for entry in parameters})


def feed_body(container: Container, documents: list[bytes]) -> bytes:
    return b'{"_rid":"%b","Documents":[%b],"_count":%d}' % (
        container.rid_text,
        b",".join(documents),
        len(documents),
    )


def _respond(asked: _Asked, scope: Scope, page: Page) -> Response:
    call, container = asked.call, asked.container
    headers = container_headers(call, container, page.charge, scope)
    headers.append((b"x-ms-item-count", b"%d" % len(page.documents)))
    if call.flag(b"x-ms-documentdb-populatequerymetrics"):
        headers.append((b"x-ms-documentdb-query-metrics", execution_metrics(page)))
    if call.flag(b"x-ms-cosmos-populateindexmetrics"):
        headers.append((b"x-ms-cosmos-index-utilization", index_use(asked.select)))
    if page.continuation is not None:
        headers.append((b"x-ms-continuation", page.continuation.encode()))
    return Response(200, headers, feed_body(container, page.documents))


class QueryRequests:
    """Answers query calls."""

    def __init__(self, filling: IndexFilling, *, strict: bool) -> None:
        self.filling = filling
        self.strict = strict
        self.runner = QueryRunner()

    def plan(self, call: Call, container: Container) -> Response:
        asked = _understand(call, container)
        body = orjson.dumps(query_plan(container, asked.select, asked.parameters))
        return Response(200, container_headers(call, container, 0.0, None), body)

    def read_all(self, call: Call, container: Container) -> Awaitable[Response]:
        asked = _Asked(call, container, compile_text("SELECT * FROM c"), {})
        return self._run(asked, read_scope(call, container) or _EVERYTHING)

    def answer(self, call: Call, container: Container) -> Awaitable[Response]:
        asked = _understand(call, container)
        scope = read_scope(call, container)
        if scope is None and not needs_client(asked.select):
            key = fixed_key(container, asked.select, asked.parameters)
            scope = Scope(key, "", "FF") if key is not None else None
        if scope is None or scope.key is None:
            self.filling.ensure(container, asked.select)
        if scope is not None:
            return self._run(asked, scope)
        self._check_across(asked)
        if needs_client(asked.select):
            return self._run(asked, _EVERYTHING)
        return self._run_over_ranges(asked)

    def _check_across(self, asked: _Asked) -> None:
        if not asked.call.flag(b"x-ms-documentdb-query-enablecrosspartition"):
            raise bad_request(
                "Cross partition query is required but disabled. Please set "
                "x-ms-documentdb-query-enablecrosspartition to true, specify x-ms-documentdb-partitionkey, "
                "or revise your query to avoid this exception."
            )
        if self.strict and needs_client(asked.select):
            raise bad_request(
                "The provided cross partition query can not be directly served by the gateway. This is a first chance "
                "(internal) exception that all newer clients will know how to handle gracefully.",
                CROSS_PARTITION_NOT_SERVABLE,
            )

    async def _page(self, asked: _Asked, scope: Scope, token: str | None) -> Page:
        size = asked.call.number(b"x-ms-max-item-count", 0)
        return await self.runner.run(
            asked.container, asked.select, asked.parameters, scope, page_size=size, continuation=token
        )

    async def _run(self, asked: _Asked, scope: Scope) -> Response:
        token = asked.call.header(b"x-ms-continuation")
        page = await self._page(asked, scope, token.decode("latin-1") if token else None)
        return _respond(asked, scope, page)

    async def _run_over_ranges(self, asked: _Asked) -> Response:
        """A page from one range at a time; the token says which range is next. Empty ranges are passed over."""
        number, _, text = (asked.call.header(b"x-ms-continuation") or b"0.").decode("latin-1").partition(".")
        ranges = asked.container.ranges
        if not number.isdecimal() or int(number) >= len(ranges):
            raise bad_request("The continuation token is not one of this emulator's.")
        index, token, read = int(number), text or None, Read(0, 0)
        while True:
            scope = Scope(None, ranges[index].low, ranges[index].high)
            page = await self._page(asked, scope, token)
            read = Read(read.items + page.read.items, read.size + page.read.size)
            token = page.continuation
            index += token is None
            if index == len(ranges):
                return _respond(asked, scope, Page(page.documents, None, read))
            if page.documents:
                return _respond(asked, scope, Page(page.documents, f"{index}.{token or ''}", read))
