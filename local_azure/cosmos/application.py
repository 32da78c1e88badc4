"""The emulator's request pipeline: identify, authorise, inject faults, check the budget, answer, count.

Takes an HTTP request; gives a response, an awaitable of one, or None to drop the connection.
"""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any
from urllib.parse import unquote

from local_azure.cosmos.admin import Admin
from local_azure.cosmos.auth import KeyCheck
from local_azure.cosmos.call import Call, error_response
from local_azure.cosmos.catalog import Catalog
from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import COLLECTION_RID_MISMATCH, CosmosError, bad_request
from local_azure.cosmos.faults import Faults
from local_azure.cosmos.http_server import Answer, Request, Response
from local_azure.cosmos.index_filling import IndexFilling
from local_azure.cosmos.item_requests import ItemRequests
from local_azure.cosmos.query_requests import QueryRequests
from local_azure.cosmos.resource_requests import ResourceRequests
from local_azure.cosmos.statistics import Statistics
from local_azure.cosmos.throughput import Throughput

logger = logging.getLogger(__name__)

_POINT = {"GET": "read", "PUT": "replace", "PATCH": "patch", "DELETE": "delete"}
_TRUE = (b"True", b"true")
_ADMIN = ("_emulator", "_explorer", "health")


def split_path(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    return [unquote(part) for part in parts] if "%" in path else parts


def name_operation(request: Request, parts: list[str]) -> str:
    """The operation's name in faults and statistics; "metadata" for everything but items and ranges."""
    headers = request.headers
    if len(parts) == 6 and parts[4] == "docs":
        return _POINT.get(request.method, "metadata")
    if len(parts) != 5 or parts[4] not in ("docs", "pkranges"):
        return "metadata"
    if parts[4] == "pkranges":
        return "pkranges"
    if request.method == "GET":
        return "change_feed" if b"a-im" in headers else "read_feed"
    if headers.get(b"x-ms-cosmos-is-batch-request") in _TRUE:
        return "batch"
    if headers.get(b"x-ms-cosmos-is-query-plan-request") in _TRUE:
        return "query_plan"
    if headers.get(b"x-ms-documentdb-isquery") in _TRUE or headers.get(b"content-type") == b"application/query+json":
        return "query"
    return "upsert" if headers.get(b"x-ms-documentdb-is-upsert") in _TRUE else "create"


class Emulator:
    """Everything a request can reach."""

    def __init__(self, catalog: Catalog, *, account_key: str | None, strict: bool = True) -> None:
        self.catalog = catalog
        self.keys = KeyCheck(account_key)
        self.faults = Faults()
        self.throughput = Throughput(catalog)
        self.statistics = Statistics()
        self.filling = IndexFilling()
        self.queries = QueryRequests(self.filling, strict=strict)
        self.items = ItemRequests(self.queries)
        self.resources = ResourceRequests(catalog)
        self.admin = Admin(self)

    def __call__(self, request: Request) -> Answer | Awaitable[Answer]:
        parts = split_path(request.path)
        if parts and parts[0] in _ADMIN:
            return self.admin.answer(request, parts)
        call = Call(request, parts, name_operation(request, parts))
        try:
            self.keys.verify(request, parts)
            if call.operation != "metadata":
                call.container = self._container(call)
            if self.faults.rules:
                rule = self._fault(call)
                if rule is not None:
                    return self._faulty(call, rule)
            if self.throughput.enforced:
                self.throughput.admit(call)
            answer = self._route(call)
        except CosmosError as error:
            return self._count(call, error_response(error, call))
        except Exception:
            logger.exception("request failed", extra={"operation": call.operation})
            return self._count(call, error_response(CosmosError(500, "The emulator failed; see its log."), call))
        if isinstance(answer, Response):
            return self._count(call, answer)
        return self._finish(call, answer)

    def _route(self, call: Call) -> Response | Awaitable[Response]:
        if call.container is None:
            return self.resources.answer(call)
        return self.items.answer(call, call.container)

    async def _finish(self, call: Call, answer: Awaitable[Response]) -> Response:
        try:
            return self._count(call, await answer)
        except CosmosError as error:
            return self._count(call, error_response(error, call))
        except Exception:
            logger.exception("request failed", extra={"operation": call.operation})
            return self._count(call, error_response(CosmosError(500, "The emulator failed; see its log."), call))

    def _container(self, call: Call) -> Container:
        parts = call.parts
        if parts[0] != "dbs" or parts[2] != "colls":
            raise bad_request("The path is not /dbs/<database>/colls/<container>/docs.")
        container = self.catalog.container(parts[1], parts[3])
        intended = call.request.headers.get(b"x-ms-cosmos-intended-collection-rid")
        if intended is not None and intended.decode("latin-1") != container.rid:
            raise bad_request("CollectionRid mismatch: the container was recreated.", COLLECTION_RID_MISMATCH)
        return container

    def _fault(self, call: Call) -> dict[str, Any] | None:
        container = call.container.id if call.container is not None else None
        return self.faults.match(call.operation, container, "/" + "/".join(call.parts))

    async def _faulty(self, call: Call, rule: dict[str, Any]) -> Answer:
        if "delay_ms" in rule:
            await asyncio.sleep(rule["delay_ms"] / 1000)
        if rule.get("drop"):
            return None
        if "status" in rule:
            error = CosmosError(rule["status"], "Injected fault.", rule.get("substatus", 0), rule.get("retry_after_ms"))
            return self._count(call, error_response(error, call))
        try:
            answer = self._route(call)
        except CosmosError as error:
            return self._count(call, error_response(error, call))
        if isinstance(answer, Response):
            return self._count(call, answer)
        return await self._finish(call, answer)

    def _count(self, call: Call, response: Response) -> Response:
        container = call.container.id if call.container is not None else ""
        # Every answer starts with the common headers, whose second is the charge.
        charge = float(response.headers[1][1])
        self.statistics.record(call.operation, container, response.status, charge)
        if self.throughput.enforced and response.status != 429:
            self.throughput.spend(call, charge)
        return response
