"""Speaks SMTP on 127.0.0.1: reads a conversation, hands each message to the server that is played (smtp.py).

RFC 5321, with AUTH PLAIN and LOGIN (RFC 4954). Not spoken: TLS (nothing leaves this machine) and BDAT.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import AsyncIterator

from local_azure.provider_sandbox.listener import HOST
from local_azure.provider_sandbox.smtp import Smtp

MAX_MESSAGE_BYTES = 25 * 1024 * 1024
MAX_RECIPIENTS = 100
_MAX_LINE_BYTES = 64 * 1024
_PATH = re.compile(rb"(?:MAIL FROM|RCPT TO):\s*<([^<>\s]*)>", re.IGNORECASE)
_GREETING = b"220 sandbox.local ready\r\n"
_EXTENSIONS = (b"PIPELINING", b"8BITMIME", b"ENHANCEDSTATUSCODES", b"SIZE %d" % MAX_MESSAGE_BYTES)


@contextlib.asynccontextmanager
async def listening(server: Smtp, port: int | None) -> AsyncIterator[int | None]:
    """The port that takes mail as long as the context lasts; None takes none, 0 a free one. Raises: OSError."""
    if port is None:
        yield None
        return
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            conversations.add(task)
            task.add_done_callback(conversations.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await _Conversation(server, reader, writer).run()
        writer.close()

    listener = await asyncio.start_server(converse, HOST, port, limit=MAX_MESSAGE_BYTES)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(conversations):
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)


class _Conversation:
    """One connection."""

    def __init__(self, server: Smtp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._signed_in = server.credentials is None
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        self._writer.write(_GREETING)
        while True:
            line = (await self._reader.readuntil(b"\r\n")).rstrip(b"\r\n")
            if len(line) > _MAX_LINE_BYTES:
                return
            verb = line[:4].upper()
            if verb == b"QUIT":
                self._writer.write(b"221 2.0.0 bye\r\n")
                return
            if verb == b"DATA":
                if not await self._take_message():
                    return
            elif verb == b"AUTH":
                await self._sign_in(line)
            else:
                self._writer.write(self._answer(verb, line))

    def _answer(self, verb: bytes, line: bytes) -> bytes:
        if verb == b"EHLO":
            extensions = [*_EXTENSIONS, *([b"AUTH PLAIN LOGIN"] if self._server.credentials else [])]
            return b"250-sandbox.local\r\n" + b"".join(b"250-%b\r\n" % each for each in extensions) + b"250 HELP\r\n"
        if verb in (b"HELO", b"NOOP"):
            return b"250 2.0.0 sandbox.local\r\n"
        if verb == b"RSET":
            self._sender, self._recipients = None, []
            return b"250 2.0.0 forgotten\r\n"
        if verb in (b"MAIL", b"RCPT"):
            return self._take_address(verb, line)
        return b"502 5.5.1 not spoken here\r\n"

    def _take_address(self, verb: bytes, line: bytes) -> bytes:
        if not self._signed_in:
            return b"530 5.7.0 authentication required\r\n"
        path = _PATH.match(line)
        if path is None:
            return b"501 5.5.4 an address stands in angle brackets\r\n"
        address = path[1].decode("utf-8", "replace")
        if verb == b"MAIL":
            self._sender, self._recipients = address, []
            return b"250 2.1.0 ok\r\n"
        if self._sender is None:
            return b"503 5.5.1 MAIL first\r\n"
        if len(self._recipients) >= MAX_RECIPIENTS:
            return b"452 4.5.3 too many recipients\r\n"
        if "@" not in address:
            return b"501 5.1.3 no address\r\n"
        self._recipients.append(address)
        return b"250 2.1.5 ok\r\n"

    async def _take_message(self) -> bool:
        """Whether the connection goes on."""
        if self._sender is None or not self._recipients:
            self._writer.write(b"503 5.5.1 MAIL and RCPT first\r\n")
            return True
        self._writer.write(b"354 end with a dot on a line of its own\r\n")
        message = _unstuffed(await self._reader.readuntil(b"\r\n.\r\n"))
        sender, recipients = self._sender, self._recipients
        self._sender, self._recipients = None, []
        reply = await self._server.submit(sender, recipients, message)
        if reply is None:
            self._writer.transport.abort()
            return False
        if reply.stream is not None:
            async for chunk in reply.stream:
                self._writer.write(chunk)
                await self._writer.drain()
            return True
        self._writer.write(reply.body if reply.body.endswith(b"\r\n") else reply.body + b"\r\n")
        return reply.status != 503

    async def _sign_in(self, line: bytes) -> None:
        method, _, initial = line[5:].partition(b" ")
        try:
            if method.upper() == b"PLAIN":
                given = base64.b64decode(initial or await self._ask(b"334 \r\n"), validate=True)
                _, user, password = given.split(b"\0")
            elif method.upper() == b"LOGIN":
                user = base64.b64decode(initial or await self._ask(b"334 VXNlcm5hbWU6\r\n"), validate=True)
                password = base64.b64decode(await self._ask(b"334 UGFzc3dvcmQ6\r\n"), validate=True)
            else:
                self._writer.write(b"504 5.5.4 PLAIN or LOGIN\r\n")
                return
        except (ValueError, binascii.Error):
            self._writer.write(b"501 5.5.2 not base64\r\n")
            return
        self._signed_in = (user.decode(), password.decode()) == self._server.credentials
        self._writer.write(b"235 2.7.0 welcome\r\n" if self._signed_in else b"535 5.7.8 wrong credentials\r\n")

    async def _ask(self, question: bytes) -> bytes:
        self._writer.write(question)
        return (await self._reader.readuntil(b"\r\n")).rstrip(b"\r\n")


def _unstuffed(raw: bytes) -> bytes:
    """The message without the final dot, its doubled dots undone (RFC 5321, 4.5.2)."""
    return (b"\r\n" + raw[:-3]).replace(b"\r\n..", b"\r\n.")[2:]
