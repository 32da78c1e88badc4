"""Takes the bytes of one connection, gives requests to a handler one after the other, writes its replies (RFC 9112).

A small server of our own, for two reasons: providers that cut connections or answer byte by byte are part of the play,
and the sandbox shares the machine with the service under test, so each call should cost little (about 60 µs less than
with a general server).
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from urllib.parse import unquote

import httptools

from local_azure.provider_sandbox.http_exchange import MAX_BODY_BYTES, Handler, Reply, Request, problem

logger = logging.getLogger(__name__)

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST instead of FIN
_MAX_PIPELINED = 16
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpConnection(asyncio.Protocol):
    """One connection. `open_connections` is the server's set of all that are open."""

    def __init__(self, handler: Handler, open_connections: set[HttpConnection]) -> None:
        self._handler, self._open = handler, open_connections
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Request | None, bool]] = deque()
        self._writable = asyncio.Event()
        self._writable.set()
        self.answering: asyncio.Task[None] | None = None
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a TCP transport is an asyncio.Transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        # The answering goes on: a provider carries out what it was asked, whether the caller waits or not.
        self._transport = None
        self._writable.set()
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # an offer to change the protocol may be ignored (RFC 9110, 7.8); the request itself was complete
        except httptools.HttpParserError:
            self._write(problem(400, "this is not HTTP/1.1"), closes=True)
            self.close()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._transport is not None and self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self._waiting.append((self._request(), self._parser.should_keep_alive()))
        if self._transport is not None and len(self._waiting) > _MAX_PIPELINED:
            self._transport.pause_reading()
        if self.answering is None:
            self.answering = self._loop.create_task(self._answer_waiting())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _request(self) -> Request | None:
        if self._body_bytes > MAX_BODY_BYTES:
            return None
        path, _, query = self._url.partition(b"?")
        text = path.decode("latin-1")
        return Request(
            self._parser.get_method().decode("latin-1"),
            unquote(text) if "%" in text else text,
            query.decode("latin-1"),
            self._headers,
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
        )

    async def _answer_waiting(self) -> None:
        try:
            while self._waiting:
                request, keeps_open = self._waiting.popleft()
                await self._answer(request, keeps_open=keeps_open)
                if self._transport is not None and not self._transport.is_reading():
                    self._transport.resume_reading()
        except Exception:
            logger.exception("reply failed")
            self._cut()
        finally:
            self.answering = None

    async def _answer(self, request: Request | None, *, keeps_open: bool) -> None:
        if request is None:
            reply: Reply | None = problem(413, f"a body may have {MAX_BODY_BYTES} bytes")
        else:
            try:
                reply = await self._handler(request)
            except Exception:
                logger.exception("request failed: %s %s", request.method, request.path)
                reply = problem(500, "the sandbox failed; its log has the reason")
        if reply is None:
            self._cut()
            return
        self._write(reply, closes=not keeps_open, head_only=request is not None and request.method == "HEAD")
        if reply.stream is not None:
            await self._stream(reply)
        if not keeps_open:
            self.close()

    def _write(self, reply: Reply, *, closes: bool, head_only: bool = False) -> None:
        if self._transport is not None:
            head = reply.head(closes=closes)
            self._transport.write(head if head_only else head + reply.body)

    async def _stream(self, reply: Reply) -> None:
        if reply.stream is None:
            return
        async for chunk in reply.stream:
            await self._writable.wait()
            if self._transport is None:
                return
            if chunk:
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        if self._transport is not None:
            self._transport.write(b"0\r\n\r\n")

    def _cut(self) -> None:
        if self._transport is None:
            return
        connection = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._waiting.clear()
        self._transport.abort()
