"""One HTTP/1.1 connection without comfort: a request's bytes in, (status, body) out, for little CPU."""

import asyncio
from typing import Any

import httptools

Answer = tuple[int, bytes]


class ConnectionLost(Exception):
    """The far side went away before it answered."""


class HttpConnection(asyncio.Protocol):
    """One request at a time. ``is_open`` is False once the far side closed it."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._parser: Any = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._body: list[bytes] = []

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, raw: bytes) -> Answer:
        """The answer to a complete request. Raises ConnectionLost."""
        if not self.is_open:
            raise ConnectionLost
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(raw)
        return await self._waiter

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body, self._body = b"".join(self._body), []
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result((self._parser.get_status_code(), body))
        if not self._parser.should_keep_alive():
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionLost(str(error or "closed")))


async def connect(host: str, port: int) -> HttpConnection:
    """An open connection. Raises ConnectionLost."""
    try:
        _, connection = await asyncio.get_running_loop().create_connection(HttpConnection, host, port)
    except OSError as error:
        raise ConnectionLost(str(error)) from error
    return connection
