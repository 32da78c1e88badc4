"""The wire between the host and a worker: length-prefixed ``marshal`` tuples over an inherited socket pair.

Takes tuples of plain values, gives them to the other side's ``receive``. Both ends are the same Python and trust each
other (parent and child), so ``marshal`` is safe here and several times cheaper than JSON or protobuf. Frames written
in one pass of the loop leave in one system call.

Host to worker: ``("setup", {function_id: [(name, datum_type, value)]})``, ``("invoke", id, ...)``, ``("cancel", id)``,
``("stop",)``. Worker to host: ``("ready", functions)``, ``("index_failed", text)``, ``("result", id, ...)``,
``("leaving",)`` (on SIGTERM: nothing new, please).
"""

import asyncio
import marshal
import struct
from collections.abc import Callable
from typing import Any

_LENGTH = struct.Struct("<I")

Frame = tuple[Any, ...]


class FrameChannel(asyncio.Protocol):
    """One end of the wire."""

    def __init__(self, receive: Callable[[Frame], None], lost: Callable[[], None]) -> None:
        self.receive = receive
        self._lost = lost
        self._buffer = bytearray()
        self._outgoing: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        self._transport = None
        self._lost()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start, size = 0, len(buffer)
        while size - start >= 4:
            end = start + 4 + _LENGTH.unpack_from(buffer, start)[0]
            if end > size:
                break
            self.receive(marshal.loads(buffer[start + 4 : end]))  # noqa: S302 - from our own parent or child only
            start = end
        if start:
            del buffer[:start]

    def send(self, frame: Frame) -> None:
        body = marshal.dumps(frame)
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(_LENGTH.pack(len(body)))
        self._outgoing.append(body)

    def _flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(outgoing))

    def close(self) -> None:
        """Flush what was sent and close; the other side sees the end of the stream."""
        self._flush()
        if self._transport is not None:
            self._transport.close()
