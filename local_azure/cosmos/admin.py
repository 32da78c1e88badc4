"""The emulator's own pages: health, statistics, faults, data explorer. Local only, so without a signature."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from local_azure.cosmos.errors import CosmosError
from local_azure.cosmos.http_server import Request, Response

if TYPE_CHECKING:
    from local_azure.cosmos.application import Emulator

_EXPLORER = Path(__file__).with_name("explorer.html")


def _json(body: Any, status: int = 200) -> Response:
    return Response(status, [(b"content-type", b"application/json")], orjson.dumps(body))


class Admin:
    """Answers what is not part of the Cosmos DB API."""

    def __init__(self, emulator: "Emulator") -> None:
        self.emulator = emulator
        self._routes: dict[tuple[str, str], Callable[[Request], Response]] = {
            ("GET", "health"): self._health,
            ("GET", "_emulator/stats"): lambda _: _json(self.emulator.statistics.report()),
            ("POST", "_emulator/stats/reset"): self._reset,
            ("GET", "_emulator/faults"): self._list_faults,
            ("POST", "_emulator/faults"): self._add_faults,
            ("DELETE", "_emulator/faults"): self._clear_faults,
        }

    def answer(self, request: Request, parts: list[str]) -> Response:
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
