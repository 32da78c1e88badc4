"""Array and object functions of the query language: name → (function, least, most arguments)."""

from collections.abc import Callable
from typing import Any

from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.sql.values import distinct_key, equals


def _arrays(*values: Any) -> bool:
    return all(type(value) is list for value in values)


def _matches_partly(element: Any, wanted: Any) -> bool:
    if type(element) is dict and type(wanted) is dict:
        return all(name in element and _matches_partly(element[name], value) for name, value in wanted.items())
    return equals(element, wanted) is True


def _contains(array: Any, wanted: Any, partial: Any = False) -> Any:
    if type(array) is not list:
        return UNDEFINED
    test = _matches_partly if partial is True else (lambda element, value: equals(element, value) is True)
    return any(test(element, wanted) for element in array)


def _contains_any(array: Any, *wanted: Any) -> Any:
    return any(_contains(array, value) for value in wanted) if _arrays(array) else UNDEFINED


def _contains_all(array: Any, *wanted: Any) -> Any:
    return all(_contains(array, value) for value in wanted) if _arrays(array) else UNDEFINED


def _concat(*arrays: Any) -> Any:
    return [element for array in arrays for element in array] if _arrays(*arrays) else UNDEFINED


def _length(array: Any) -> Any:
    return len(array) if type(array) is list else UNDEFINED


def _slice(array: Any, start: Any, count: Any = None) -> Any:
    if type(array) is not list or type(start) not in (int, float):
        return UNDEFINED
    start = int(start)
    if start < 0:
        start = max(0, len(array) + start)
    if count is None:
        return array[start:]
    return array[start : start + max(0, int(count))] if type(count) in (int, float) else UNDEFINED


def _union(left: Any, right: Any) -> Any:
    if not _arrays(left, right):
        return UNDEFINED
    first: dict[bytes, Any] = {}
    for element in left + right:
        first.setdefault(distinct_key(element), element)
    return list(first.values())


def _intersection(left: Any, right: Any) -> Any:
    if not _arrays(left, right):
        return UNDEFINED
    wanted = {distinct_key(element) for element in right}
    kept = {distinct_key(element): element for element in left}
    return [element for name, element in kept.items() if name in wanted]


def _object_to_array(value: Any) -> Any:
    if type(value) is not dict:
        return UNDEFINED
    return [{"k": name, "v": element} for name, element in value.items()]


ARRAY_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "ARRAY_CONCAT": (_concat, 2, 100),
    "ARRAY_CONTAINS": (_contains, 2, 3),
    "ARRAY_CONTAINS_ALL": (_contains_all, 2, 100),
    "ARRAY_CONTAINS_ANY": (_contains_any, 2, 100),
    "ARRAY_LENGTH": (_length, 1, 1),
    "ARRAY_SLICE": (_slice, 2, 3),
    "OBJECTTOARRAY": (_object_to_array, 1, 1),
    "SETINTERSECT": (_intersection, 2, 2),
    "SETUNION": (_union, 2, 2),
}
