"""COUNT, SUM, MIN, MAX, AVG and COUNTIF over the rows of a group.

Undefined values are skipped; SUM and AVG of anything but numbers are undefined. Assumed: SUM, MIN, MAX and AVG of no
row at all are undefined (the SDK then shows nothing or None).
"""

from typing import Any

from local_azure.cosmos.epk import UNDEFINED
from local_azure.cosmos.sql.values import sort_key


class Count:
    """How many defined values there were."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, value: Any) -> None:
        self.count += value is not UNDEFINED

    def result(self) -> Any:
        return self.count


class CountIf(Count):
    """How many values were true."""

    def add(self, value: Any) -> None:
        self.count += value is True


class Sum:
    """The sum of numbers."""

    def __init__(self) -> None:
        self.total: Any = 0
        self.count = 0
        self.spoiled = False

    def add(self, value: Any) -> None:
        if value is UNDEFINED:
            return
        if type(value) not in (int, float):
            self.spoiled = True
            return
        self.total += value
        self.count += 1

    def result(self) -> Any:
        return UNDEFINED if self.spoiled or not self.count else self.total


class Average(Sum):
    """The mean of numbers."""

    def result(self) -> Any:
        return UNDEFINED if self.spoiled or not self.count else self.total / self.count


class Extreme:
    """The least or the greatest value in the order of the language."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.best: Any = UNDEFINED
        self.best_key: Any = None

    def add(self, value: Any) -> None:
        if value is UNDEFINED or type(value) in (dict, list):
            return
        key = sort_key(value)
        if self.best is UNDEFINED or (key < self.best_key if self.sign < 0 else key > self.best_key):
            self.best, self.best_key = value, key

    def result(self) -> Any:
        return self.best


Accumulator = Count | Sum | Extreme


def new_accumulator(name: str) -> Accumulator:
    if name == "MIN":
        return Extreme(-1)
    if name == "MAX":
        return Extreme(1)
    plain: dict[str, type[Count | Sum]] = {"COUNT": Count, "COUNTIF": CountIf, "SUM": Sum, "AVG": Average}
    return plain[name]()
