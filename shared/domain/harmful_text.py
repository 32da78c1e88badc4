"""Characters that no user's text may hold: those that steer a terminal, a log or a header, or turn text round.

Takes a request's body, gives what is wrong with it, by JSON pointer. Refused anywhere: C0 controls except tab, line
feed and carriage return (a line's own type refuses these too, contracts/field_types.py), DEL, C1 controls, and the
bidirectional overrides and isolates U+202A to U+202E and U+2066 to U+2069, which show a text in another order than it
is read in (https://trojansource.codes). Marks that only help with mixed directions, U+200E and U+200F, may stay.

A look at the bytes tells nearly every body apart from those that need to be walked through.
"""

import re
from collections.abc import Iterator

from shared.domain.errors import MAX_FIELD_ERRORS, FieldError, pointer_token
from shared.domain.notification import JsonValue

DETAIL = "contains a control character or a bidirectional override"
NAME_DETAIL = "has a field whose name contains a control character or a bidirectional override"

_HARMFUL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# The same in JSON's bytes, written out or escaped. It finds more than that, such as an escaped tab: what it finds is
# only looked at more closely.
_SUSPECT = re.compile(
    rb"\\[bf]|\\u(?:00[0-9a-fA-F]{2}|20[26][0-9a-fA-F])|\x7f|\xc2[\x80-\x9f]|\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])"
)
# What does not show, and so has no place in a line such as a subject: the above, and zero-width characters.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0e\ufeff\ufff9-\ufffb]"
)


def is_suspect(body: bytes) -> bool:
    """Whether ``body`` (JSON) may hold a harmful character; False is certain."""
    if b"\\" not in body and body.isascii() and b"\x7f" not in body:
        return False
    return _SUSPECT.search(body) is not None


def is_harmful(text: str) -> bool:
    """Whether ``text`` holds a harmful character."""
    return _HARMFUL.search(text) is not None


def harmful_fields(value: JsonValue) -> list[FieldError]:
    """Every text in ``value`` that holds a harmful character; of a name, the object that has it."""
    return [error for _, error in zip(range(MAX_FIELD_ERRORS), _walk(value), strict=False)]


def one_line(text: str) -> str:
    """A text made from a customer's data as one line in which everything shows: what would not is left out."""
    line = " ".join(text.split())
    return line if line.isascii() and line.isprintable() else " ".join(_INVISIBLE.sub("", line).split())


def _walk(value: JsonValue) -> Iterator[FieldError]:
    waiting: list[tuple[str, JsonValue]] = [("", value)]  # not by recursion: JSON may be nested a thousand deep
    while waiting:
        pointer, part = waiting.pop()
        if isinstance(part, str):
            if is_harmful(part):
                yield FieldError(pointer, DETAIL)
        elif isinstance(part, list):
            waiting += [(f"{pointer}/{index}", item) for index, item in reversed(list(enumerate(part)))]
        elif isinstance(part, dict):
            if any(map(is_harmful, part)):
                yield FieldError(pointer, NAME_DETAIL)
            waiting += [
                (pointer + pointer_token(name), item) for name, item in reversed(part.items()) if not is_harmful(name)
            ]
