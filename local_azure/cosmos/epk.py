"""Effective partition keys: the place of a partition key value in the hash space "" .. "FF".

Takes the decoded components of a key; gives upper-case hex text that sorts as the service sorts it. It must equal
what the SDKs compute, because feed ranges and `read_items` route by it. Algorithm: 128-bit MurmurHash3 (x64 variant,
Austin Appleby, public domain) over a type byte, the value and 0xFF after strings; reversed, top two bits cleared
(hash version 2). Hash version 1 is not implemented.
"""

import struct
from typing import Any, Final

_MASK: Final = 0xFFFFFFFFFFFFFFFF
_C1: Final = 0x87C37B91114253D5
_C2: Final = 0x4CF5AD432745937F


class Undefined:
    """The type of the one value that marks an absent property."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "undefined"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK


def _finish(value: int) -> int:
    value ^= value >> 33
    value = (value * 0xFF51AFD7ED558CCD) & _MASK
    value ^= value >> 33
    value = (value * 0xC4CEB9FE1A85EC53) & _MASK
    return value ^ (value >> 33)


def murmur3_128(data: bytes) -> tuple[int, int]:
    low = high = 0
    length = len(data)
    whole = length & ~15
    for first, second in struct.iter_unpack("<QQ", data[:whole]):
        low ^= (_rotate((first * _C1) & _MASK, 31) * _C2) & _MASK
        low = ((_rotate(low, 27) + high) * 5 + 0x52DCE729) & _MASK
        high ^= (_rotate((second * _C2) & _MASK, 33) * _C1) & _MASK
        high = ((_rotate(high, 31) + low) * 5 + 0x38495AB5) & _MASK
    tail = data[whole:]
    if tail:
        first, second = struct.unpack("<QQ", tail.ljust(16, b"\0"))
        high ^= (_rotate((second * _C2) & _MASK, 33) * _C1) & _MASK
        low ^= (_rotate((first * _C1) & _MASK, 31) * _C2) & _MASK
    low ^= length
    high ^= length
    low = (low + high) & _MASK
    high = (high + low) & _MASK
    low, high = _finish(low), _finish(high)
    low = (low + high) & _MASK
    return low, (high + low) & _MASK


def _component_bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return b"\x08" + value.encode() + b"\xff"
    if value is True:
        return b"\x03"
    if value is False:
        return b"\x02"
    if value is None:
        return b"\x01"
    if isinstance(value, int | float):
        return b"\x05" + struct.pack("<d", float(value))
    return b"\x00"


def _hash(data: bytes) -> str:
    low, high = murmur3_128(data)
    digest = bytearray(struct.pack(">QQ", high, low))
    digest[0] &= 0x3F
    return digest.hex().upper()


def effective_partition_key(components: tuple[Any, ...], *, hierarchical: bool) -> str:
    """The hex text of a key; a hierarchical key (or a prefix of one) is one hash per level."""
    if not components:
        return ""
    if hierarchical:
        return "".join(_hash(_component_bytes(value)) for value in components)
    return _hash(b"".join(map(_component_bytes, components)))
