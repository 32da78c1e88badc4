"""Latencies weighted by how many notifications had them, in logarithmic classes twelve per cent wide."""

import math
from collections import defaultdict

_CLASSES_PER_DECADE = 20


class Latencies:
    """A distribution of seconds."""

    def __init__(self) -> None:
        self._weights: dict[int, float] = defaultdict(float)

    def add(self, seconds: float, weight: float) -> None:
        self._weights[math.ceil(math.log10(max(seconds, 1e-3)) * _CLASSES_PER_DECADE - 1e-9)] += weight

    def percentile(self, share: float) -> float | None:
        """The upper edge of the class that holds it; None without values."""
        wanted = sum(self._weights.values()) * share
        reached = 0.0
        for number in sorted(self._weights):
            reached += self._weights[number]
            if reached >= wanted - 1e-9:
                return 10 ** (number / _CLASSES_PER_DECADE)
        return None

    def share_within(self, seconds: float) -> float | None:
        """The share whose class lies within ``seconds``."""
        total = sum(self._weights.values())
        if not total:
            return None
        limit = math.floor(math.log10(seconds) * _CLASSES_PER_DECADE + 1e-9)
        return sum(weight for number, weight in self._weights.items() if number <= limit) / total
