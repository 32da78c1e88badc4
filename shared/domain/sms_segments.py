"""How many segments an SMS is sent and charged as (3GPP TS 23.038 and 23.040).

The GSM 7-bit alphabet has 160 units in a message of one segment and 153 in each of several; a character of its
extension table takes two units and is never split. Any other character makes the message UCS-2: 70 UTF-16 units, 67 in
each of several, surrogate pairs never split.
"""

_ALPHABET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[~]|€")
_LAST_OF_BASIC_PLANE = 0xFFFF
_GSM_7 = (160, 153)  # units in a single segment, in each of several
_UCS_2 = (70, 67)


def segments_of(text: str) -> int:
    """The number of segments of ``text``; an empty text is one."""
    characters = frozenset(text)
    if characters <= _ALPHABET:
        return _segments([1] * len(text), *_GSM_7)
    if characters <= _ALPHABET | _EXTENSION:
        return _segments([2 if character in _EXTENSION else 1 for character in text], *_GSM_7)
    return _segments([2 if ord(character) > _LAST_OF_BASIC_PLANE else 1 for character in text], *_UCS_2)


def _segments(widths: list[int], single: int, joined: int) -> int:
    if sum(widths) <= single:
        return 1
    segments, used = 1, 0
    for width in widths:
        if used + width > joined:
            segments, used = segments + 1, 0
        used += width
    return segments
