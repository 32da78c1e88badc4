"""AMQP frames and performatives as bytes.

Every field of a performative is written, nulls included: older releases of the SDK index fields by position. Error
fields are always three, because the SDK hangs on fewer. Implements AMQP 1.0 part 2, "Transport"
(https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-transport-v1.0-os.html).
"""

import struct
from dataclasses import dataclass
from typing import Any

from local_azure.servicebus import encoding as wire

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SOURCE, TARGET, COORDINATOR = 0x28, 0x29, 0x30
ERROR = 0x1D
ACCEPTED, REJECTED, RELEASED, MODIFIED = 0x24, 0x25, 0x26, 0x27
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"
MAX_FRAME_SIZE = 65536
SESSION_WINDOW = 0x7FFFFFFF  # the SDK stalls when the window it was told runs out

_FRAME_HEADER = struct.Struct(">IBBH")
_NULL, _TRUE, _FALSE = wire.NULL, wire.TRUE, wire.FALSE
ACCEPTED_STATE = wire.encode_described(ACCEPTED, [])
RELEASED_STATE = wire.encode_described(RELEASED, [])
REJECTED_STATE = wire.encode_described(REJECTED, [_NULL])


class AmqpError(Exception):
    """A condition that ends a connection or link, or refuses a message."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(description)
        self.condition, self.description = condition, description


def frame(channel: int, body: bytes, *, kind: int = 0) -> bytes:
    return _FRAME_HEADER.pack(len(body) + 8, 2, kind, channel) + body


def _flag(value: bool) -> bytes:
    return _TRUE if value else _FALSE


def _optional_uint(value: int | None) -> bytes:
    return _NULL if value is None else wire.encode_uint(value)


def error(condition: str, description: str) -> bytes:
    return wire.encode_described(
        ERROR, [wire.encode_symbol(condition), wire.encode_text(description), wire.encode_map(b"", 0)]
    )


def rejected(condition: str, description: str) -> bytes:
    """The state of a delivery that was refused."""
    return wire.encode_described(REJECTED, [error(condition, description)])


def modified(*, failed: bool, undeliverable: bool) -> bytes:
    return wire.encode_described(MODIFIED, [_flag(failed), _flag(undeliverable), _NULL])


def open_frame(container: str, idle_timeout_ms: int) -> bytes:
    fields = [
        wire.encode_text(container),
        _NULL,
        wire.encode_uint(MAX_FRAME_SIZE),
        b"\x60\xff\xff",
        wire.encode_uint(idle_timeout_ms),
        *[_NULL] * 5,
    ]
    return wire.encode_described(OPEN, fields)


def begin(remote_channel: int, handle_max: int) -> bytes:
    window = wire.encode_uint(SESSION_WINDOW)
    fields = [
        b"\x60" + struct.pack(">H", remote_channel),
        wire.encode_uint(0),
        window,
        window,
        wire.encode_uint(handle_max),
        *[_NULL] * 3,
    ]
    return wire.encode_described(BEGIN, fields)


@dataclass(frozen=True, slots=True)
class Attach:
    """What an attach answers; a refusal has neither source nor target."""

    name: str
    handle: int
    we_receive: bool
    snd_settle_mode: int
    rcv_settle_mode: int
    source: bytes = _NULL
    target: bytes = _NULL
    max_message_size: int = 0
    properties: bytes = _NULL

    def encode(self) -> bytes:
        fields = [
            wire.encode_text(self.name),
            wire.encode_uint(self.handle),
            _flag(self.we_receive),
            bytes((0x50, self.snd_settle_mode)),
            bytes((0x50, self.rcv_settle_mode)),
            self.source,
            self.target,
            _NULL,
            _FALSE,
            _NULL if self.we_receive else wire.encode_uint(0),
            wire.encode_ulong(self.max_message_size),
            _NULL,
            _NULL,
            self.properties,
        ]
        return wire.encode_described(ATTACH, fields)


def source(address: str, filters: dict[Any, Any] | None = None) -> bytes:
    encoded = _NULL if filters is None else wire.encode(filters)
    return wire.encode_described(SOURCE, [wire.encode_text(address), *[_NULL] * 6, encoded, *[_NULL] * 3])


def target(address: str) -> bytes:
    return wire.encode_described(TARGET, [wire.encode_text(address), *[_NULL] * 6])


def flow(
    next_incoming_id: int,
    next_outgoing_id: int,
    *,
    handle: int | None = None,
    delivery_count: int | None = None,
    credit: int | None = None,
    drain: bool = False,
) -> bytes:
    window = wire.encode_uint(SESSION_WINDOW)
    fields = [
        wire.encode_uint(next_incoming_id),
        window,
        wire.encode_uint(next_outgoing_id),
        window,
        _optional_uint(handle),
        _optional_uint(delivery_count),
        _optional_uint(credit),
        _NULL,
        _flag(drain),
        _FALSE,
        _NULL,
    ]
    return wire.encode_described(FLOW, fields)


_TRANSFER_TAIL = _NULL * 4 + _FALSE  # rcv-settle-mode, state, resume, aborted, batchable


def transfer(handle: int, delivery_id: int, tag: bytes, *, settled: bool, more: bool) -> bytes:
    """The performative that precedes the payload."""
    body = b"".join(
        (
            wire.encode_uint(handle),
            wire.encode_uint(delivery_id),
            wire.encode_binary(tag),
            b"\x43",
            _flag(settled),
            _flag(more),
            _TRANSFER_TAIL,
        )
    )
    return b"\x00\x53\x14\xc0" + bytes((len(body) + 1, 11)) + body


def disposition(first: int, last: int, state: bytes, *, we_receive: bool) -> bytes:
    """A settled disposition."""
    fields = [_flag(we_receive), wire.encode_uint(first), wire.encode_uint(last), _TRUE, state, _FALSE]
    return wire.encode_described(DISPOSITION, fields)


def detach(handle: int, failure: AmqpError | None = None, *, closed: bool = True) -> bytes:
    reason = _NULL if failure is None else error(failure.condition, failure.description)
    return wire.encode_described(DETACH, [wire.encode_uint(handle), _flag(closed), reason])


def end(failure: AmqpError | None = None) -> bytes:
    return wire.encode_described(END, [_NULL if failure is None else error(failure.condition, failure.description)])


def close(failure: AmqpError | None = None) -> bytes:
    return wire.encode_described(CLOSE, [_NULL if failure is None else error(failure.condition, failure.description)])


def sasl_mechanisms(names: list[str]) -> bytes:
    return frame(0, wire.encode_described(SASL_MECHANISMS, [wire.encode_symbols(names)]), kind=1)


def sasl_outcome(code: int) -> bytes:
    return frame(0, wire.encode_described(SASL_OUTCOME, [bytes((0x50, code)), _NULL]), kind=1)
