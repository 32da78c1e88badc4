"""Requests about items: point operations, batch, query, query plan, change feed, ranges.

Takes a `Call` that names a container; gives a `Response`, or an awaitable of one for queries that may take time.
"""

from collections.abc import Awaitable
from typing import Any

import orjson

from local_azure.cosmos import documents, request_units
from local_azure.cosmos.batch import run_batch
from local_azure.cosmos.call import Call, container_headers, parse_body, partition_key, read_scope
from local_azure.cosmos.candidates import Scope
from local_azure.cosmos.change_feed import FeedScope, read_changes
from local_azure.cosmos.container import MAX_ITEM_BYTES, Container
from local_azure.cosmos.documents import Outcome, check_document
from local_azure.cosmos.errors import bad_request, too_large
from local_azure.cosmos.http_server import Response
from local_azure.cosmos.partition_key import PartitionKey
from local_azure.cosmos.query_requests import QueryRequests, feed_body
from local_azure.cosmos.ranges import describe, range_index

_RANGES_ETAG = b'"1"'
_MAX_FEED_ITEMS = 1000
_DEFAULT_FEED_ITEMS = 100


def _respond(call: Call, container: Container, key: PartitionKey, outcome: Outcome) -> Response:
    headers = container_headers(call, container, outcome.charge, key)
    if outcome.etag is not None:
        headers.append((b"etag", outcome.etag.encode()))
    body = outcome.body or b""
    if body and call.request.method != "GET" and call.header(b"prefer") == b"return=minimal":
        body = b""
    return Response(outcome.status, headers, body)


def _document(call: Call) -> dict[str, Any]:
    # The limit also holds for the body as sent, with its escapes.
    if len(call.request.body) > MAX_ITEM_BYTES:
        raise too_large()
    return check_document(parse_body(call))


def _point(call: Call, container: Container) -> Response:
    key = partition_key(call, container)
    item_id, conditions, method = call.parts[5], call.conditions(), call.request.method
    if len(item_id) == 24 and item_id.endswith("=="):
        item_id = container.id_by_rid(key, item_id)
    if method == "GET":
        outcome = documents.read(container, key, item_id, conditions)
    elif method == "PUT":
        outcome = documents.replace(container, key, item_id, _document(call), conditions)
    elif method == "PATCH":
        outcome = documents.patch(container, key, item_id, parse_body(call), conditions)
    else:
        outcome = documents.delete(container, key, item_id, conditions)
    return _respond(call, container, key, outcome)


def _write(call: Call, container: Container) -> Response:
    key = partition_key(call, container)
    document = _document(call)
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
    return Response(200, headers, feed_body(container, page.documents))


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

    def __init__(self, queries: QueryRequests) -> None:
        self.queries = queries

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
            return self.queries.plan(call, container)
        if operation == "pkranges":
            return _ranges(call, container)
        if operation == "read_feed":
            return self.queries.read_all(call, container)
        return self.queries.answer(call, container)
