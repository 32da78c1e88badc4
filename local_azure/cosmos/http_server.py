"""A small HTTP/1.1 server on asyncio and httptools: requests in, answers out, in order, with keep-alive.

The emulator's cost is dominated by HTTP, so requests are answered straight from the parser's callback when the
application can do so; otherwise the application gives an awaitable. An answer of None drops the connection (fault
injection). Header names are lower-case bytes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, cast

import httptools

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 * 1024 * 1024
_REASONS = {
    200: b"OK", 201: b"Created", 202: b"Accepted", 204: b"No Content", 207: b"Multi-Status", 304: b"Not Modified",
    400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found", 405: b"Method Not Allowed",
    408: b"Request Timeout", 409: b"Conflict", 410: b"Gone", 412: b"Precondition Failed",
    413: b"Request Entity Too Large", 429: b"Too Many Requests", 449: b"Retry With",
    500: b"Internal Server Error", 503: b"Service Unavailable",
}  # fmt: skip
_TOO_LARGE = (
    b"HTTP/1.1 413 Request Entity Too Large\r\ncontent-length: 0\r\nconnection: close\r\nx-ms-request-charge: 0\r\n\r\n"
)
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Request(NamedTuple):
    """One request; `path` is still percent-encoded and has no query string."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    scheme: str


class Response(NamedTuple):
    """One answer; headers are complete but for content-length."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""


Answer = Response | None
Application = Callable[[Request], Answer | Awaitable[Answer]]


def _encode(response: Response, *, keep_alive: bool) -> bytes:
    status = response.status
    head = [b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Status"))]
    head += [b"%b: %b\r\n" % header for header in response.headers]
    if not keep_alive:
        head.append(b"connection: close\r\n")
    if status in (204, 304):
        head.append(b"\r\n")
        return b"".join(head)
    head.append(b"content-length: %d\r\n\r\n" % len(response.body))
    head.append(response.body)
    return b"".join(head)


class HttpProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, application: Application, scheme: str, open_connections: set["HttpProtocol"]) -> None:
        self.application = application
        self.scheme = scheme
        self.open_connections = open_connections
        self.parser: Any = httptools.HttpRequestParser(self)
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[tuple[Request, bool]] = deque()
        self.task: asyncio.Task[None] | None = None
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.body: list[bytes] = []
        self.body_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.open_connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.transport = None
        self.open_connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            if self.transport is not None:
                self.transport.write(_BAD_REQUEST)
                self.transport.close()

    def on_message_begin(self) -> None:
        self.url, self.headers, self.body, self.body_bytes = b"", {}, [], 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        if self.headers.get(b"expect", b"").lower() == b"100-continue" and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        if self.body_bytes <= MAX_BODY_BYTES:
            self.body.append(body)

    def on_message_complete(self) -> None:
        if self.body_bytes > MAX_BODY_BYTES:
            if self.transport is not None:
                self.transport.write(_TOO_LARGE)
                self.transport.close()
            return
        body = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        path = self.url.partition(b"?")[0].decode("ascii", "replace")
        request = Request(self.parser.get_method().decode(), path, self.headers, body, self.scheme)
        keep_alive = self.parser.should_keep_alive()
        if self.task is not None:
            self.waiting.append((request, keep_alive))
            return
        answer = self.application(request)
        if answer is None or isinstance(answer, Response):
            self.send(answer, keep_alive=keep_alive)
        else:
            self.task = asyncio.ensure_future(self.finish(answer, keep_alive=keep_alive))

    async def finish(self, answer: Awaitable[Answer], *, keep_alive: bool) -> None:
        """Sends an answer that takes time, then those of requests that came meanwhile."""
        try:
            self.send(await answer, keep_alive=keep_alive)
            while self.waiting:
                request, keep_alive = self.waiting.popleft()
                following = self.application(request)
                if following is not None and not isinstance(following, Response):
                    following = await following
                self.send(following, keep_alive=keep_alive)
        finally:
            self.task = None

    def send(self, answer: Answer, *, keep_alive: bool) -> None:
        if self.transport is None:
            return
        if answer is None:
            self.transport.abort()
            return
        self.transport.write(_encode(answer, keep_alive=keep_alive))
        if not keep_alive:
            self.transport.close()

    def close_when_idle(self) -> None:
        if self.task is None and self.transport is not None:
            self.transport.close()
