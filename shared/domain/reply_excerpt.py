"""How a stranger's answer begins, made safe to show: enough to recognise it, nothing to take away from it."""

import re

MAX_BYTES = 200
_ADDRESS = re.compile(r"[^\s\"'<>@]+@[^\s\"'<>@]+")
_LONG_TOKEN = re.compile(r"[A-Za-z0-9_\-+/=]{24,}")
_DIGIT = re.compile(r"\d")


def excerpt(body: bytes) -> str | None:
    """The first bytes as one line of printable text; addresses and long tokens left out, digits hidden."""
    text = body[:MAX_BYTES].decode("utf-8", "replace")
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    for pattern, mask in ((_ADDRESS, "***"), (_LONG_TOKEN, "***"), (_DIGIT, "#")):
        line = pattern.sub(mask, line)
    return line or None
