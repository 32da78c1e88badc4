"""The tree of a parsed query."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Literal:
    """A constant; `UNDEFINED` is one."""

    value: Any


@dataclass(slots=True)
class Parameter:
    """`@name`."""

    name: str


@dataclass(slots=True)
class Alias:
    """A name bound by FROM or JOIN."""

    name: str


@dataclass(slots=True)
class Property:
    """`base.name`, `base["name"]`, `base[0]`."""

    base: "Node"
    key: "Node"


@dataclass(slots=True)
class Unary:
    """NOT, -, +, ~."""

    operator: str
    operand: "Node"


@dataclass(slots=True)
class Binary:
    """Any operator between two values."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(slots=True)
class Ternary:
    """`condition ? yes : no`."""

    condition: "Node"
    yes: "Node"
    no: "Node"


@dataclass(slots=True)
class In:
    """`value IN (a, b)`."""

    value: "Node"
    options: list["Node"]


@dataclass(slots=True)
class Between:
    """`value BETWEEN low AND high`."""

    value: "Node"
    low: "Node"
    high: "Node"


@dataclass(slots=True)
class Like:
    """`value LIKE pattern ESCAPE character`."""

    value: "Node"
    pattern: "Node"
    escape: "Node | None"


@dataclass(slots=True)
class Call:
    """A function call; the name is upper case."""

    name: str
    arguments: list["Node"]


@dataclass(slots=True)
class ArrayOf:
    """`[a, b]`."""

    elements: list["Node"]


@dataclass(slots=True)
class ObjectOf:
    """`{"a": 1}`."""

    fields: list[tuple[str, "Node"]]


@dataclass(slots=True)
class SubQuery:
    """`(SELECT ...)`, `ARRAY(SELECT ...)` or `EXISTS(SELECT ...)`."""

    kind: str
    query: "Query"


@dataclass(slots=True)
class Source:
    """One FROM or JOIN part: `alias` is bound to `value`, or to each element of it (`each`)."""

    alias: str
    value: "Node | None"
    each: bool


@dataclass(slots=True)
class Column:
    """One part of a SELECT list."""

    value: "Node"
    name: str | None
    span: tuple[int, int]


@dataclass(slots=True)
class Order:
    """One ORDER BY key."""

    value: "Node"
    descending: bool
    span: tuple[int, int]


@dataclass(slots=True)
class Query:
    """A whole SELECT. Spans are places in `text`, for the query plan."""

    text: str
    distinct: bool = False
    top: "Node | None" = None
    star: bool = False
    value: bool = False
    columns: list[Column] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    from_span: tuple[int, int] | None = None
    where: "Node | None" = None
    where_span: tuple[int, int] | None = None
    group_by: list["Node"] = field(default_factory=list)
    order_by: list[Order] = field(default_factory=list)
    offset: "Node | None" = None
    limit: "Node | None" = None


Node = (
    Literal
    | Parameter
    | Alias
    | Property
    | Unary
    | Binary
    | Ternary
    | In
    | Between
    | Like
    | Call
    | ArrayOf
    | ObjectOf
    | SubQuery
)


def chain(node: Node, operator: str) -> list[Node]:
    """The operands of `a AND b AND c`; long chains must not become deep recursion."""
    parts: list[Node] = []
    while isinstance(node, Binary) and node.operator == operator:
        parts.append(node.right)
        node = node.left
    return [node, *reversed(parts)]


AGGREGATES = frozenset({"COUNT", "SUM", "MIN", "MAX", "AVG", "COUNTIF"})
