"""The emulator's own pages: health, statistics, faults, throughput switch, data explorer.

They need no signature, so they are answered only when the Host and Origin headers name this machine: a page of another
site that a browser shows cannot read them.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from local_azure.cosmos.candidates import Scope
from local_azure.cosmos.catalog import describe_container
from local_azure.cosmos.errors import CosmosError, bad_request
from local_azure.cosmos.http_server import Answer, Request, Response
from local_azure.cosmos.sql.select import compile_text

if TYPE_CHECKING:
    from local_azure.cosmos.application import Emulator

_EXPLORER = Path(__file__).with_name("explorer.html")
_LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def _json(body: Any, status: int = 200) -> Response:
    return Response(status, [(b"content-type", b"application/json")], orjson.dumps(body))


def _is_local(request: Request) -> bool:
    for name in (b"host", b"origin"):
        value = request.headers.get(name, b"127.0.0.1").decode("latin-1")
        if value.rpartition("//")[2].rpartition(":")[0] not in _LOCAL_HOSTS and value not in _LOCAL_HOSTS:
            return False
    return True


class Admin:
    """Answers what is not part of the Cosmos DB API."""

    def __init__(self, emulator: "Emulator") -> None:
        self.emulator = emulator
        self._routes: dict[tuple[str, str], Callable[[Request], Response | Awaitable[Answer]]] = {
            ("GET", "health"): self._health,
            ("GET", "_emulator/stats"): lambda _: _json(self.emulator.statistics.report()),
            ("POST", "_emulator/stats/reset"): self._reset,
            ("GET", "_emulator/faults"): self._list_faults,
            ("POST", "_emulator/faults"): self._add_faults,
            ("DELETE", "_emulator/faults"): self._clear_faults,
            ("GET", "_emulator/throughput"): self._show_throughput,
            ("POST", "_emulator/throughput"): self._set_throughput,
            ("GET", "_emulator/containers"): self._containers,
            ("POST", "_emulator/query"): self._query,
            ("GET", "_explorer"): self._explorer,
        }

    def answer(self, request: Request, parts: list[str]) -> Response | Awaitable[Answer]:
        if not _is_local(request):
            return _json({"message": "Only this machine may ask."}, 403)
        route = self._routes.get((request.method, "/".join(parts)))
        if route is None:
            return _json({"message": "There is no such page."}, 404)
        try:
            return route(request)
        except CosmosError as error:
            return _json({"message": error.message}, error.status)
        except orjson.JSONDecodeError:
            return _json({"message": "The body is not valid JSON."}, 400)

    def _health(self, _: Request) -> Response:
        databases = self.emulator.catalog.databases
        return _json({"status": "ok", "databases": {name: list(entry.containers) for name, entry in databases.items()}})

    def _reset(self, _: Request) -> Response:
        self.emulator.statistics.reset()
        return _json({"reset": True})

    def _list_faults(self, _: Request) -> Response:
        return _json([fault.describe() for fault in self.emulator.faults.rules])

    def _add_faults(self, request: Request) -> Response:
        self.emulator.faults.add(orjson.loads(request.body))
        return self._list_faults(request)

    def _clear_faults(self, _: Request) -> Response:
        self.emulator.faults.clear()
        return _json([])

    def _show_throughput(self, _: Request) -> Response:
        return _json({"enforced": self.emulator.throughput.enforced})

    def _set_throughput(self, request: Request) -> Response:
        body = orjson.loads(request.body)
        if not isinstance(body, dict) or not isinstance(body.get("enforced"), bool):
            raise bad_request('The body is {"enforced": true} or {"enforced": false}.')
        self.emulator.throughput.enforced = body["enforced"]
        return self._show_throughput(request)

    def _containers(self, _: Request) -> Response:
        found = []
        for database in self.emulator.catalog.databases.values():
            for container in database.containers.values():
                described = describe_container(container)
                count = container.table.count(int(container.store.clock()))
                found.append(
                    {"database": database.id, "container": container.id, "items": count, "definition": described}
                )
        return _json(found)

    def _explorer(self, _: Request) -> Response:
        return Response(200, [(b"content-type", b"text/html; charset=utf-8")], _EXPLORER.read_bytes())

    async def _query(self, request: Request) -> Answer:
        try:
            body = orjson.loads(request.body)
            container = self.emulator.catalog.container(body["database"], body["container"])
            key = body.get("partition_key")
            scope = Scope(container.key.key_for(key) if key else None, "", "FF")
            page = await self.emulator.queries.runner.run(
                container, compile_text(body["query"]), {}, scope, page_size=100, continuation=body.get("continuation")
            )
        except CosmosError as error:
            return _json({"message": error.message}, error.status)
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return _json({"message": "The body needs 'database', 'container' and 'query'."}, 400)
        documents = [orjson.Fragment(document) for document in page.documents]
        return _json({"documents": documents, "continuation": page.continuation, "charge": round(page.charge, 2)})
