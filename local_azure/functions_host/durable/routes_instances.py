"""Orchestrations over HTTP: start, look up, list, raise events, and the management operations.

Status codes as in the extension: 202 while an instance runs, 200 when it is over, 404 unknown, 410 already over.
"""

import asyncio

from local_azure.functions_host.durable.asgi import Request, Response, json_response
from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.instance import COMPLETED, FAILED
from local_azure.functions_host.durable.json_text import NULL, dumps, loads_from_outside
from local_azure.functions_host.durable.links import Links
from local_azure.functions_host.durable.operations import InstanceNotFound, OperationRefused, Operations
from local_azure.functions_host.durable.rewinding import Rewinding
from local_azure.functions_host.durable.selection import Selection
from local_azure.functions_host.durable.status import status_document

_SHORTEST_POLL_SECONDS = 0.02

_LONGEST_WAIT_SECONDS = 1e6


class InstanceRoutes:
    """The ``orchestrators`` and ``instances`` controllers."""

    def __init__(self, links: Links, operations: Operations, rewinding: Rewinding, hub: Hub) -> None:
        self._links = links
        self._operations = operations
        self._rewinding = rewinding
        self._hub = hub

    async def orchestrators(self, request: Request) -> Response:
        parts = [part for part in request.segments[1:] if part]
        if request.method != "POST" or len(parts) not in (1, 2):
            return Response(404)
        instance_id = parts[1] if len(parts) == 2 else None
        timeout, interval = _seconds(request, "timeout"), _seconds(request, "pollingInterval")
        new_id = await self._operations.start(parts[0], instance_id, _token(request), version=request.value("version"))
        if timeout is None or interval is None:
            return self._accepted(new_id, request)
        return await self._wait(new_id, timeout, max(interval, _SHORTEST_POLL_SECONDS), request)

    async def _wait(self, instance_id: str, timeout: float, interval: float, request: Request) -> Response:
        """The output when the instance completes in time, its status when it fails, else the links."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            instance = await self._operations.find(instance_id)
            if instance.status == COMPLETED:
                return Response(200, instance.output)
            if not instance.is_live:
                status = 500 if instance.status == FAILED else 200
                return json_response(status, status_document(instance, show_input=True))
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return self._accepted(instance_id, request)
            await asyncio.sleep(min(interval, left))

    def _accepted(self, instance_id: str, request: Request) -> Response:
        links = self._links.of_instance(instance_id, origin=request.origin)
        return json_response(202, links, location=links["statusQueryGetUri"], **{"retry-after": "10"})

    async def instances(self, request: Request) -> Response:
        parts = [part for part in request.segments[1:] if part]
        match (request.method, parts):
            case ("GET", []):
                return await self._list(request)
            case ("DELETE", []):
                return await self._purge_selected(request)
            case ("GET", [instance_id]):
                return await self._status(instance_id, request)
            case ("DELETE", [instance_id]):
                return json_response(200, {"instancesDeleted": await self._operations.purge(instance_id)})
            case ("POST", [instance_id, operation]):
                return await self._operate(instance_id, operation.lower(), request)
            case ("POST", [instance_id, operation, event]) if operation.lower() == "raiseevent":
                return await self._raise_event(instance_id, event, request)
            case _:
                return Response(404)

    async def _status(self, instance_id: str, request: Request) -> Response:
        instance = await self._operations.find(instance_id)
        history = None
        if request.flag("showHistory"):
            history = self._hub.store.history(instance_id)
        document = status_document(
            instance,
            show_input=request.flag("showInput", default=True),
            history=history,
            show_output=request.flag("showHistoryOutput"),
        )
        if instance.is_live:
            location = self._links.of_instance(instance_id, origin=request.origin)["statusQueryGetUri"]
            return json_response(202, document, location=location, **{"retry-after": "5"})
        failed = instance.status == FAILED and request.flag("returnInternalServerErrorOnFailure")
        return json_response(500 if failed else 200, document)

    async def _list(self, request: Request) -> Response:
        await self._hub.store.writer.settled()
        selection = Selection.of(request)
        found, continuation = selection.find(self._hub.store)
        show_input = request.flag("showInput")
        documents = [status_document(instance, show_input=show_input) for instance in found]
        return json_response(200, documents, **{"x-ms-continuation-token": continuation})

    async def _purge_selected(self, request: Request) -> Response:
        if request.value("createdTimeFrom") is None:
            raise OperationRefused("Please provide value for 'createdTimeFrom' parameter.")
        await self._hub.store.writer.settled()
        found, _ = Selection.of(request).find(self._hub.store)
        deleted = 0
        for instance in found:
            deleted += await self._operations.purge(instance.id)
        if deleted == 0:
            raise InstanceNotFound("No instance matches.")
        return json_response(200, {"instancesDeleted": deleted})

    async def _operate(self, instance_id: str, operation: str, request: Request) -> Response:
        reason = request.value("reason")
        match operation:
            case "terminate":
                await self._operations.terminate(instance_id, reason)
            case "suspend":
                await self._operations.suspend(instance_id, reason)
            case "resume":
                await self._operations.resume(instance_id, reason)
            case "rewind":
                await self._rewinding.rewind(instance_id, reason)
            case "restart":
                with_new_id = request.flag("restartWithNewInstanceId", default=True)
                return self._accepted(await self._operations.restart(instance_id, with_new_id=with_new_id), request)
            case _:
                return Response(404)
        return Response(202)

    async def _raise_event(self, instance_id: str, event: str, request: Request) -> Response:
        content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if content_type != "application/json":
            raise OperationRefused("Only application/json request content is supported")
        await self._operations.raise_event(instance_id, event, _token(request))
        return Response(202)


def _seconds(request: Request, name: str) -> float | None:
    text = request.value(name)
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError as error:
        raise OperationRefused(f"{name} is no number of seconds: {text[:50]!r}") from error
    if not 0 <= seconds < _LONGEST_WAIT_SECONDS:
        raise OperationRefused(f"{name} is no number of seconds that one can wait: {text[:50]!r}")
    return seconds


def _token(request: Request) -> str:
    """The body as one JSON token, null when it is empty."""
    if not request.body:
        return NULL
    try:
        return dumps(loads_from_outside(request.body))
    except ValueError as error:
        raise OperationRefused(f"Invalid JSON content: {error}") from error
