"""How much may be under way at once so that each still takes no longer than it should: found out, not configured.

Additive increase, multiplicative decrease, as TCP does it: while things take longer than the target the limit falls by
a tenth each time one target has passed, and while they are quick and the limit is in use it rises by one for each
round.
"""

_SHRINK = 0.9
_QUICK = 0.5  # of the target


class ConcurrencyLimit:
    """Between ``least`` and ``most`` things at once, ``target_seconds`` each."""

    def __init__(self, most: int, *, target_seconds: float, least: int = 2) -> None:
        self.value = float(most)
        self._most, self._least = most, least
        self._target_seconds = target_seconds
        self._shrunk_at = float("-inf")

    def note(self, seconds: float, under_way: int, now: float) -> None:
        """One took so long, while so many were under way."""
        if seconds > self._target_seconds:
            # What is under way began under the old limit; it says nothing about the new one.
            if now - self._shrunk_at >= self._target_seconds:
                self._shrunk_at = now
                self.value = max(float(self._least), self.value * _SHRINK)
        elif seconds < _QUICK * self._target_seconds and 2 * under_way >= self.value:
            self.value = min(float(self._most), self.value + 1 / self.value)
