"""The route table of the HTTP triggers.

Takes route templates (``orders/{id:int}/{part?}``, ``files/{*path}``), gives for a method and path the matching entry
and the route parameters. Precedence follows ASP.NET Core: literal before constrained before plain parameter before
catch-all, segment by segment; paths match case-insensitively.
Spec: https://learn.microsoft.com/aspnet/core/fundamentals/routing (constraint names); that an unsupported method is
answered with 404 is from memory.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import unquote

from local_azure.functions_host.errors import SettingsInvalid

Target = TypeVar("Target")

_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_][A-Za-z0-9_]*)((?::[^{}:?=]+(?:\([^)]*\))?)*)(\?|=[^{}]*)?\}")
_GUID = re.compile(r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?")
_WHOLE = re.compile(r"[+-]?\d+")


def _is_whole(bits: int) -> Callable[[str], bool]:
    limit = 1 << (bits - 1)
    return lambda text: _WHOLE.fullmatch(text) is not None and -limit <= int(text) < limit


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_CONSTRAINTS: dict[str, Callable[[str], bool]] = {
    "int": _is_whole(32),
    "long": _is_whole(64),
    "bool": lambda text: text.lower() in ("true", "false"),
    "guid": lambda text: _GUID.fullmatch(text) is not None,
    "alpha": lambda text: re.fullmatch(r"[A-Za-z]*", text) is not None,
    "decimal": _is_number,
    "double": _is_number,
    "float": _is_number,
    "required": bool,
}


def _constraint(text: str) -> Callable[[str], bool]:
    name, _, rest = text.partition("(")
    arguments = rest.removesuffix(")")
    if name in _CONSTRAINTS:
        return _CONSTRAINTS[name]
    if name == "regex":
        pattern = re.compile(arguments, re.IGNORECASE)
        return lambda value: pattern.search(value) is not None
    numbers = [int(part) for part in arguments.split(",") if part.strip().lstrip("-").isdigit()]
    sized: dict[str, Callable[[str], bool]] = {
        "minlength": lambda value: len(value) >= numbers[0],
        "maxlength": lambda value: len(value) <= numbers[0],
        "length": lambda value: numbers[0] <= len(value) <= numbers[-1],
        "min": lambda value: _is_whole(64)(value) and int(value) >= numbers[0],
        "max": lambda value: _is_whole(64)(value) and int(value) <= numbers[0],
        "range": lambda value: _is_whole(64)(value) and numbers[0] <= int(value) <= numbers[-1],
    }
    if name not in sized or not numbers:
        raise SettingsInvalid(f"route constraint {text!r} is not known")
    return sized[name]


@dataclass(frozen=True)
class _Segment:
    literal: str  # lower case; empty for a parameter
    name: str
    checks: tuple[Callable[[str], bool], ...]
    is_optional: bool
    is_catch_all: bool
    default: str | None

    @property
    def rank(self) -> int:
        if self.literal:
            return 0
        if self.is_catch_all:
            return 4 if not self.checks else 3
        return 1 if self.checks else 2


@dataclass(frozen=True)
class Route(Generic[Target]):
    """One template, split."""

    template: str
    methods: frozenset[str]  # empty: any
    target: Target
    segments: tuple[_Segment, ...]

    def match(self, parts: list[str]) -> dict[str, str] | None:
        found: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if segment.is_catch_all:
                rest = "/".join(parts[index:])
                return {**found, segment.name: rest} if all(check(rest) for check in segment.checks) else None
            if index >= len(parts):
                if segment.default is not None:
                    found[segment.name] = segment.default
                elif not segment.is_optional:
                    return None
                continue
            part = parts[index]
            if segment.literal:
                if part.lower() != segment.literal:
                    return None
            elif all(check(part) for check in segment.checks):
                found[segment.name] = part
            else:
                return None
        return found if len(parts) <= len(self.segments) else None


class RouteTable(Generic[Target]):
    """All routes, most specific first."""

    def __init__(self) -> None:
        self._routes: list[Route[Target]] = []

    def add(self, template: str, methods: frozenset[str], target: Target) -> None:
        """Add a template.

        Raises:
            SettingsInvalid: the template is malformed.
        """
        segments = tuple(_segment(part, template) for part in template.strip("/").split("/") if part)
        self._routes.append(Route(template, methods, target, segments))
        self._routes.sort(key=lambda route: [segment.rank for segment in route.segments])

    def find(self, method: str, path: str) -> tuple[Target, dict[str, str]] | None:
        """The first route for method and (still percent-encoded) path. HEAD is answered by GET functions, too."""
        parts = [unquote(part) for part in path.strip("/").split("/")] if path.strip("/") else []
        for route in self._routes:
            allowed = not route.methods or method in route.methods or (method == "HEAD" and "GET" in route.methods)
            if allowed:
                found = route.match(parts)
                if found is not None:
                    return route.target, found
        return None


def _segment(part: str, template: str) -> _Segment:
    match = _PARAMETER.fullmatch(part)
    if match is None:
        if "{" in part or "}" in part:
            raise SettingsInvalid(f"route {template!r}: cannot read segment {part!r}")
        return _Segment(part.lower(), "", (), is_optional=False, is_catch_all=False, default=None)
    stars, name, constraints, tail = match.groups()
    checks = tuple(_constraint(text) for text in _split_constraints(constraints))
    default = tail[1:] if tail and tail.startswith("=") else None
    return _Segment("", name, checks, is_optional=tail == "?", is_catch_all=bool(stars), default=default)


def _split_constraints(text: str) -> list[str]:
    return re.findall(r":([^:(]+(?:\([^)]*\))?)", text)
