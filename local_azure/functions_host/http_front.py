"""The public HTTP front end: a raw ASGI application over the app's HTTP triggers.

Takes requests, gives what the function returned. 401 without a valid key, 404 for an unknown route or method, 413 over
100 MB, 429 when ``maxOutstandingRequests`` are waiting or running, 500 when the function fails, 503 while stopping.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from local_azure.functions_host.access_keys import AccessKeys
from local_azure.functions_host.errors import InvocationFailed
from local_azure.functions_host.function_table import Function
from local_azure.functions_host.host_settings import HostOptions, resolve_expressions
from local_azure.functions_host.routes import RouteTable
from local_azure.functions_host.worker_pool import InvocationResult, WorkerPool

_LOG = logging.getLogger("host.http")
MAX_BODY_BYTES = 100 * 1024 * 1024
_TEXT = b"text/plain; charset=utf-8"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
DeliverOutputs = Callable[[Function, InvocationResult], Awaitable[None]]


class _BodyTooLargeError(Exception):
    pass


class HttpFront:
    """The ASGI application."""

    def __init__(
        self,
        *,
        functions: list[Function],
        pool: WorkerPool,
        keys: AccessKeys,
        options: HostOptions,
        environment: Mapping[str, str],
        deliver_outputs: DeliverOutputs,
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._deliver_outputs = deliver_outputs
        self._max_outstanding = options.max_outstanding_requests
        self._slots = asyncio.Semaphore(options.max_concurrent_requests)
        self._outstanding = 0
        self.answered = asyncio.Event()  # set while no request is open
        self.answered.set()
        self.is_stopping = False
        self._mounts: list[tuple[str, AsgiApp]] = []
        self._table: RouteTable[Function] = RouteTable()
        for function in functions:
            if function.trigger.type == "httpTrigger" and not function.is_disabled:
                template = resolve_expressions(route_template(function, options), environment)
                methods = frozenset(str(method).upper() for method in function.trigger.fields.get("methods") or ())
                self._table.add(template, methods, function)

    def mount(self, prefix: str, application: AsgiApp) -> None:
        """Give a path to an application of the host's own, as extensions have it in Azure."""
        self._mounts.append((f"{prefix}/", application))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        for prefix, application in self._mounts:
            if scope["path"].startswith(prefix):
                await application(scope, receive, send)
                return
        found = self._table.find(scope["method"], scope["raw_path"].decode("ascii"))
        if self.is_stopping:
            await respond(send, 503, b"The host is stopping.", _TEXT)
        elif found is None:
            await respond(send, 404)
        elif self._outstanding >= self._max_outstanding:
            await respond(send, 429, b"Too many outstanding requests.", _TEXT, extra=[(b"retry-after", b"1")])
        else:
            self._outstanding += 1
            self.answered.clear()
            try:
                await self._serve(found[0], found[1], scope, receive, send)
            finally:
                self._outstanding -= 1
                if not self._outstanding:
                    self.answered.set()

    async def _serve(
        self, function: Function, route_params: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = read_headers(scope)
        query = read_query(scope)
        key = headers.get("x-functions-key") or query.get("code", "")
        level = str(function.trigger.fields.get("authLevel", "FUNCTION")).lower()
        if not self._keys.allows(level, function.name, key):
            await respond(send, 401)
            return
        try:
            body = await read_body(receive, int(headers.get("content-length") or 0))
        except _BodyTooLargeError:
            await respond(send, 413)
            return
        payload = (function.trigger.name, scope["method"], full_url(scope, headers), headers, route_params, query, body)
        try:
            async with self._slots:
                result = await self._pool.invoke(
                    function,
                    "http",
                    payload,
                    trace_parent=headers.get("traceparent", ""),
                    trace_state=headers.get("tracestate", ""),
                )
            await self._deliver_outputs(function, result)
        except InvocationFailed:
            await respond(send, 500)
            return
        await send_result(function, result, send)


def route_template(function: Function, options: HostOptions) -> str:
    """Prefix and route; the function's name where it gives no route."""
    route = function.trigger.fields.get("route")
    return f"{options.route_prefix}/{function.name if route is None else str(route).strip('/')}"


def read_headers(scope: Scope) -> dict[str, str]:
    """Lower-case names; repeated headers are joined by a comma, as the real host does."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def read_query(scope: Scope) -> dict[str, str]:
    query: dict[str, str] = {}
    if scope["query_string"]:
        for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
            query[name] = f"{query[name]},{value}" if name in query else value
    return query


async def read_body(receive: Receive, announced_bytes: int) -> bytes:
    if announced_bytes > MAX_BODY_BYTES:
        raise _BodyTooLargeError
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    chunks, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise _BodyTooLargeError
    return b"".join(chunks)


def full_url(scope: Scope, headers: Mapping[str, str]) -> str:
    query = scope["query_string"].decode("latin-1")
    path = scope["raw_path"].decode("ascii")
    return f"{scope['scheme']}://{headers.get('host', 'localhost')}{path}{'?' if query else ''}{query}"


async def send_result(function: Function, result: InvocationResult, send: Send) -> None:
    """The returned response, or the ``Out`` parameter of type http; neither is 204."""
    value = result.returned
    if value is None:
        http_names = {binding.name for binding in function.outputs if binding.type == "http"}
        value = next((output for name, output in result.outputs if name in http_names), None)
    if value is None:
        await respond(send, 204)
    elif value[0] == "http":
        _, status, headers, cookies, body = value
        raw = [(name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers]
        raw += [(b"set-cookie", cookie.encode("latin-1")) for cookie in cookies]
        raw = [(name, text) for name, text in raw if name not in (b"content-length", b"transfer-encoding")]
        await _send(send, status, raw, body)
    else:
        text = value[1]
        await respond(send, 200, text if isinstance(text, bytes) else str(text).encode(), _TEXT)


async def respond(
    send: Send,
    status: int,
    body: bytes = b"",
    content_type: bytes = b"",
    extra: list[tuple[bytes, bytes]] | None = None,
) -> None:
    headers = list(extra or [])
    if content_type:
        headers.append((b"content-type", content_type))
    await _send(send, status, headers, body)


async def respond_json(send: Send, status: int, document: Any) -> None:
    await respond(send, status, json.dumps(document).encode(), b"application/json")


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    if status not in (204, 304):
        headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if status in (204, 304) else body})
