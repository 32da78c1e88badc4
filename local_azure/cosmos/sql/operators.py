"""The operators between two values; three-valued logic for AND, OR and NOT."""

from collections.abc import Callable
from typing import Any

from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.sql.values import equals, less, less_or_equal

_NUMBERS = (int, float)
_Evaluate = Callable[[list[Any], dict[str, Any]], Any]


def negate(value: Any) -> Any:
    return not value if type(value) is bool else UNDEFINED


def logical_and(parts: list[_Evaluate]) -> _Evaluate:
    def every(b: list[Any], p: dict[str, Any]) -> Any:
        result: Any = True
        for part in parts:
            value = part(b, p)
            if value is False:
                return False
            if value is not True:
                result = UNDEFINED
        return result

    return every


def logical_or(parts: list[_Evaluate]) -> _Evaluate:
    def some(b: list[Any], p: dict[str, Any]) -> Any:
        result: Any = False
        for part in parts:
            value = part(b, p)
            if value is True:
                return True
            if value is not False:
                result = UNDEFINED
        return result

    return some


def _arithmetic(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(left: Any, right: Any) -> Any:
        if type(left) not in _NUMBERS or type(right) not in _NUMBERS:
            return UNDEFINED
        try:
            result = operation(left, right)
        except (ZeroDivisionError, OverflowError, ValueError):
            return UNDEFINED
        if type(result) is float and result.is_integer() and abs(result) < 2**53:
            return int(result)
        # Numbers are doubles: an integer beyond 64 bits could not be written back as JSON.
        return float(result) if type(result) is int and abs(result) >= 2**63 else result

    return checked


def _remainder(left: Any, right: Any) -> Any:
    # The sign follows the dividend, unlike Python's.
    result = abs(left) % abs(right)
    return -result if left < 0 else result


def _not_equals(left: Any, right: Any) -> Any:
    return negate(equals(left, right))


def _concat(left: Any, right: Any) -> Any:
    return left + right if type(left) is str and type(right) is str else UNDEFINED


def _bits(value: float) -> int:
    return (int(value) + 2**31) % 2**32 - 2**31


BINARY_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": equals,
    "!=": _not_equals,
    "<": less,
    "<=": less_or_equal,
    ">": lambda left, right: less(right, left),
    ">=": lambda left, right: less_or_equal(right, left),
    "+": _arithmetic(lambda left, right: left + right),
    "-": _arithmetic(lambda left, right: left - right),
    "*": _arithmetic(lambda left, right: left * right),
    "/": _arithmetic(lambda left, right: left / right),
    "%": _arithmetic(_remainder),
    "|": _arithmetic(lambda left, right: _bits(left) | _bits(right)),
    "&": _arithmetic(lambda left, right: _bits(left) & _bits(right)),
    "^": _arithmetic(lambda left, right: _bits(left) ^ _bits(right)),
    "<<": _arithmetic(lambda left, right: _bits(_bits(left) << (int(right) & 31))),
    ">>": _arithmetic(lambda left, right: _bits(left) >> (int(right) & 31)),
    ">>>": _arithmetic(lambda left, right: (_bits(left) % 2**32) >> (int(right) & 31)),
    "||": _concat,
}
