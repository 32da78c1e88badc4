"""Requests about items: point operations, batch, query, query plan, change feed, ranges.

Takes a `Call` that names a container; gives a `Response`, or an awaitable of one for queries that may take time.
"""

from collections.abc import Awaitable
from typing import Any

import orjson

from local_azure.cosmos import documents, request_units
from local_azure.cosmos.batch import run_batch
from local_azure.cosmos.call import Call, container_headers, partition_key, read_scope
from local_azure.cosmos.candidates import Scope
from local_azure.cosmos.change_feed import FeedScope, read_changes
from local_azure.cosmos.container import Container
from local_azure.cosmos.documents import Outcome, check_document
from local_azure.cosmos.errors import CROSS_PARTITION_NOT_SERVABLE, bad_request
from local_azure.cosmos.http_server import Response
from local_azure.cosmos.index_filling import IndexFilling
from local_azure.cosmos.indexing import check_order
from local_azure.cosmos.partition_key import PartitionKey
from local_azure.cosmos.query import QueryRunner
from local_azure.cosmos.query_metrics import execution_metrics, index_use
from local_azure.cosmos.query_plan import query_plan
from local_azure.cosmos.ranges import describe, range_index
from local_azure.cosmos.sql.select import Select, compile_text

_RANGES_ETAG = b'"1"'
_MAX_FEED_ITEMS = 1000
_DEFAULT_FEED_ITEMS = 100


def _parse(call: Call) -> Any:
    try:
        return orjson.loads(call.request.body)
    except orjson.JSONDecodeError as error:
        raise bad_request("The request body is not valid JSON.") from error


def _respond(call: Call, container: Container, key: PartitionKey, outcome: Outcome) -> Response:
    headers = container_headers(call, container, outcome.charge, key)
    if outcome.etag is not None:
        headers.append((b"etag", outcome.etag.encode()))
    body = outcome.body or b""
    if body and call.request.method != "GET" and call.header(b"prefer") == b"return=minimal":
        body = b""
    return Response(outcome.status, headers, body)


def _point(call: Call, container: Container) -> Response:
    key = partition_key(call, container)
    item_id, conditions, method = call.parts[5], call.conditions(), call.request.method
    if len(item_id) == 24 and item_id.endswith("=="):
        item_id = container.id_by_rid(key, item_id)
    if method == "GET":
        outcome = documents.read(container, key, item_id, conditions)
    elif method == "PUT":
        outcome = documents.replace(container, key, item_id, check_document(_parse(call)), conditions)
    elif method == "PATCH":
        outcome = documents.patch(container, key, item_id, _parse(call), conditions)
    else:
        outcome = documents.delete(container, key, item_id, conditions)
    return _respond(call, container, key, outcome)


def _write(call: Call, container: Container) -> Response:
    key = partition_key(call, container)
    document = check_document(_parse(call))
    if call.operation == "upsert":
        outcome = documents.upsert(container, key, document, call.conditions())
    else:
        outcome = documents.create(container, key, document)
    return _respond(call, container, key, outcome)


def _batch(call: Call, container: Container) -> Response:
    key = partition_key(call, container)
    minimal = call.header(b"prefer") == b"return=minimal"
    status, body, charge = run_batch(container, key, call.request.body, minimal=minimal)
    return Response(status, container_headers(call, container, charge, key), body)


def _query_text(call: Call) -> tuple[Select, dict[str, Any]]:
    body = _parse(call)
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        raise bad_request("A query request is a JSON object with 'query' and 'parameters'.")
    parameters = body.get("parameters") or []
    if not all(isinstance(entry, dict) and "name" in entry for entry in parameters):
        raise bad_request("Query parameters are objects with 'name' and 'value'.")
    return compile_text(body["query"]), {entry["name"]: entry.get("value") for entry in parameters}


def _plan(call: Call, container: Container) -> Response:
    select, parameters = _query_text(call)
    check_order(container.definition["indexingPolicy"], select)
    body = orjson.dumps(query_plan(container, select, parameters))
    return Response(200, container_headers(call, container, 0.0, None), body)


def _feed_body(container: Container, documents: list[bytes]) -> bytes:
    return b'{"_rid":"%b","Documents":[%b],"_count":%d}' % (
        container.rid_text,
        b",".join(documents),
        len(documents),
    )


def _change_feed(call: Call, container: Container) -> Response:
    if call.header(b"a-im") != b"Incremental Feed":
        raise bad_request("Only the latest-version change feed is supported by this emulator.")
    scope = read_scope(call, container) or Scope(None, "", "FF")
    size = call.number(b"x-ms-max-item-count", 0)
    low, high = scope.low, scope.high
    if scope.key is not None:
        low, high = scope.key.epk, scope.key.epk + "0"
    first, last = range_index(container.ranges, low), range_index(container.ranges, high)
    page = read_changes(
        container,
        FeedScope(low, high, max(container.range_lsns[first : last + 1])),
        if_none_match=call.header(b"if-none-match"),
        if_modified_since=call.header(b"if-modified-since"),
        page_size=_MAX_FEED_ITEMS if size < 0 else min(size or _DEFAULT_FEED_ITEMS, _MAX_FEED_ITEMS),
    )
    charge = request_units.feed_charge(len(page.documents), sum(map(len, page.documents)))
    headers = container_headers(call, container, charge, scope)
    headers.append((b"etag", page.etag.encode()))
    if not page.documents:
        return Response(304, headers)
    return Response(200, headers, _feed_body(container, page.documents))


def _ranges(call: Call, container: Container) -> Response:
    headers = container_headers(call, container, request_units.METADATA, None)
    headers.append((b"etag", _RANGES_ETAG))
    if call.header(b"if-none-match") == _RANGES_ETAG:
        return Response(304, headers)
    ranges = describe(container.ranges, container.rid, container.lsn)
    body = {"_rid": container.rid, "PartitionKeyRanges": ranges, "_count": len(ranges)}
    return Response(200, headers, orjson.dumps(body))


class ItemRequests:
    """Answers calls about the items of a container."""

    def __init__(self, filling: IndexFilling, *, strict: bool) -> None:
        self.filling = filling
        self.strict = strict
        self.queries = QueryRunner()

    def answer(self, call: Call, container: Container) -> Response | Awaitable[Response]:
        operation = call.operation
        if operation in ("read", "replace", "patch", "delete"):
            return _point(call, container)
        if operation in ("create", "upsert"):
            return _write(call, container)
        if operation == "batch":
            return _batch(call, container)
        if operation == "change_feed":
            return _change_feed(call, container)
        if operation == "query_plan":
            return _plan(call, container)
        if operation == "pkranges":
            return _ranges(call, container)
        if operation == "read_feed":
            scope = read_scope(call, container) or Scope(None, "", "FF")
            return self._run(call, container, compile_text("SELECT * FROM c"), {}, scope)
        return self._query(call, container)

    def _query(self, call: Call, container: Container) -> Response | Awaitable[Response]:
        select, parameters = _query_text(call)
        scope = read_scope(call, container) or self._whole_container(call)
        check_order(container.definition["indexingPolicy"], select)
        if scope.key is None:
            self.filling.ensure(container, select)
        return self._run(call, container, select, parameters, scope)

    async def _run(
        self, call: Call, container: Container, select: Select, parameters: dict[str, Any], scope: Scope
    ) -> Response:
        continuation = call.header(b"x-ms-continuation")
        page = await self.queries.run(
            container,
            select,
            parameters,
            scope,
            page_size=call.number(b"x-ms-max-item-count", 0),
            continuation=continuation.decode("latin-1") if continuation else None,
        )
        headers = container_headers(call, container, page.charge, scope)
        headers.append((b"x-ms-item-count", b"%d" % len(page.documents)))
        if call.flag(b"x-ms-documentdb-populatequerymetrics"):
            headers.append((b"x-ms-documentdb-query-metrics", execution_metrics(page)))
        if call.flag(b"x-ms-cosmos-populateindexmetrics"):
            headers.append((b"x-ms-cosmos-index-utilization", index_use(select)))
        if page.continuation is not None:
            headers.append((b"x-ms-continuation", page.continuation.encode()))
        return Response(200, headers, _feed_body(container, page.documents))

    def _whole_container(self, call: Call) -> Scope:
        if not call.flag(b"x-ms-documentdb-query-enablecrosspartition"):
            raise bad_request(
                "Cross partition query is required but disabled. Please set "
                "x-ms-documentdb-query-enablecrosspartition to true, specify x-ms-documentdb-partitionkey, "
                "or revise your query to avoid this exception."
            )
        if self.strict:
            raise bad_request(
                "The provided cross partition query can not be directly served by the gateway. This is a first chance "
                "(internal) exception that all newer clients will know how to handle gracefully.",
                CROSS_PARTITION_NOT_SERVABLE,
            )
        return Scope(None, "", "FF")
