"""Takes an SMS body, gives its encoding and how many segments it is sent and charged as.

GSM 03.38 default alphabet and extension table: 160 units in one segment, 153 in each of several; a character of the
extension table takes two units and is never split. Anything else makes the message UCS-2: 70 UTF-16 units, 67 in each
of several, surrogate pairs never split (3GPP TS 23.038, 23.040; twilio.com/docs/glossary/what-sms-character-limit).
"""

from __future__ import annotations

from dataclasses import dataclass

_GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_7_EXTENSION = frozenset("\f^{}\\[~]|€")
_BEYOND_BMP = 0xFFFF


@dataclass(frozen=True, slots=True)
class Segmentation:
    """`units` are septets for GSM-7 and UTF-16 code units for UCS-2."""

    encoding: str
    segments: int
    units: int


def segment(body: str) -> Segmentation:
    """The segmentation of `body`; an empty body is one segment."""
    characters = frozenset(body)
    if characters <= _GSM_7:
        sizes = None
        units, encoding, single, joined = len(body), "GSM-7", 160, 153
    elif characters <= _GSM_7 | _GSM_7_EXTENSION:
        sizes = [2 if character in _GSM_7_EXTENSION else 1 for character in body]
        units, encoding, single, joined = sum(sizes), "GSM-7", 160, 153
    else:
        sizes = [2 if ord(character) > _BEYOND_BMP else 1 for character in body]
        units, encoding, single, joined = sum(sizes), "UCS-2", 70, 67
    if units <= single:
        return Segmentation(encoding, 1, units)
    return Segmentation(encoding, _count(units, sizes, joined), units)


def _count(units: int, sizes: list[int] | None, capacity: int) -> int:
    if sizes is None:
        return -(-units // capacity)
    segments, used = 1, 0
    for size in sizes:
        if used + size > capacity:
            segments, used = segments + 1, 0
        used += size
    return segments
