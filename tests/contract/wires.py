"""Servers that play a vendor, each ending that a call can have: over HTTP, and over SMTP."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

TOKEN = b'{"access_token":"token","expires_in":3600}'
Play = Callable[[asyncio.StreamWriter], Awaitable[None] | None]


async def drip(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """A byte every tenth of a second: the server is alive, and never done in time."""
    for byte in answer:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


class _Wire:
    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.play: Play = lambda writer: None
        self.keeps_waiting = False  # whether only the caller's timeout ends a call
        self._under_way: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def close(self) -> None:
        """Every connection is gone, and nobody is left to answer."""
        for task, writer in self._under_way.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _do(self, writer: asyncio.StreamWriter) -> None:
        doing = self.play(writer)
        if doing is not None:
            await doing

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._under_way[task] = writer
        task.add_done_callback(self._under_way.pop)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await self._converse(reader, writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def hangs(self) -> None:
        self.play, self.keeps_waiting = lambda writer: None, True

    def resets(self) -> None:
        """The request has been read to its end; then the connection is gone."""
        self.play = lambda writer: writer.transport.abort()


class HttpWire(_Wire):
    """Reads requests and does with each what ``play`` says."""

    def answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        answer = _http_answer(status, headers or {}, body)
        self.play, self.keeps_waiting = lambda writer: writer.write(answer), False

    def accepts(self, contract) -> None:
        self.answer(*contract.accepted)

    def throttles(self) -> None:
        self.answer(429)

    def has_trouble(self) -> None:
        self.answer(503, {}, b"<html>oops</html>")

    def rejects(self, contract) -> None:
        self.answer(contract.rejected[0], {}, contract.rejected[1])

    def refuses_us(self, contract) -> None:
        self.answer(contract.unauthorised or 401)

    def talks_garbage(self) -> None:
        self.play = lambda writer: writer.write(b"\x00banana\r\n\r\n")

    def drips(self, contract) -> None:
        answer = _http_answer(*contract.accepted)
        self.play, self.keeps_waiting = lambda writer: drip(writer, answer), True

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            length = int(lengths[0].split(b":")[1]) if lengths else 0
            request = head + await reader.readexactly(length)
            if request.startswith(b"POST /token "):  # asked for before the message, and no part of the play
                writer.write(_http_answer(200, {}, TOKEN))
                continue
            self.requests.append(request)
            await self._do(writer)


class SmtpWire(_Wire):
    """Takes messages; ``play`` answers the final dot, ``answers`` what else is said to a command."""

    def __init__(self) -> None:
        super().__init__()
        self.connections = 0
        self.commands: list[bytes] = []
        self.greeting = b"220 mail.example ready\r\n"
        self.answers: dict[bytes, bytes] = {}
        self.hangs_up_at: dict[int, bytes] = {}  # connection, counted from 1 → command

    def accepts(self, contract) -> None:
        self.answers, self.keeps_waiting = {}, False
        self.play = lambda writer: writer.write(b"250 2.0.0 queued as 1\r\n")

    def throttles(self) -> None:
        self.answers = {b"RCPT": b"450 4.7.28 too many messages\r\n"}

    def has_trouble(self) -> None:
        self.answers = {b"RCPT": b"451 4.3.0 try later\r\n"}

    def rejects(self, contract) -> None:
        self.answers = {b"RCPT": b"550 5.1.1 no such mailbox\r\n"}

    def refuses_us(self, contract) -> None:
        self.answers = {b"AUTH": b"535 5.7.8 wrong credentials\r\n"}

    def talks_garbage(self) -> None:
        self.play = lambda writer: writer.write(b"\x00banana\r\n")

    def drips(self, contract) -> None:
        self.play, self.keeps_waiting = lambda writer: drip(writer, b"250 2.0.0 queued\r\n"), True

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        last_command = self.hangs_up_at.get(self.connections)
        writer.write(self.greeting)
        while True:
            line = await reader.readuntil(b"\r\n")
            self.commands.append(line)
            command = line[:4].upper().strip()
            if command == last_command and self.requests:
                return
            if command in self.answers:
                writer.write(self.answers[command])
            elif command == b"EHLO":
                writer.write(b"250-mail.example\r\n250 AUTH PLAIN LOGIN\r\n")
            elif command == b"AUTH":
                writer.write(b"235 2.7.0 welcome\r\n")
            elif command == b"DATA":
                writer.write(b"354 go on\r\n")
                self.requests.append(await reader.readuntil(b"\r\n.\r\n"))
                await self._do(writer)
            else:
                writer.write(b"250 2.0.0 ok\r\n")


def _http_answer(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", *(f"{n}: {v}" for n, v in headers.items())]
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
