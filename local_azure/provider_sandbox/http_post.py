"""A small HTTP/1.1 client for posting receipts: POST only, connections kept per origin, one deadline for everything.

Receipts outnumber the calls they belong to, and the general client costs several times more CPU per post than the whole
call that caused the receipt; the machine is shared with the service under test.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools

MAX_ANSWER_BYTES = 1024 * 1024


class PostError(Exception):
    """No usable answer: refused, cut, too slow, or not HTTP."""


class _Connection(asyncio.Protocol):
    """One connection; `answered` is the future of the post under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answered: asyncio.Future[int] | None = None
        self.reusable = True
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP transport is an asyncio.Transport

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(PostError(f"not HTTP: {error}"))
        if self._received > MAX_ANSWER_BYTES:
            self._fail(PostError("answer too long"))

    def on_message_complete(self) -> None:
        self.reusable = self._parser.should_keep_alive()
        if self.answered is not None and not self.answered.done():
            self.answered.set_result(self._parser.get_status_code())
        self._received = 0

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._fail(PostError("connection closed before an answer"))

    def _fail(self, error: PostError) -> None:
        self.reusable = False
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(error)
        if self.transport is not None:
            self.transport.abort()


class Poster:
    """Posts bodies; idle connections are kept for the next post to the same origin."""

    def __init__(self, timeout_seconds: float = 15) -> None:
        self._timeout_seconds = timeout_seconds
        self._idle: dict[tuple[str, str], list[_Connection]] = {}

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The answer's HTTP status; redirects are not followed. Raises: PostError."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._post(url, headers, body)
        except TimeoutError as error:
            raise PostError(f"no answer within {self._timeout_seconds} s") from error
        except (OSError, ValueError) as error:
            raise PostError(str(error)) from error

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        parts = urlsplit(url)
        origin = (parts.scheme, parts.netloc)
        connection = self._take_idle(origin) or await _connect(parts.scheme, parts.hostname, parts.port)
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.answered = asyncio.get_running_loop().create_future()
        assert connection.transport is not None  # noqa: S101 - set by connection_made before create_connection returns
        connection.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        try:
            status = await connection.answered
        except BaseException:
            connection.transport.abort()
            raise
        if connection.reusable:
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.transport.close()
        return status

    def _take_idle(self, origin: tuple[str, str]) -> _Connection | None:
        waiting = self._idle.get(origin, [])
        while waiting:
            connection = waiting.pop()
            if connection.reusable and connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    def close(self) -> None:
        for waiting in self._idle.values():
            for connection in waiting:
                if connection.transport is not None:
                    connection.transport.close()
        self._idle.clear()


async def _connect(scheme: str, host: str | None, port: int | None) -> _Connection:
    if scheme not in ("http", "https") or not host:
        raise PostError(f"cannot post to a {scheme or 'relative'} address")
    tls = ssl.create_default_context() if scheme == "https" else None
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(_Connection, host, port or (443 if tls else 80), ssl=tls)
    return connection
