"""AMQP 1.0 type system: Python values to bytes.

The wrapper types of `codec` choose the AMQP type where Python has only one (a plain `int` becomes long). Fields of
performatives are encoded one by one with the `encode_*` functions, because their types are fixed by the standard.
Implements AMQP 1.0 part 1, "Types".
"""

import struct
import uuid
from collections.abc import Callable
from typing import Any

from local_azure.servicebus.codec import Int, Symbol, Timestamp, UInt, ULong

_U32, _U64, _I32, _I64, _F64 = (struct.Struct(">" + layout) for layout in "IQiqd")


class Array(list[Any]):
    """Values of one type, encoded as an AMQP array: all int (long), all Timestamp or all str."""

    __slots__ = ()


NULL, TRUE, FALSE = b"\x40", b"\x41", b"\x42"


def encode_uint(value: int) -> bytes:
    if value == 0:
        return b"\x43"
    return bytes((0x52, value)) if value < 256 else b"\x70" + _U32.pack(value)


def encode_ulong(value: int) -> bytes:
    return bytes((0x53, value)) if value < 256 else b"\x80" + _U64.pack(value)


def encode_text(value: str) -> bytes:
    raw = value.encode("utf-8")
    return (bytes((0xA1, len(raw))) if len(raw) < 256 else b"\xb1" + _U32.pack(len(raw))) + raw


def encode_symbol(value: str) -> bytes:
    raw = value.encode("utf-8")
    return (bytes((0xA3, len(raw))) if len(raw) < 256 else b"\xb3" + _U32.pack(len(raw))) + raw


def encode_binary(value: bytes) -> bytes:
    return (bytes((0xA0, len(value))) if len(value) < 256 else b"\xb0" + _U32.pack(len(value))) + value


def encode_timestamp(milliseconds: int) -> bytes:
    return b"\x83" + _I64.pack(milliseconds)


def encode_long(value: int) -> bytes:
    return b"\x81" + _I64.pack(value)


def encode_list(items: list[bytes]) -> bytes:
    """A list of values that are encoded already."""
    body = b"".join(items)
    if len(body) < 255 and len(items) < 256:
        return bytes((0xC0, len(body) + 1, len(items))) + body
    return b"\xd0" + _U32.pack(len(body) + 4) + _U32.pack(len(items)) + body


def encode_map(body: bytes, element_count: int) -> bytes:
    """A map of `element_count` keys and values (twice the pairs) that are encoded already."""
    if len(body) < 255 and element_count < 256:
        return bytes((0xC1, len(body) + 1, element_count)) + body
    return b"\xd1" + _U32.pack(len(body) + 4) + _U32.pack(element_count) + body


def encode_described(code: int, fields: list[bytes]) -> bytes:
    """A described list, such as a performative or an outcome."""
    return bytes((0x00, 0x53, code)) + encode_list(fields)


def encode_symbols(values: list[str]) -> bytes:
    """An array of symbols."""
    body = b"\xa3" + b"".join(bytes((len(value),)) + value.encode("ascii") for value in values)
    return bytes((0xE0, len(body) + 1, len(values))) + body


def _encode_dict(value: dict[Any, Any]) -> bytes:
    return encode_map(b"".join(encode(key) + encode(item) for key, item in value.items()), 2 * len(value))


def _encode_array(values: Array) -> bytes:
    if values and isinstance(values[0], str):
        raw = [value.encode("utf-8") for value in values]
        code, body = b"\xb1", b"".join(_U32.pack(len(text)) + text for text in raw)
    else:
        code = b"\x83" if values and isinstance(values[0], Timestamp) else b"\x81"
        body = b"".join(_I64.pack(value) for value in values)
    return b"\xf0" + _U32.pack(len(body) + 5) + _U32.pack(len(values)) + code + body


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _value: NULL,
    bool: lambda value: TRUE if value else FALSE,
    int: encode_long,
    float: lambda value: b"\x82" + _F64.pack(value),
    str: encode_text,
    bytes: encode_binary,
    Symbol: encode_symbol,
    Timestamp: encode_timestamp,
    Int: lambda value: b"\x71" + _I32.pack(value),
    UInt: encode_uint,
    ULong: encode_ulong,
    uuid.UUID: lambda value: b"\x98" + value.bytes,
    list: lambda value: encode_list([encode(item) for item in value]),
    Array: _encode_array,
    dict: _encode_dict,
}


def encode(value: Any) -> bytes:
    """The value in the AMQP type that its Python type stands for; a plain `int` becomes long."""
    return _ENCODERS[type(value)](value)
