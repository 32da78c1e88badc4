"""WHERE → conditions that path columns can answer, so that a query need not look at every document.

Takes the condition tree; gives AND-ed groups of OR-ed `PathCondition`s. A group is a *necessary* condition: every
matching document satisfies it, and the full condition is checked on the document afterwards. Parts that are not
"path compared with constant" are left out.
"""

from dataclasses import dataclass
from typing import Any

from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.path_index import MAX_INDEXED_TEXT, Path
from local_azure.cosmos.sql.evaluator import constant_path
from local_azure.cosmos.sql.tree import Between, Binary, Call, In, Literal, Node, Parameter, chain

_MIRROR = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
EQUAL = "{x}=?"
_END_OF_TEXT = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class PathCondition:
    """`path` lies between constants (equal ones for equality); None is open."""

    path: Path
    operator: str
    constants: tuple[Node, ...]


Group = tuple[PathCondition, ...]


def _is_constant(node: Node) -> bool:
    return isinstance(node, Literal | Parameter)


def _condition(node: Node, alias: str) -> PathCondition | None:
    if isinstance(node, Binary) and node.operator in _MIRROR:
        for value, constant, operator in (
            (node.left, node.right, node.operator),
            (node.right, node.left, _MIRROR[node.operator]),
        ):
            path = constant_path(value)
            if path is not None and path[0] == alias and _is_constant(constant):
                return PathCondition(path[1], operator, (constant,))
        return None
    if isinstance(node, In):
        operator, value, constants = "in", node.value, tuple(node.options)
    elif isinstance(node, Between):
        operator, value, constants = "between", node.value, (node.low, node.high)
    elif isinstance(node, Call) and node.name == "STARTSWITH" and len(node.arguments) == 2:
        operator, value, constants = "prefix", node.arguments[0], (node.arguments[1],)
    else:
        return None
    path = constant_path(value)
    if path is None or path[0] != alias or not all(map(_is_constant, constants)):
        return None
    return PathCondition(path[1], operator, constants)


def _alternatives(node: Node, alias: str) -> Group | None:
    found: list[PathCondition] = []
    for part in chain(node, "OR"):
        # Either side of an AND is necessary; the first one that can be answered will do.
        sides = chain(part, "AND")
        answer = next(filter(None, (_answerable(side, alias) for side in sides)), None)
        if answer is None:
            return None
        found += answer
    return tuple(found)


def _answerable(node: Node, alias: str) -> Group | None:
    if isinstance(node, Binary) and node.operator == "OR":
        return _alternatives(node, alias)
    condition = _condition(node, alias)
    return (condition,) if condition is not None and condition.path else None


def necessary_conditions(where: Node | None, alias: str) -> list[Group]:
    if where is None:
        return []
    groups = (_alternatives(part, alias) for part in chain(where, "AND"))
    return [group for group in groups if group is not None]


def constant_of(node: Node, p: dict[str, Any]) -> Any:
    if isinstance(node, Parameter):
        return p.get(node.name, UNDEFINED)
    return node.value if isinstance(node, Literal) else UNDEFINED


def _sortable(value: Any) -> Any:
    if type(value) is str:
        return value[:MAX_INDEXED_TEXT]
    return float(value) if type(value) is int and abs(value) > 2**53 else value


def sql_ranges(condition: PathCondition, p: dict[str, Any]) -> list[tuple[str, list[Any]]] | None:
    """SQL tests of a column (written `{x}`) with their arguments, to be OR-ed; None when the column cannot answer.

    In SQLite's order numbers come before text, so a bound of '' keeps the types apart. Bounds are inclusive because
    long text is cut in columns.
    """
    values = [constant_of(node, p) for node in condition.constants]
    if not all(type(value) in (str, int, float) for value in values):
        return None
    if len({type(value) is str for value in values}) > 1 and condition.operator == "between":
        return None
    values = [_sortable(value) for value in values]
    first = values[0]
    if condition.operator in ("=", "in"):
        return [(EQUAL, [value]) for value in values]
    if condition.operator == "between":
        return [("{x}>=? AND {x}<=?", values)]
    if condition.operator == "prefix":
        return [("{x}>=? AND {x}<=?", [first, first + _END_OF_TEXT])] if type(first) is str else None
    if condition.operator in ("<", "<="):
        return [("{x}>='' AND {x}<=?", [first])] if type(first) is str else [("{x}<=?", [first])]
    return [("{x}>=?", [first])] if type(first) is str else [("{x}>=? AND {x}<''", [first])]
