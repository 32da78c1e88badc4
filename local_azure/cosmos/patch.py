"""Partial document update: the six patch operations on a parsed document.

Takes the operations of a PATCH body; changes the document in place. Rules:
https://learn.microsoft.com/azure/cosmos-db/partial-document-update (read 2026-11). Paths are JSON pointers; `-` after
an array appends. Assumed: `set` with index = length appends, as `add` does.
"""

from typing import Any

from local_azure.cosmos.container import SYSTEM_PROPERTIES
from local_azure.cosmos.errors import CosmosError, bad_request
from local_azure.cosmos.partition_key import KeyDefinition

MAX_OPERATIONS = 10
_ABSENT = object()
_FIXED = {"id", *SYSTEM_PROPERTIES}
_KEPT_PATHS = 10_000


def parse_path(path: Any) -> tuple[str, ...]:
    if not isinstance(path, str) or not path.startswith("/") or path == "/":
        raise bad_request(f"The patch path {path!r} is not valid; it starts with '/' and names a property.")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))


def _parent(document: dict[str, Any], parts: tuple[str, ...]) -> Any:
    target: Any = document
    for part in parts[:-1]:
        if type(target) is dict:
            target = target.get(part, _ABSENT)
        elif type(target) is list and part.isdecimal() and int(part) < len(target):
            target = target[int(part)]
        else:
            target = _ABSENT
        if target is _ABSENT:
            raise bad_request(f"The path '/{'/'.join(parts)}' has no parent in the document.")
    if type(target) not in (dict, list):
        raise bad_request(f"The parent of the path '/{'/'.join(parts)}' is neither an object nor an array.")
    return target


def _array_index(array: list[Any], part: str, *, allow_end: bool) -> int:
    if part == "-" and allow_end:
        return len(array)
    if not part.isdecimal() or int(part) > len(array) - (not allow_end):
        raise bad_request(f"'{part}' is not a valid index of an array of {len(array)} elements.")
    return int(part)


def _lookup(document: dict[str, Any], parts: tuple[str, ...]) -> Any:
    parent = _parent(document, parts)
    if type(parent) is dict:
        return parent.get(parts[-1], _ABSENT)
    return parent[_array_index(parent, parts[-1], allow_end=False)]


def _add(document: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
    parent = _parent(document, parts)
    if type(parent) is dict:
        parent[parts[-1]] = value
    else:
        parent.insert(_array_index(parent, parts[-1], allow_end=True), value)


def _set(document: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
    parent = _parent(document, parts)
    if type(parent) is dict:
        parent[parts[-1]] = value
        return
    index = _array_index(parent, parts[-1], allow_end=True)
    parent[index : index + 1] = [value]


def _replace(document: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
    if _lookup(document, parts) is _ABSENT:
        raise bad_request(f"Replace needs an existing path; '/{'/'.join(parts)}' is absent.")
    _set(document, parts, value)


def _remove(document: dict[str, Any], parts: tuple[str, ...]) -> Any:
    parent = _parent(document, parts)
    if type(parent) is dict:
        removed = parent.pop(parts[-1], _ABSENT)
        if removed is _ABSENT:
            raise bad_request(f"Remove needs an existing path; '/{'/'.join(parts)}' is absent.")
        return removed
    return parent.pop(_array_index(parent, parts[-1], allow_end=False))


def _increment(document: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
    if type(value) not in (int, float):
        raise bad_request("Increment needs a number.")
    current = _lookup(document, parts)
    if current is _ABSENT:
        current = 0
    if type(current) not in (int, float):
        raise bad_request(f"Increment needs a number at '/{'/'.join(parts)}'.")
    _set(document, parts, current + value)


def _move(document: dict[str, Any], source: tuple[str, ...], parts: tuple[str, ...]) -> None:
    if parts[: len(source)] == source and len(parts) > len(source):
        raise bad_request("Move cannot put a value below itself.")
    _add(document, parts, _remove(document, source))


_WITH_VALUE = {"add": _add, "set": _set, "replace": _replace, "incr": _increment, "increment": _increment}


def _checked(path: Any, key: KeyDefinition) -> tuple[str, ...]:
    parts = key.patchable.get(path) if isinstance(path, str) else None
    if parts is not None:
        return parts
    parts = parse_path(path)
    if parts[0] in _FIXED:
        raise bad_request(f"'{parts[0]}' cannot be patched: it is the id or a system property.")
    if key.contains_path(parts):
        raise bad_request("Partition key paths cannot be patched.")
    if len(key.patchable) > _KEPT_PATHS:
        key.patchable.clear()
    key.patchable[path] = parts
    return parts


def _apply_one(document: dict[str, Any], operation: Any, key: KeyDefinition) -> None:
    if type(operation) is not dict:
        raise bad_request("A patch operation is an object with 'op' and 'path'.")
    name = str(operation.get("op"))
    parts = _checked(operation.get("path"), key)
    with_value = _WITH_VALUE.get(name)
    if with_value is not None:
        if "value" not in operation:
            raise bad_request(f"The patch operation '{name}' needs a value.")
        with_value(document, parts, operation["value"])
    elif name == "remove":
        _remove(document, parts)
    elif name == "move":
        _move(document, _checked(operation.get("from"), key), parts)
    else:
        raise bad_request(f"The patch operation {name!r} is not supported.")


def apply_patch(document: dict[str, Any], operations: Any, key: KeyDefinition) -> None:
    """Applies all operations; raises 400 naming the first that cannot be applied (the document is then spoiled)."""
    if type(operations) is not list or not operations:
        raise bad_request("A patch needs a non-empty list of operations.")
    if len(operations) > MAX_OPERATIONS:
        raise bad_request(f"The number of patch operations can't exceed {MAX_OPERATIONS}.")
    for number, operation in enumerate(operations, 1):
        try:
            _apply_one(document, operation, key)
        except CosmosError as error:
            raise bad_request(f"For Operation({number}): {error.message}") from error
