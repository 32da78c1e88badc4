"""Percentiles, and the median and range of repeated measurements."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` (0 to 1) of the values do not exceed (nearest rank).

    Raises:
        ValueError: there are no values, or ``share`` is outside 0 to 1.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError("a percentile needs values and a share between 0 and 1")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one figure."""

    median: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Raises: ValueError: there are no values."""
    if not values:
        raise ValueError("nothing was measured")
    return Spread(median(values), min(values), max(values), len(values))


def growth(values: Sequence[float]) -> float:
    """The last value over the least of those before: 1.0 is flat. Raises: ValueError: fewer than two values."""
    return values[-1] / min(values[:-1])
