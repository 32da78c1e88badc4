"""JSON as the Durable extension passes it round: compact ASCII text, parsed only where a value is looked at.

The standard library's module is used on purpose: it keeps integers of any size and the NaN that the Python SDK
writes, and its ASCII output can always be stored (a lone surrogate of the app's stays escaped).
"""

import json
from typing import Any

NULL = "null"


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    return json.loads(text)


def decoded_once(token: str) -> str | None:
    r"""The text the SDK decodes itself: a JSON string's content, or any other value's own JSON; None for null.

    The SDK encodes an input twice, so ``"{\"a\":1}"`` gives ``{"a":1}``; a direct HTTP call encodes it once.
    """
    value = loads(token)
    if value is None or isinstance(value, str):
        return value
    return token
