"""One TCP connection: protocol headers, SASL, frames, open and close.

Takes bytes from the socket and gives each frame to the session of its channel; collects what they answer until the
server has committed, then writes it. Whatever a peer sends ends at worst its own connection. SASL ANONYMOUS and
MSSBCBS say nothing about who calls: authorisation comes by `$cbs` (see `cbs`).
"""

import asyncio
import logging
import struct
from typing import TYPE_CHECKING, Any

from local_azure.servicebus import frames
from local_azure.servicebus.cbs import Grants
from local_azure.servicebus.codec import DecodeError, Described, decode
from local_azure.servicebus.frames import AmqpError
from local_azure.servicebus.session import LinkSession

if TYPE_CHECKING:
    from local_azure.servicebus.server import Server

_LOGGER = logging.getLogger(__name__)
_MAX_SESSIONS = 64
_MAX_UNSENT = 1 << 20
_MAX_HELD = 64 << 20
_MIN_FRAME_SIZE = 512
_SIZE = struct.Struct(">I")
_HEAD = struct.Struct(">IBBH")


class Connection(asyncio.Protocol):
    """The peer's view of the broker; see the module."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.grants = Grants(server.verifier, server.clock)
        self.peer_max_frame_size = _MIN_FRAME_SIZE
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._out: list[bytes] = []
        self._out_size = 0
        self._held = 0
        self._sessions: dict[int, LinkSession] = {}
        self._expects_header = True
        self._authenticated = self._opened = self._closing = False
        self._writable = True
        self._starved = self._flushing = False
        self._last_received = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._keep_alive: asyncio.TimerHandle | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        if self.server.faults.refuses_connections():
            self.abort()
            return
        self.server.connections.add(self)
        self._last_received = self.server.loop.time()
        self._watch_idle()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio calls it so
        self._closing = True
        self.server.connections.discard(self)
        for timer in (self._idle_timer, self._keep_alive):
            if timer:
                timer.cancel()
        for session in list(self._sessions.values()):
            session.drop()
        self._sessions.clear()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._refill()

    def data_received(self, data: bytes) -> None:
        self._last_received = self.server.loop.time()
        if self._closing:
            return
        buffer = self._buffer + data if self._buffer else data
        try:
            self._buffer = buffer[self._consume(buffer) :]
        except AmqpError as error:
            self.fail(error)
        except DecodeError as error:
            self.fail(AmqpError("amqp:decode-error", str(error)))
        except Exception:
            _LOGGER.exception("a frame could not be served")
            self.fail(AmqpError("amqp:internal-error", "the frame could not be served"))

    # Bytes to frames

    def _consume(self, buffer: bytes) -> int:
        pos, end = 0, len(buffer)
        while end - pos >= 8 and not self._closing:
            if self._expects_header:
                self._take_header(buffer[pos : pos + 8])
                pos += 8
                continue
            size, offset, kind, channel = _HEAD.unpack_from(buffer, pos)
            if size > frames.MAX_FRAME_SIZE or size < 8 or not 8 <= offset * 4 <= size:
                raise AmqpError("amqp:connection:framing-error", "impossible frame size")
            if end - pos < size:
                break
            self._take_frame(kind, channel, buffer[pos + offset * 4 : pos + size])
            pos += size
        return pos

    def _take_header(self, header: bytes) -> None:
        self._expects_header = False
        if header == frames.SASL_HEADER and not self._authenticated:
            self._write_now(frames.SASL_HEADER + frames.sasl_mechanisms(["MSSBCBS", "ANONYMOUS"]))
        elif header == frames.AMQP_HEADER and self._authenticated:
            self._write_now(frames.AMQP_HEADER)
        else:
            # A peer with another protocol, or without SASL, is told what is spoken here (2.2 "version negotiation").
            self._write_now(frames.AMQP_HEADER if self._authenticated else frames.SASL_HEADER)
            self._close_transport()

    def _take_frame(self, kind: int, channel: int, body: bytes) -> None:
        if not body:
            return
        performative, behind = decode(body)
        if not isinstance(performative, Described) or not isinstance(performative.value, list):
            raise DecodeError("a performative is expected")
        code, fields = performative
        if kind == 1:
            self._take_sasl(code, fields)
        elif not self._authenticated or self._expects_header:
            raise AmqpError("amqp:not-allowed", "SASL comes first")
        elif code == frames.OPEN:
            self._take_open(fields + [None] * (10 - len(fields)))
        elif code == frames.CLOSE:
            self.send(0, frames.close())
            self._finish()
        elif not self._opened:
            raise AmqpError("amqp:not-allowed", "open comes first")
        elif code == frames.BEGIN:
            self._take_begin(channel, fields + [None] * (8 - len(fields)))
        elif channel in self._sessions:
            # Frames for a channel that ended are legal: the SDK detaches its links after END.
            self._sessions[channel].take(code, fields, body, behind)

    def _take_sasl(self, code: Any, fields: list[Any]) -> None:
        if code != frames.SASL_INIT or self._authenticated or not fields:
            raise AmqpError("amqp:not-allowed", "sasl-init is expected")
        self._authenticated = fields[0] in ("ANONYMOUS", "MSSBCBS")
        self._write_now(frames.sasl_outcome(0 if self._authenticated else 1))
        if self._authenticated:
            self._expects_header = True
        else:
            self._close_transport()

    def _take_open(self, fields: list[Any]) -> None:
        if self._opened:
            raise AmqpError("amqp:illegal-state", "open twice")
        self._opened = True
        size = 0xFFFFFFFF if fields[2] is None else fields[2]
        self.peer_max_frame_size = max(_MIN_FRAME_SIZE, min(size, 1 << 20))
        if fields[4]:
            period = max(fields[4] / 2000, 0.05)
            self._keep_alive = self.server.loop.call_later(period, self._keep_peer_awake, period)
        self.send(0, frames.open_frame(self.server.container_id, self.server.limits.idle_timeout_ms))

    def _take_begin(self, channel: int, fields: list[Any]) -> None:
        if channel in self._sessions or len(self._sessions) >= _MAX_SESSIONS:
            raise AmqpError("amqp:not-allowed", "no such channel left")
        self._sessions[channel] = LinkSession(self, channel, window=fields[2])
        self.send(channel, frames.begin(channel, self.server.limits.max_links - 1))

    def forget_session(self, channel: int) -> None:
        self._sessions.pop(channel, None)

    @property
    def sessions(self) -> list[LinkSession]:
        return list(self._sessions.values())

    # Frames to bytes

    def send(self, channel: int, body: bytes) -> None:
        """Queue a frame; it leaves after the next commit."""
        self._out.append(frames.frame(channel, body))
        self._out_size += len(body) + 8
        if not self._flushing:
            self.server.flush_soon(self)

    def hold(self, byte_count: int) -> None:
        """Account for parts of messages that are not complete yet.

        Raises:
            AmqpError: when the peer has begun more than this stand-in keeps for one connection.
        """
        self._held += byte_count
        if self._held > _MAX_HELD:
            raise AmqpError("amqp:resource-limit-exceeded", "too many incomplete messages")

    def takes_more(self) -> bool:
        """Whether a delivery may be queued now; if not, the links are asked again later."""
        if self._writable and self._out_size < _MAX_UNSENT and not self._closing:
            return True
        self._starved = True
        return False

    def flush(self) -> None:
        """Write what is queued; the server calls this after a commit."""
        self._flushing = True  # what settling adds leaves right here
        for session in self._sessions.values():
            session.settle_received()
        self._flushing = False
        if self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._out_size = 0
            self._write_now(data)
        self._refill()

    def _refill(self) -> None:
        if self._starved and self._writable:
            self._starved = False
            for session in self.sessions:
                session.refill()

    def _write_now(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        delay = self.server.faults.delay_seconds()
        if delay:
            self.server.loop.call_later(delay, transport.write, data)
        else:
            transport.write(data)

    # Ends

    def fail(self, error: AmqpError) -> None:
        """Close with an error."""
        if self._closing:
            return
        _LOGGER.info("connection closed: %s: %s", error.condition, error.description)
        if self._opened:
            self.send(0, frames.close(error))
        self._finish()

    def _finish(self) -> None:
        for session in self.sessions:
            session.drop()
        self._closing = True
        self.server.flush_soon(self, then_close=True)

    def _close_transport(self) -> None:
        self._closing = True
        if self._transport:
            self._transport.close()

    def close(self) -> None:
        self._close_transport()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._closing = True
        if self._transport:
            self._transport.abort()

    # Time

    def _watch_idle(self) -> None:
        allowed = self.server.limits.idle_timeout_ms / 1000
        left = self._last_received + allowed - self.server.loop.time()
        if left <= 0:
            self.fail(AmqpError("amqp:resource-limit-exceeded", "nothing was received within the idle time-out"))
            self.server.loop.call_later(1, self.abort)
            return
        self._idle_timer = self.server.loop.call_later(left, self._watch_idle)

    def _keep_peer_awake(self, period_seconds: float) -> None:
        if not self._closing:
            self._write_now(frames.EMPTY_FRAME)
            self._keep_alive = self.server.loop.call_later(period_seconds, self._keep_peer_awake, period_seconds)
