"""Takes ASGI calls, gives them to one async function as `Request`, and writes its `Reply` (ASGI 3.0, HTTP only).

A handler may answer None: the connection is then cut without a word, as a crashing provider does. The listener's
protocol puts the transport into the scope for that (`listener.TRANSPORT_KEY`).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

logger = logging.getLogger(__name__)

TRANSPORT_KEY = "local_azure.transport"
MAX_BODY_BYTES = 32 * 1024 * 1024
"""A little above the largest message a provider takes (SendGrid: 30 MB), so that the provider's own 413 is seen."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST instead of FIN

Scope = MutableMapping[str, Any]


@dataclass(slots=True)
class Request:
    """One HTTP request, read to its end."""

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    body: bytes

    def query(self) -> dict[str, str]:
        """The query's parameters, the last of equal names; parameters without a value are kept."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True))


@dataclass(slots=True)
class Reply:
    """One HTTP answer; `stream` replaces the body where an answer must dribble."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None

    def encoded_headers(self) -> list[tuple[bytes, bytes]]:
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers]
        if self.content_type:
            encoded.append((b"content-type", self.content_type.encode("latin-1")))
        if self.stream is None:
            encoded.append((b"content-length", str(len(self.body)).encode("ascii")))
        return encoded


Handler = Callable[[Request], Awaitable[Reply | None]]


def json_reply(content: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> Reply:
    return Reply(status, orjson.dumps(content), "application/json", headers or [])


def problem(status: int, detail: str) -> Reply:
    """An error of the sandbox's own endpoints; vendors' errors have the vendors' shapes."""
    return Reply(status, orjson.dumps({"status": status, "detail": detail}), "application/problem+json")


def application(handler: Handler) -> Callable[[Scope, Any, Any], Awaitable[None]]:
    """The ASGI application around `handler`."""

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        body = await _read_body(receive)
        if body is None:
            reply: Reply | None = problem(413, f"a body may have {MAX_BODY_BYTES} bytes")
        else:
            reply = await _answer(handler, _request(scope, body))
        if reply is None:
            _cut(scope)
            await receive()  # http.disconnect; returning earlier would look like a forgotten answer to the server
            return
        await _write(reply, send)

    return app


async def _answer(handler: Handler, request: Request) -> Reply | None:
    try:
        return await handler(request)
    except asyncio.CancelledError:
        raise
    except Exception:
        logger.exception("request failed: %s %s", request.method, request.path)
        return problem(500, "the sandbox failed; its log has the reason")


def _request(scope: Scope, body: bytes) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers, body)


async def _read_body(receive: Any) -> bytes | None:
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False):
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size <= MAX_BODY_BYTES:
            parts.append(part)
    return b"".join(parts) if size <= MAX_BODY_BYTES else None


async def _write(reply: Reply, send: Any) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.encoded_headers()})
    if reply.stream is not None:
        async for chunk in reply.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": reply.body})


def _cut(scope: Scope) -> None:
    transport: asyncio.Transport | None = scope.get(TRANSPORT_KEY)
    if transport is None or transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
