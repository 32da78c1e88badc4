"""Whether a stored document meets a patch's condition: the small part of Cosmos DB's SQL that the app's patches use.

``from c where A and B …`` with ``path = literal``, ``path >= number`` and its kin, ``path in (literals)``, ``true`` and
``[not] is_defined(path)``. A
comparison with something undefined is not true, as in Cosmos DB. Anything else is an error, so that a new kind of
condition can't pass unnoticed.
"""

import operator
import re
from typing import Any

_UNDEFINED = object()
_ORDERS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge, ">": operator.gt}
_STEP = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]")
_DEFINED = re.compile(r"(not )?is_defined\((c[\w.\[\]]+)\)")
_EQUALS = re.compile(r"(c[\w.\[\]]+) = (\S+|'[^']*')")
_COMPARES = re.compile(r"(c[\w.\[\]]+) (<|<=|>=|>) (-?[\d.e+-]+)")
_ONE_OF = re.compile(r"(c[\w.\[\]]+) in \(([^)]+)\)")


def holds(condition: str, document: dict[str, Any]) -> bool:
    prefix = "from c where "
    assert condition.startswith(prefix), condition
    return all(_clause(clause.strip(), document) for clause in condition.removeprefix(prefix).split(" and "))


def _clause(clause: str, document: dict[str, Any]) -> bool:
    if clause == "true":
        return True
    if match := _DEFINED.fullmatch(clause):
        return (_value(match[2], document) is _UNDEFINED) == bool(match[1])
    if match := _ONE_OF.fullmatch(clause):
        return any(_is(_value(match[1], document), literal) for literal in match[2].split(", "))
    if match := _EQUALS.fullmatch(clause):
        return _is(_value(match[1], document), match[2])
    if match := _COMPARES.fullmatch(clause):
        value = _value(match[1], document)
        return isinstance(value, int | float) and _ORDERS[match[2]](value, float(match[3]))
    raise ValueError(f"a condition this fake can't judge: {clause}")


def _is(value: Any, literal: str) -> bool:
    if literal.startswith("'"):
        return value == literal.strip("'")
    return value is not _UNDEFINED and not isinstance(value, bool) and value == int(literal)


def _value(path: str, document: Any) -> Any:
    for name, index in _STEP.findall(path.removeprefix("c")):
        if index:
            present = isinstance(document, list) and int(index) < len(document)
            document = document[int(index)] if present else _UNDEFINED
        else:
            document = document.get(name, _UNDEFINED) if isinstance(document, dict) else _UNDEFINED
    return document
