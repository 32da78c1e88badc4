"""Type, mathematical and general functions, and the table of all functions.

Each takes decoded values and gives one; a wrong type gives `undefined`, as the service does. Reference:
https://learn.microsoft.com/azure/cosmos-db/nosql/query/system-functions (read 2026-11).
"""

import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.sql.functions_array import ARRAY_FUNCTIONS
from local_azure.cosmos.sql.functions_date import DATE_FUNCTIONS
from local_azure.cosmos.sql.functions_string import STRING_FUNCTIONS


class Function(NamedTuple):
    """A function and how many arguments it takes; `sees_undefined` ones are also called with undefined arguments."""

    call: Callable[..., Any]
    least: int
    most: int
    sees_undefined: bool = False


def is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _math(operation: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def checked(value: Any) -> Any:
        if not is_number(value):
            return UNDEFINED
        try:
            return _whole(operation(value))
        except (ValueError, OverflowError):
            return UNDEFINED

    return checked


def _whole(value: Any) -> Any:
    if type(value) is float:
        if not math.isfinite(value):
            return UNDEFINED
        if value.is_integer() and abs(value) < 2**53:
            return int(value)
    return value


def _round(value: float) -> float:
    return math.copysign(math.floor(abs(value) + 0.5), value)


def _power(base: Any, exponent: Any) -> Any:
    if not (is_number(base) and is_number(exponent)):
        return UNDEFINED
    try:
        result = float(base) ** float(exponent)
    except (OverflowError, ZeroDivisionError):
        return UNDEFINED
    return UNDEFINED if isinstance(result, complex) else _whole(result)


def _log(value: Any, base: Any = None) -> Any:
    if not is_number(value) or value <= 0 or not (base is None or (is_number(base) and base > 0 and base != 1)):
        return UNDEFINED
    return _whole(math.log(value) if base is None else math.log(value, base))


def _arc_tangent(y: Any, x: Any) -> Any:
    return math.atan2(y, x) if is_number(y) and is_number(x) else UNDEFINED


def _round_to(value: Any, digits: Any = 0) -> Any:
    if not (is_number(value) and is_number(digits)):
        return UNDEFINED
    scale = 10 ** int(digits)
    return _whole(_round(value * scale) / scale)


def _is_primitive(value: Any) -> bool:
    return value is None or type(value) in (str, int, float, bool)


def _iif(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition is True else no


MATH_FUNCTIONS: dict[str, Function] = {
    "ABS": Function(_math(abs), 1, 1),
    "ACOS": Function(_math(math.acos), 1, 1),
    "ASIN": Function(_math(math.asin), 1, 1),
    "ATAN": Function(_math(math.atan), 1, 1),
    "ATN2": Function(_arc_tangent, 2, 2),
    "CEILING": Function(_math(math.ceil), 1, 1),
    "COS": Function(_math(math.cos), 1, 1),
    "COT": Function(_math(lambda value: 1 / math.tan(value) if value else UNDEFINED), 1, 1),
    "DEGREES": Function(_math(math.degrees), 1, 1),
    "EXP": Function(_math(math.exp), 1, 1),
    "FLOOR": Function(_math(math.floor), 1, 1),
    "LOG": Function(_log, 1, 2),
    "LOG10": Function(_math(math.log10), 1, 1),
    "PI": Function(lambda: math.pi, 0, 0),
    "POWER": Function(_power, 2, 2),
    "RADIANS": Function(_math(math.radians), 1, 1),
    "RAND": Function(random.random, 0, 0),
    "ROUND": Function(_round_to, 1, 2),
    "SIGN": Function(_math(lambda value: (value > 0) - (value < 0)), 1, 1),
    "SIN": Function(_math(math.sin), 1, 1),
    "SQRT": Function(_math(math.sqrt), 1, 1),
    "SQUARE": Function(_math(lambda value: value * value), 1, 1),
    "TAN": Function(_math(math.tan), 1, 1),
    "TRUNC": Function(_math(math.trunc), 1, 1),
}

TYPE_FUNCTIONS: dict[str, Function] = {
    "IS_ARRAY": Function(lambda value: type(value) is list, 1, 1, sees_undefined=True),
    "IS_BOOL": Function(lambda value: type(value) is bool, 1, 1, sees_undefined=True),
    "IS_DEFINED": Function(lambda value: value is not UNDEFINED, 1, 1, sees_undefined=True),
    "IS_FINITE_NUMBER": Function(lambda value: is_number(value) and math.isfinite(value), 1, 1, sees_undefined=True),
    "IS_INTEGER": Function(lambda value: is_number(value) and float(value).is_integer(), 1, 1, sees_undefined=True),
    "IS_NULL": Function(lambda value: value is None, 1, 1, sees_undefined=True),
    "IS_NUMBER": Function(is_number, 1, 1, sees_undefined=True),
    "IS_OBJECT": Function(lambda value: type(value) is dict, 1, 1, sees_undefined=True),
    "IS_PRIMITIVE": Function(_is_primitive, 1, 1, sees_undefined=True),
    "IS_STRING": Function(lambda value: type(value) is str, 1, 1, sees_undefined=True),
    "IIF": Function(_iif, 3, 3, sees_undefined=True),
}

FUNCTIONS: dict[str, Function] = {
    **MATH_FUNCTIONS,
    **TYPE_FUNCTIONS,
    **{name: Function(*entry) for name, entry in STRING_FUNCTIONS.items()},
    **{name: Function(*entry) for name, entry in ARRAY_FUNCTIONS.items()},
    **{name: Function(*entry) for name, entry in DATE_FUNCTIONS.items()},
}
