"""Three-valued logic of SQL rules: the nodes of a condition as functions of a message's content.

Each gives True, False or None for unknown, as SQL does; properties and arithmetic give values, None when absent.
Assumed, not checked against the service: values of different kinds compare as unknown, strings compare
case-sensitively.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

from local_azure.servicebus.message import Content

Expression = Callable[[Content], Any]

_SYSTEM_PROPERTIES = {
    "messageid": 0,
    "to": 2,
    "label": 3,
    "subject": 3,
    "replyto": 4,
    "correlationid": 5,
    "contenttype": 6,
    "sessionid": 10,
    "replytosessionid": 12,
}
COMPARISONS = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}


class SqlError(ValueError):
    """A filter definition that is not understood."""


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return type(value).__name__


def user_property(name: str) -> Expression:
    folded = name.casefold()

    def read(content: Content) -> Any:
        properties = content.application_properties
        if name in properties:
            return properties[name]
        return next((value for key, value in properties.items() if str(key).casefold() == folded), None)

    return read


def system_property(name: str) -> Expression:
    folded = name.casefold()
    if folded == "partitionkey":
        return lambda content: content.partition_key
    if folded not in _SYSTEM_PROPERTIES:
        raise SqlError(f"unknown system property sys.{name}")
    index = _SYSTEM_PROPERTIES[folded]

    def read(content: Content) -> Any:
        value = content.properties[index]
        return value if value is None or isinstance(value, str) else str(value)

    return read


def compare(sign: str, left: Expression, right: Expression) -> Expression:
    apply = COMPARISONS[sign]
    ordering = sign not in ("=", "<>", "!=")

    def comparison(content: Content) -> bool | None:
        one, other = left(content), right(content)
        if one is None or other is None:
            return None
        kind = _kind(one)
        if kind != _kind(other) or (ordering and kind not in ("number", "str")):
            return None
        return bool(apply(one, other))

    return comparison


def calculate(sign: str, left: Expression, right: Expression) -> Expression:
    apply = _ARITHMETIC[sign]

    def calculation(content: Content) -> Any:
        one, other = left(content), right(content)
        if isinstance(one, str) and isinstance(other, str) and sign == "+":
            return one + other
        if _kind(one) != "number" or _kind(other) != "number":
            return None
        try:
            result = apply(one, other)
        except (ZeroDivisionError, OverflowError):
            return None
        whole = sign == "/" and isinstance(one, int) and isinstance(other, int)
        return int(result) if whole else result

    return calculation


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def both(left: Expression, right: Expression) -> Expression:
    def conjunction(content: Content) -> bool | None:
        one = _truth(left(content))
        if one is False:
            return False
        other = _truth(right(content))
        if other is False:
            return False
        return True if one and other else None

    return conjunction


def either(left: Expression, right: Expression) -> Expression:
    def disjunction(content: Content) -> bool | None:
        one = _truth(left(content))
        if one is True:
            return True
        other = _truth(right(content))
        if other is True:
            return True
        return False if one is False and other is False else None

    return disjunction


def negation(inner: Expression) -> Expression:
    def negated(content: Content) -> bool | None:
        value = _truth(inner(content))
        return None if value is None else not value

    return negated


def _like_pattern(pattern: str, escape: str | None) -> re.Pattern[str]:
    parts, position = [], 0
    while position < len(pattern):
        letter = pattern[position]
        if escape and letter == escape and position + 1 < len(pattern):
            position += 1
            parts.append(re.escape(pattern[position]))
        elif letter in "%_":
            parts.append(".*" if letter == "%" else ".")
        else:
            parts.append(re.escape(letter))
        position += 1
    return re.compile("".join(parts), re.DOTALL)


def like(value: Expression, pattern: Expression, escape: str | None) -> Expression:
    def matches(content: Content) -> bool | None:
        text, wanted = value(content), pattern(content)
        if not isinstance(text, str) or not isinstance(wanted, str):
            return None
        return _like_pattern(wanted, escape).fullmatch(text) is not None

    return matches


def one_of(value: Expression, choices: list[Expression]) -> Expression:
    condition = compare("=", value, choices[0])
    for choice in choices[1:]:
        condition = either(condition, compare("=", value, choice))
    return condition
