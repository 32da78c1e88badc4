"""Entities over HTTP: read a state, signal an operation, list.

``GET entities/{name}/{key}`` gives 200 with the state or 404; ``POST ...?op=`` gives 202.
"""

from local_azure.functions_host.durable.asgi import Request, Response, json_response
from local_azure.functions_host.durable.catalog import missing_function
from local_azure.functions_host.durable.entities import Entities, signal
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.json_text import NULL, dumps, loads, loads_from_outside
from local_azure.functions_host.durable.operations import OperationRefused


class EntityRoutes:
    """The ``entities`` controller."""

    def __init__(self, entities: Entities, hub: Hub) -> None:
        self._entities = entities
        self._hub = hub

    async def entities(self, request: Request) -> Response:
        parts = [part for part in request.segments[1:] if part]
        if len(parts) == 2 and request.method == "GET":
            return await self._read(_entity_id(*parts))
        if len(parts) == 2 and request.method in ("POST", "DELETE"):
            return await self._signal(parts[0], parts[1], request)
        if len(parts) < 2 and request.method == "GET":
            return await self._list(parts[0].lower() if parts else "", request)
        return Response(404)

    async def _read(self, entity_id: str) -> Response:
        await self._hub.store.writer.settled()
        state = self._hub.store.entity_state(entity_id)
        return Response(404) if state is None else Response(200, state)

    async def _signal(self, name: str, key: str, request: Request) -> Response:
        if self._hub.functions.entity(name) is None:
            raise OperationRefused(missing_function("entity", name, self._hub.functions.entities))
        if not key.isprintable():
            raise OperationRefused("An entity's key has no control characters.")
        operation = "delete" if request.method == "DELETE" else request.value("op") or ""
        await self._hub.submit(self._entities.send(signal(_entity_id(name, key), operation, _token(request))))
        return Response(202)

    async def _list(self, name: str, request: Request) -> Response:
        await self._hub.store.writer.settled()
        pattern = f"@{name}@" if name else "@"
        rows = self._hub.store.query(
            "SELECT id, state, updated FROM ent WHERE substr(id, 1, ?) = ? ORDER BY id", (len(pattern), pattern)
        )
        with_state = request.flag("fetchState")
        found = []
        for entity_id, state, updated in rows:
            _, entity, key = entity_id.split("@", 2)
            found.append({"entityId": {"name": entity, "key": key}, "lastOperationTime": updated})
            if with_state:
                found[-1]["state"] = loads(state)
        return json_response(200, found)


def _entity_id(name: str, key: str) -> str:
    return f"@{name.lower()}@{key}"


def _token(request: Request) -> str:
    """The operation's input as JSON; a body that is not JSON is passed as a string."""
    if not request.body:
        return NULL
    text = request.body.decode(errors="replace")
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        return dumps(text)
    try:
        return dumps(loads_from_outside(text))
    except ValueError as error:
        raise OperationRefused(f"Could not parse JSON content: {error}") from error
