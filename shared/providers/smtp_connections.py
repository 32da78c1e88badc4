"""Connections to one SMTP server: pooled, and exact about how far a submission came when it failed.

Takes an envelope and a message, gives nothing when the server has taken the message over with its answer to the final
dot (RFC 5321, 4.2.5 and 6.1). Before DATA nothing can have been sent; from DATA on, a connection that breaks leaves the
message in doubt, unless the server has said no.

The conversation itself is aiosmtplib's, the maintained asyncio client; smtplib of the standard library would hold a
thread for as long as a server takes. What is ours is the pool: signing in costs several round trips and a TLS
handshake, so a connection carries up to a hundred messages. Servers close idle connections when they like; one that was
closed while it waited is replaced once, since nothing had been said on it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum
from typing import Literal

import aiosmtplib

MAX_CONNECTIONS = 10  # many relays refuse more from one address
MESSAGES_A_CONNECTION = 100  # common servers close after as many
KEPT_IDLE = timedelta(seconds=60)  # servers grant five minutes (RFC 5321, 4.5.3.2.7), firewalls four
ROOM_WAIT = timedelta(seconds=10)

Encryption = Literal["starttls", "implicit", "none"]


class Stage(IntEnum):
    """How far a submission came."""

    CONNECT = 0
    SIGN_IN = 1
    SENDER = 2
    RECIPIENT = 3
    CONTENT = 4


class Refused(Exception):
    """The server answered no."""

    def __init__(self, stage: Stage, code: int, text: str) -> None:
        super().__init__(stage.name, code)
        self.stage = stage
        self.code = code
        self.text = text


class Broken(Exception):
    """There was no answer. ``reason`` is no_answer, connection_lost or malformed_answer."""

    def __init__(self, stage: Stage, reason: str) -> None:
        super().__init__(stage.name, reason)
        self.stage = stage
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where to submit, and as whom. ``greets_as`` is the name that we give in EHLO."""

    host: str
    port: int
    encryption: Encryption
    greets_as: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Whom the message is from and for, as the server sees it."""

    sender: str
    recipient: str


@dataclass(slots=True)
class _Connection:
    client: aiosmtplib.SMTP
    idle_since: float
    messages: int = 0


@dataclass(slots=True)
class _Progress:
    stage: Stage = Stage.CONNECT


class SmtpConnections:
    """The pool. It belongs to the event loop that first uses it."""

    def __init__(self, server: SmtpServer, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._monotonic = monotonic
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._idle: list[_Connection] = []

    async def submit(self, envelope: Envelope, message: bytes, timeout: timedelta) -> None:
        """The server has taken ``message`` over.

        Raises:
            Refused: the server said no, so it has not.
            Broken: it said nothing; up to the stage RECIPIENT nothing was handed over.
        """
        wait = min(ROOM_WAIT, timeout / 2)
        try:
            await asyncio.wait_for(self._room.acquire(), wait.total_seconds())
        except TimeoutError as error:
            raise Broken(Stage.CONNECT, "no_answer") from error
        progress = _Progress()
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self._submit(envelope, message, progress)
        except TimeoutError as error:
            raise Broken(progress.stage, "no_answer") from error
        except OSError as error:
            raise Broken(progress.stage, "connection_lost") from error
        finally:
            self._room.release()

    async def close(self) -> None:
        """Close all connections that nobody is using."""
        while self._idle:
            self._idle.pop().client.close()

    async def _submit(self, envelope: Envelope, message: bytes, progress: _Progress) -> None:
        connection = await self._greeted(envelope, progress)
        try:
            progress.stage = Stage.RECIPIENT
            await connection.client.rcpt(envelope.recipient)
            progress.stage = Stage.CONTENT
            await connection.client.data(message)
        except aiosmtplib.SMTPResponseException as error:
            await self._keep_after(error, connection)
            raise _refusal(progress.stage, error) from error
        except BaseException:
            connection.client.close()
            raise
        self._keep(connection)

    async def _greeted(self, envelope: Envelope, progress: _Progress) -> _Connection:
        """A connection that has taken the sender."""
        connection = self._take_idle()
        if connection is not None:
            try:
                return await self._from(connection, envelope, progress)
            except ConnectionError:
                pass  # closed while it was idle: nothing had been said, so a new one begins where this one would have
        return await self._from(await self._connect(progress), envelope, progress)

    async def _from(self, connection: _Connection, envelope: Envelope, progress: _Progress) -> _Connection:
        progress.stage = Stage.SENDER
        try:
            await connection.client.mail(envelope.sender)
        except aiosmtplib.SMTPResponseException as error:
            await self._keep_after(error, connection)
            raise _refusal(progress.stage, error) from error
        except BaseException:
            connection.client.close()
            raise
        return connection

    async def _connect(self, progress: _Progress) -> _Connection:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=server.greets_as,
            use_tls=server.encryption == "implicit",
            start_tls=server.encryption == "starttls",
        )
        progress.stage = Stage.CONNECT
        try:
            await client.connect()
        except aiosmtplib.SMTPResponseException as error:
            greeted = not isinstance(error, aiosmtplib.SMTPConnectResponseError)
            raise _refusal(Stage.SIGN_IN if greeted else Stage.CONNECT, error) from error
        except (aiosmtplib.SMTPConnectError, aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError):
            raise
        except aiosmtplib.SMTPException as error:  # it offers no TLS, or no way to sign in that we know
            raise Refused(Stage.SIGN_IN, 0, "") from error
        return _Connection(client, self._monotonic())

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.client.is_connected and self._monotonic() - connection.idle_since < KEPT_IDLE.total_seconds():
                return connection
            connection.client.close()
        return None

    def _keep(self, connection: _Connection) -> None:
        connection.messages += 1
        if connection.messages >= MESSAGES_A_CONNECTION or not connection.client.is_connected:
            connection.client.close()
            return
        connection.idle_since = self._monotonic()
        self._idle.append(connection)

    async def _keep_after(self, error: aiosmtplib.SMTPResponseException, connection: _Connection) -> None:
        if not _is_refusal(error):
            connection.client.close()
            return
        try:
            await connection.client.rset()
        except aiosmtplib.SMTPException:
            connection.client.close()
        else:
            self._keep(connection)


def _is_refusal(error: aiosmtplib.SMTPResponseException) -> bool:
    # Anything below is an answer out of turn, or none that is SMTP (-1).
    return error.code >= 400  # noqa: PLR2004 - where refusals begin


def _refusal(stage: Stage, error: aiosmtplib.SMTPResponseException) -> Refused | Broken:
    if _is_refusal(error):
        return Refused(stage, error.code, error.message)
    return Broken(stage, "malformed_answer")
