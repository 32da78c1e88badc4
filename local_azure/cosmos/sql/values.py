"""How values compare, sort and hash in the query language, where `undefined` is a value and types do not mix.

Equality of two types is false, an ordering of two types is undefined; sorting across types is undefined < null <
booleans < numbers < strings < arrays < objects. Source: the service's documentation; that `!=` of two types is true
follows the public SDK's offline evaluator and is not verified on Azure.
"""

from typing import Any

import orjson

from local_azure.cosmos.epk import UNDEFINED

_NUMBERS = (int, float)


def equals(left: Any, right: Any) -> Any:
    if left is UNDEFINED or right is UNDEFINED:
        return UNDEFINED
    kind = type(left)
    if kind is type(right):
        if kind is list:
            return len(left) == len(right) and all(equals(*pair) is True for pair in zip(left, right, strict=True))
        if kind is dict:
            return left.keys() == right.keys() and all(
                equals(value, right[name]) is True for name, value in left.items()
            )
        return left == right
    return kind in _NUMBERS and type(right) in _NUMBERS and left == right


def comparable(left: Any, right: Any) -> bool:
    kind = type(left)
    if kind in _NUMBERS:
        return type(right) in _NUMBERS
    return kind is type(right) and kind in (str, bool, type(None))


def less(left: Any, right: Any) -> Any:
    if not comparable(left, right):
        return UNDEFINED
    return left is not None and left < right


def less_or_equal(left: Any, right: Any) -> Any:
    if not comparable(left, right):
        return UNDEFINED
    return left is None or left <= right


def type_rank(value: Any) -> int:
    if value is UNDEFINED:
        return 0
    kind = type(value)
    if value is None:
        return 1
    if kind is bool:
        return 2
    if kind in _NUMBERS:
        return 3
    if kind is str:
        return 4
    return 5 if kind is list else 6


def sort_key(value: Any) -> tuple[int, Any]:
    rank = type_rank(value)
    if rank < 2:
        return rank, 0
    if rank < 5:
        return rank, value
    return rank, orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def distinct_key(value: Any) -> bytes:
    """Equal for values the language calls equal."""
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    kind = type(value)
    if value is UNDEFINED:
        return {"\0undefined": 0}
    if kind is float and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if kind is list:
        return [_plain(element) for element in value]
    if kind is dict:
        return {name: _plain(element) for name, element in value.items()}
    return value
