"""AMQP 1.0 type system: bytes to Python values and back.

Takes untrusted bytes and gives values, or `DecodeError`; nesting depth and element counts are bounded so that
no peer can exhaust the stack or the memory. Implements AMQP 1.0 part 1, "Types"
(https://docs.oasis-open.org/amqp/core/v1.0/os/amqp-core-types-v1.0-os.html).
"""

import struct
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

MAX_DEPTH = 32
MAX_ZERO_WIDTH_ITEMS = 1024


class DecodeError(ValueError):
    """The bytes are not well-formed AMQP, or nest deeper than this stand-in allows."""


class Symbol(str):
    """AMQP symbol: a string that is encoded as symbol."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since the Unix epoch, encoded as timestamp."""

    __slots__ = ()


class Int(int):
    """A value encoded as the 32-bit AMQP int; plain Python integers become long."""

    __slots__ = ()


class UInt(int):
    """A value encoded as uint."""

    __slots__ = ()


class ULong(int):
    """A value encoded as ulong."""

    __slots__ = ()


class Described(NamedTuple):
    """A described value: descriptor (ulong code or symbol) and what it describes."""

    descriptor: Any
    value: Any


_U16, _U32, _U64 = struct.Struct(">H"), struct.Struct(">I"), struct.Struct(">Q")
_I8, _I16, _I32, _I64 = struct.Struct(">b"), struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">q")
_F32, _F64 = struct.Struct(">f"), struct.Struct(">d")
_WIDTHS = (0, 0, 0, 0, 0, 1, 2, 4, 8, 16)  # by the constructor's high nibble, fixed-width types
_MALFORMED = (IndexError, struct.error, UnicodeDecodeError, TypeError, ValueError, OverflowError)

Decoder = Callable[[bytes, int, int], tuple[Any, int]]


def _fixed(layout: struct.Struct, make: Callable[[Any], Any] | None = None) -> Decoder:
    size, unpack = layout.size, layout.unpack_from
    if make is None:
        return lambda buf, pos, _depth: (unpack(buf, pos)[0], pos + size)
    return lambda buf, pos, _depth: (make(unpack(buf, pos)[0]), pos + size)


def _constant(value: Any) -> Decoder:
    return lambda _buf, pos, _depth: (value, pos)


def _opaque(width: int, make: Callable[[bytes], Any]) -> Decoder:
    def decode_opaque(buf: bytes, pos: int, _depth: int) -> tuple[Any, int]:
        end = pos + width
        if end > len(buf):
            raise DecodeError("value runs past the end")
        return make(buf[pos:end]), end

    return decode_opaque


def _sized(*, wide: bool, make: Callable[[bytes], Any]) -> Decoder:
    def decode_sized(buf: bytes, pos: int, _depth: int) -> tuple[Any, int]:
        if wide:
            start = pos + 4
            end = start + _U32.unpack_from(buf, pos)[0]
        else:
            start = pos + 1
            end = start + buf[pos]
        if end > len(buf):
            raise DecodeError("value runs past the end")
        return make(buf[start:end]), end

    return decode_sized


def _compound_bounds(buf: bytes, pos: int, *, wide: bool) -> tuple[int, int, int]:
    """Element count, position of the first element and end of a list, map or array."""
    if wide:
        size, count = _U32.unpack_from(buf, pos)[0], _U32.unpack_from(buf, pos + 4)[0]
        start, end = pos + 8, pos + 4 + size
    else:
        size, count = buf[pos], buf[pos + 1]
        start, end = pos + 2, pos + 1 + size
    if end > len(buf) or start > end:
        raise DecodeError("compound runs past the end")
    return count, start, end


def _decode_items(buf: bytes, pos: int, depth: int, *, wide: bool) -> tuple[list[Any], int]:
    count, pos, end = _compound_bounds(buf, pos, wide=wide)
    if count > end - pos:
        raise DecodeError("more elements than bytes")
    if depth >= MAX_DEPTH:
        raise DecodeError("nesting too deep")
    items: list[Any] = []
    decoders, inner = _DECODERS, depth + 1
    for _ in range(count):
        code = buf[pos]
        if code == 0x40:  # most fields of most lists are null; this halves the time
            items.append(None)
            pos += 1
        else:
            value, pos = decoders[code](buf, pos + 1, inner)
            items.append(value)
    if pos != end:
        raise DecodeError("compound size does not match its elements")
    return items, end


def _list(*, wide: bool) -> Decoder:
    return lambda buf, pos, depth: _decode_items(buf, pos, depth, wide=wide)


def _map(*, wide: bool) -> Decoder:
    def decode_map(buf: bytes, pos: int, depth: int) -> tuple[Any, int]:
        items, end = _decode_items(buf, pos, depth, wide=wide)
        if len(items) % 2:
            raise DecodeError("map with an odd number of elements")
        return dict(zip(items[::2], items[1::2], strict=True)), end

    return decode_map


def _array(*, wide: bool) -> Decoder:
    def decode_array(buf: bytes, pos: int, depth: int) -> tuple[Any, int]:
        count, pos, end = _compound_bounds(buf, pos, wide=wide)
        if depth >= MAX_DEPTH:
            raise DecodeError("nesting too deep")
        code = buf[pos]
        pos += 1
        if code == 0:
            _, pos = _DECODERS[buf[pos]](buf, pos + 1, depth + 1)
            code = buf[pos]
            pos += 1
        if count > max(end - pos, MAX_ZERO_WIDTH_ITEMS):
            raise DecodeError("more elements than bytes")
        decode_item, items = _DECODERS[code], []
        for _ in range(count):
            value, pos = decode_item(buf, pos, depth + 1)
            items.append(value)
        if pos != end:
            raise DecodeError("array size does not match its elements")
        return items, end

    return decode_array


def _described(buf: bytes, pos: int, depth: int) -> tuple[Any, int]:
    if depth >= MAX_DEPTH:
        raise DecodeError("nesting too deep")
    descriptor, pos = _DECODERS[buf[pos]](buf, pos + 1, depth + 1)
    value, pos = _DECODERS[buf[pos]](buf, pos + 1, depth + 1)
    return Described(descriptor, value), pos


def _unknown(_buf: bytes, _pos: int, _depth: int) -> tuple[Any, int]:
    raise DecodeError("unknown type constructor")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8")


def _symbol(raw: bytes) -> Symbol:
    return Symbol(raw.decode("utf-8"))


def _uuid(raw: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=raw)


_DECODERS: list[Decoder] = [_unknown] * 256
_DECODERS[0x00] = _described
_DECODERS[0x40], _DECODERS[0x41], _DECODERS[0x42] = _constant(None), _constant(True), _constant(False)
_DECODERS[0x43], _DECODERS[0x44] = _constant(0), _constant(0)
_DECODERS[0x45] = lambda _buf, pos, _depth: ([], pos)
_DECODERS[0x50] = _DECODERS[0x52] = _DECODERS[0x53] = lambda buf, pos, _depth: (buf[pos], pos + 1)
_DECODERS[0x51] = _DECODERS[0x54] = _DECODERS[0x55] = _fixed(_I8)
_DECODERS[0x56] = lambda buf, pos, _depth: (buf[pos] == 1, pos + 1)
_DECODERS[0x60], _DECODERS[0x61] = _fixed(_U16), _fixed(_I16)
_DECODERS[0x70], _DECODERS[0x71], _DECODERS[0x72] = _fixed(_U32), _fixed(_I32), _fixed(_F32)
_DECODERS[0x73] = _opaque(4, lambda raw: raw.decode("utf-32-be"))
_DECODERS[0x74], _DECODERS[0x84], _DECODERS[0x94] = _opaque(4, bytes), _opaque(8, bytes), _opaque(16, bytes)
_DECODERS[0x80], _DECODERS[0x81], _DECODERS[0x82] = _fixed(_U64), _fixed(_I64), _fixed(_F64)
_DECODERS[0x83], _DECODERS[0x98] = _fixed(_I64, Timestamp), _opaque(16, _uuid)
_DECODERS[0xA0], _DECODERS[0xB0] = _sized(wide=False, make=bytes), _sized(wide=True, make=bytes)
_DECODERS[0xA1], _DECODERS[0xB1] = _sized(wide=False, make=_text), _sized(wide=True, make=_text)
_DECODERS[0xA3], _DECODERS[0xB3] = _sized(wide=False, make=_symbol), _sized(wide=True, make=_symbol)
_DECODERS[0xC0], _DECODERS[0xD0] = _list(wide=False), _list(wide=True)
_DECODERS[0xC1], _DECODERS[0xD1] = _map(wide=False), _map(wide=True)
_DECODERS[0xE0], _DECODERS[0xF0] = _array(wide=False), _array(wide=True)


def decode(buf: bytes, pos: int = 0) -> tuple[Any, int]:
    """The value at `pos` and the position behind it.

    Raises:
        DecodeError: for anything malformed.
    """
    try:
        return _DECODERS[buf[pos]](buf, pos + 1, 0)
    except DecodeError:
        raise
    except _MALFORMED as error:
        raise DecodeError(str(error)) from error


def skip(buf: bytes, pos: int) -> int:
    """The position behind the value at `pos`, which is not decoded.

    Raises:
        DecodeError: when the value runs past the end of the buffer.
    """
    try:
        code = buf[pos]
        if code == 0:
            return skip(buf, skip(buf, pos + 1))
        nibble = code >> 4
        if nibble < 0xA:
            end = pos + 1 + _WIDTHS[nibble]
        elif nibble & 1:
            end = pos + 5 + _U32.unpack_from(buf, pos + 1)[0]
        else:
            end = pos + 2 + buf[pos + 1]
    except (IndexError, struct.error, RecursionError) as error:
        raise DecodeError("value runs past the end") from error
    if end > len(buf) or nibble < 4:
        raise DecodeError("value runs past the end")
    return end


def split_map(buf: bytes, pos: int) -> list[tuple[Any, int, int]]:
    """The keys of the map at `pos`, each with the bounds of its encoded key/value pair.

    Lets a map be changed without re-encoding the values, so that integer widths survive.

    Raises:
        DecodeError: when there is no well-formed map.
    """
    if buf[pos : pos + 1] not in (b"\xc1", b"\xd1"):
        raise DecodeError("a map is expected")
    try:
        count, pos, end = _compound_bounds(buf, pos + 1, wide=buf[pos] == 0xD1)
        pairs = []
        for _ in range(count // 2):
            key, behind_key = _DECODERS[buf[pos]](buf, pos + 1, 1)
            behind = skip(buf, behind_key)
            pairs.append((key, pos, behind))
            pos = behind
    except DecodeError:
        raise
    except _MALFORMED as error:
        raise DecodeError(str(error)) from error
    if pos != end or count % 2:
        raise DecodeError("map size does not match its elements")
    return pairs
