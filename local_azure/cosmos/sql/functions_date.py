"""Date functions of the query language: name → (function, least, most arguments).

Dates are ISO 8601 UTC text with seven fraction digits ("2026-01-02T03:04:05.0000000Z").
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from local_azure.cosmos.epk import UNDEFINED

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION = re.compile(r"(\.\d{6})\d+")
_UNITS = {
    "year": "year", "yyyy": "year", "yy": "year", "month": "month", "mm": "month", "m": "month",
    "day": "day", "dd": "day", "d": "day", "hour": "hour", "hh": "hour", "minute": "minute", "mi": "minute",
    "n": "minute", "second": "second", "ss": "second", "s": "second", "millisecond": "millisecond", "ms": "millisecond",
}  # fmt: skip
_SECONDS = {"day": 86400.0, "hour": 3600.0, "minute": 60.0, "second": 1.0, "millisecond": 0.001}


def _parse(text: Any) -> datetime | None:
    if type(text) is not str:
        return None
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _format(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0Z"


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _now() -> datetime:
    return datetime.now(UTC)


def _unit(part: Any) -> str | None:
    return _UNITS.get(part.lower()) if type(part) is str else None


def _add_months(moment: datetime, months: int) -> datetime:
    index = moment.year * 12 + moment.month - 1 + months
    first = moment.replace(year=index // 12, month=index % 12 + 1, day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return first.replace(day=min(moment.day, (following - timedelta(days=1)).day))


def _add(part: Any, amount: Any, text: Any) -> Any:
    unit, moment = _unit(part), _parse(text)
    if unit is None or moment is None or type(amount) not in (int, float):
        return UNDEFINED
    try:
        if unit in ("year", "month"):
            return _format(_add_months(moment, int(amount) * (12 if unit == "year" else 1)))
        return _format(moment + timedelta(seconds=int(amount) * _SECONDS[unit]))
    except (OverflowError, ValueError):
        return UNDEFINED


def _difference(part: Any, start: Any, end: Any) -> Any:
    unit, first, last = _unit(part), _parse(start), _parse(end)
    if unit is None or first is None or last is None:
        return UNDEFINED
    if unit == "year":
        return last.year - first.year
    if unit == "month":
        return (last.year - first.year) * 12 + last.month - first.month
    size = _SECONDS[unit]
    return int(last.timestamp() // size) - int(first.timestamp() // size)


def _part(part: Any, text: Any) -> Any:
    unit, moment = _unit(part), _parse(text)
    if unit is None or moment is None:
        return UNDEFINED
    return moment.microsecond // 1000 if unit == "millisecond" else getattr(moment, unit)


def _to_timestamp(text: Any) -> Any:
    moment = _parse(text)
    return UNDEFINED if moment is None else _milliseconds(moment)


def _from_timestamp(value: Any) -> Any:
    if type(value) not in (int, float):
        return UNDEFINED
    try:
        return _format(_EPOCH + timedelta(milliseconds=value))
    except OverflowError:
        return UNDEFINED


DATE_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "DATETIMEADD": (_add, 3, 3),
    "DATETIMEDIFF": (_difference, 3, 3),
    "DATETIMEPART": (_part, 2, 2),
    "DATETIMETOTIMESTAMP": (_to_timestamp, 1, 1),
    "GETCURRENTDATETIME": (lambda: _format(_now()), 0, 0),
    "GETCURRENTDATETIMESTATIC": (lambda: _format(_now()), 0, 0),
    "GETCURRENTTIMESTAMP": (lambda: _milliseconds(_now()), 0, 0),
    "GETCURRENTTIMESTAMPSTATIC": (lambda: _milliseconds(_now()), 0, 0),
    "TIMESTAMPTODATETIME": (_from_timestamp, 1, 1),
}
