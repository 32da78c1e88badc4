"""String functions of the query language: name → (function, least, most arguments)."""

import re
from collections.abc import Callable
from typing import Any

import orjson

from local_azure.cosmos.epk import UNDEFINED

_REGEX_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
_MAX_REPLICATED = 10_000


def _text(*values: Any) -> bool:
    return all(type(value) is str for value in values)


def _whole(value: Any) -> bool:
    return type(value) in (int, float) and float(value).is_integer()


def _on_text(operation: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: operation(value) if type(value) is str else UNDEFINED


def _search(test: Callable[[str, str], bool]) -> Callable[..., Any]:
    def run(value: Any, part: Any, ignore_case: Any = False) -> Any:
        if not _text(value, part) or type(ignore_case) is not bool:
            return UNDEFINED
        return test(value.casefold(), part.casefold()) if ignore_case else test(value, part)

    return run


def _concat(*values: Any) -> Any:
    return "".join(values) if _text(*values) else UNDEFINED


def _index_of(value: Any, part: Any, start: Any = 0) -> Any:
    return value.find(part, int(start)) if _text(value, part) and _whole(start) else UNDEFINED


def _left(value: Any, count: Any) -> Any:
    return value[: max(0, int(count))] if _text(value) and _whole(count) else UNDEFINED


def _right(value: Any, count: Any) -> Any:
    if not _text(value) or not _whole(count):
        return UNDEFINED
    return value[-int(count) :] if count > 0 else ""


def _substring(value: Any, start: Any, count: Any) -> Any:
    if not _text(value) or not _whole(start) or not _whole(count):
        return UNDEFINED
    start = max(0, int(start))
    return value[start : start + max(0, int(count))]


def _replace(value: Any, old: Any, new: Any) -> Any:
    if not _text(value, old, new):
        return UNDEFINED
    return value.replace(old, new) if old else value


def _replicate(value: Any, count: Any) -> Any:
    if not _text(value) or not _whole(count) or count < 0 or len(value) * count > _MAX_REPLICATED:
        return UNDEFINED
    return value * int(count)


def _to_string(value: Any) -> Any:
    return value if type(value) is str else orjson.dumps(value).decode()


def _parse(kind: Any) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        if type(value) is not str:
            return UNDEFINED
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError:
            return UNDEFINED
        return parsed if type(parsed) in kind else UNDEFINED

    return run


def _regex_match(value: Any, pattern: Any, modifiers: Any = "") -> Any:
    if not _text(value, pattern, modifiers):
        return UNDEFINED
    flags = re.RegexFlag(0)
    for letter in modifiers:
        if letter not in _REGEX_FLAGS:
            return UNDEFINED
        flags |= _REGEX_FLAGS[letter]
    try:
        return re.search(pattern, value, flags) is not None
    except re.error:
        return UNDEFINED


STRING_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "CONCAT": (_concat, 2, 100),
    "CONTAINS": (_search(lambda value, part: part in value), 2, 3),
    "ENDSWITH": (_search(str.endswith), 2, 3),
    "INDEX_OF": (_index_of, 2, 3),
    "LEFT": (_left, 2, 2),
    "LENGTH": (_on_text(len), 1, 1),
    "LOWER": (_on_text(str.lower), 1, 1),
    "LTRIM": (_on_text(str.lstrip), 1, 1),
    "REGEXMATCH": (_regex_match, 2, 3),
    "REPLACE": (_replace, 3, 3),
    "REPLICATE": (_replicate, 2, 2),
    "REVERSE": (_on_text(lambda value: value[::-1]), 1, 1),
    "RIGHT": (_right, 2, 2),
    "RTRIM": (_on_text(str.rstrip), 1, 1),
    "STARTSWITH": (_search(str.startswith), 2, 3),
    "STRINGEQUALS": (_search(str.__eq__), 2, 3),
    "STRINGTOARRAY": (_parse((list,)), 1, 1),
    "STRINGTOBOOLEAN": (_parse((bool,)), 1, 1),
    "STRINGTONULL": (_parse((type(None),)), 1, 1),
    "STRINGTONUMBER": (_parse((int, float)), 1, 1),
    "STRINGTOOBJECT": (_parse((dict,)), 1, 1),
    "SUBSTRING": (_substring, 3, 3),
    "TOSTRING": (_to_string, 1, 1),
    "TRIM": (_on_text(str.strip), 1, 1),
    "UPPER": (_on_text(str.upper), 1, 1),
}
