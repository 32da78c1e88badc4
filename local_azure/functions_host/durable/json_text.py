"""JSON as the Durable extension passes it round: compact ASCII text, parsed only where a value is looked at.

The standard library's module is used on purpose: it keeps integers of any size and the NaN that the Python SDK
writes, and its ASCII output can always be stored (a lone surrogate of the app's stays escaped).
"""

import json
from typing import Any

NULL = "null"
DEEPEST = 200
"""Levels of nesting that a client may send; the parser's own limit depends on how deep the caller's stack is."""


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    return json.loads(text)


def loads_from_outside(text: str | bytes) -> Any:
    """What a client sent.

    Raises:
        ValueError: it is no JSON, or nested so deeply that it could not be shown again later.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if _nesting(value) > DEEPEST:
        raise ValueError("nested too deeply")
    return value


def _nesting(value: Any) -> int:
    level, depth = [value], 0
    while level:
        level = [child for item in level for child in _children(item)]
        depth += 1
        if depth > DEEPEST:
            break
    return depth


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return [child for child in value if isinstance(child, dict | list)] if isinstance(value, list) else []


def decoded_once(token: str) -> str | None:
    r"""The text the SDK decodes itself: a JSON string's content, or any other value's own JSON; None for null.

    The SDK encodes an input twice, so ``"{\"a\":1}"`` gives ``{"a":1}``; a direct HTTP call encodes it once.
    """
    value = loads(token)
    if value is None or isinstance(value, str):
        return value
    return token
