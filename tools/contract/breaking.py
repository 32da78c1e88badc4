"""What a consumer of the old contract would miss in the new one. Additions break nobody; removals and demands do.

Takes two JSON documents (OpenAPI or JSON Schema), gives one sentence for each break. Requests and answers differ: a
request must not demand more than before, an answer must not promise less.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")


def breaks_in_api(old: Json, new: Json) -> Iterator[str]:
    """The breaks between two OpenAPI documents."""
    for path, methods in old["paths"].items():
        for method in (name for name in _METHODS if name in methods):
            here = f"{method.upper()} {path}"
            successor = new["paths"].get(path, {}).get(method)
            if successor is None:
                yield f"{here} is gone"
                continue
            yield from _breaks_in_operation(here, methods[method], successor)
    yield from _breaks_in_schemas(old["components"]["schemas"], new["components"]["schemas"], _requested(new))


def breaks_in_event(name: str, old: Json, new: Json) -> Iterator[str]:
    """The breaks for readers between two JSON Schemas of one event."""
    yield from _breaks_in_schema(name, old, new, demands=False)
    yield from _breaks_in_schemas(old.get("$defs", {}), new.get("$defs", {}), frozenset())


def _breaks_in_operation(here: str, old: Json, new: Json) -> Iterator[str]:
    for status in old["responses"]:
        if status not in new["responses"] and status.startswith("2"):
            yield f"{here} no longer answers {status}"
    known = {(each["name"], each["in"]) for each in old.get("parameters", ())}
    for parameter in new.get("parameters", ()):
        if parameter["required"] and (parameter["name"], parameter["in"]) not in known:
            yield f"{here} demands the new parameter {parameter['name']}"
    kept = {(each["name"], each["in"]) for each in new.get("parameters", ())}
    for name, place in sorted(known - kept):
        yield f"{here} has no parameter {name} in its {place} any more"
    if old.get("x-app-role") != new.get("x-app-role"):
        yield f"{here} asks for another role"


def _requested(document: Json) -> frozenset[str]:
    """The schemas that requests are made of, with all they refer to."""
    found: set[str] = set()
    pending = [
        body
        for methods in document["paths"].values()
        for operation in methods.values()
        for body in operation.get("requestBody", {}).get("content", {}).values()
    ]
    while pending:
        for name in _references(pending.pop()):
            if name not in found:
                found.add(name)
                pending.append(document["components"]["schemas"].get(name, {}))
    return frozenset(found)


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rpartition("/")[2]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _breaks_in_schemas(old: Json, new: Json, requested: frozenset[str]) -> Iterator[str]:
    for name, schema in old.items():
        if name not in new:
            yield f"the schema {name} is gone"
        else:
            yield from _breaks_in_schema(name, schema, new[name], demands=name in requested)


def _breaks_in_schema(name: str, old: Json, new: Json, *, demands: bool) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for field in before:
        if field not in after:
            yield f"{name}.{field} is gone"
        elif not _covers(before[field], after[field], demands=demands):
            yield f"{name}.{field} has another type"
    if demands:
        for field in set(new.get("required", ())) - set(old.get("required", ())):
            yield f"{name}.{field} is required now"
    else:
        for field in set(old.get("required", ())) - set(new.get("required", ())):
            yield f"{name}.{field} may be missing now"
    missing = set(map(str, old.get("enum", ()))) - set(map(str, new.get("enum", ())))
    if missing and "enum" in new:
        yield f"{name} no longer knows {', '.join(sorted(missing))}"


_TYPE_WORDS = ("type", "$ref", "format", "const")


def _covers(old: Json, new: Json, *, demands: bool) -> bool:
    """Whether what was valid (requests), or what was read (answers), still is."""
    if all(old.get(word) == new.get(word) for word in _TYPE_WORDS):
        items = not ("items" in old and "items" in new) or _covers(old["items"], new["items"], demands=demands)
        values = set(map(str, old.get("enum", ()))) <= set(map(str, new.get("enum", old.get("enum", ()))))
        choices = "anyOf" not in old or _choices_cover(old["anyOf"], new.get("anyOf", [new]), demands=demands)
        return items and values and choices
    return _choices_cover(old.get("anyOf", [old]), new.get("anyOf", [new]), demands=demands)


def _choices_cover(old: list[Json], new: list[Json], *, demands: bool) -> bool:
    """Requests may gain choices, answers may lose them."""
    narrow, wide = (old, new) if demands else (new, old)
    return all(any(_same_type(choice, other) for other in wide) for choice in narrow)


def _same_type(one: Json, other: Json) -> bool:
    return all(one.get(word) == other.get(word) for word in _TYPE_WORDS)
