"""How long things took, as counts in buckets: cheap to note, bounded, and mergeable."""

from bisect import bisect_left
from collections.abc import Sequence

# Upper bounds in seconds, a fifth of a decade apart: an answer is at most 58 % too high.
BOUNDS: tuple[float, ...] = tuple(round(10 ** (exponent / 5), 4) for exponent in range(-10, 16))


class Latencies:
    """A histogram over BOUNDS; what is longer than the last bound counts there."""

    __slots__ = ("_counts", "count")

    def __init__(self) -> None:
        self._counts = [0] * len(BOUNDS)
        self.count = 0

    def note(self, seconds: float, times: int = 1) -> None:
        """``times`` things took so long."""
        self._counts[min(bisect_left(BOUNDS, seconds), len(BOUNDS) - 1)] += times
        self.count += times

    def percentiles(self, shares: Sequence[float]) -> list[float]:
        """For each share the bound that so many were below; 0 when nothing was noted."""
        return [self._percentile(share) for share in shares]

    def _percentile(self, share: float) -> float:
        wanted, seen = share * self.count, 0
        for bound, count in zip(BOUNDS, self._counts, strict=True):
            seen += count
            if count and seen >= wanted:
                return bound
        return 0.0

    def share_above(self, seconds: float) -> float:
        """The share of what took longer than ``seconds`` (as a bound above it says)."""
        above = sum(self._counts[bisect_left(BOUNDS, seconds) + 1 :])
        return above / self.count if self.count else 0.0
