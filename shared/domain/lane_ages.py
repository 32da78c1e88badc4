"""How late a lane's deliveries start, from the ages of those that were seen lately. Pure; all numbers are seconds."""

from collections import Counter, deque
from statistics import median

from shared.domain.fair_share import dominant

_LATELY = 2.0
_AT_LEAST = 5  # one message that was delivered again after a crash makes no late lane
_OTHERS_LATELY = 10.0  # who floods nothing is seen less often
_OTHERS_AT_LEAST = 3
_GOOD_FOR = 0.1  # asked for with each message, a median is not worked out each time


class LaneAges:
    """The ages of what started lately in one lane, by tenant."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float, str]] = deque()
        self._lag = 0.0
        self._lag_at = float("-inf")

    def note(self, now: float, age: float, tenant: str) -> None:
        """Something of ``tenant`` started ``age`` after it was wanted."""
        self._seen.append((now, age, tenant))
        while self._seen[0][0] < now - _OTHERS_LATELY:
            self._seen.popleft()

    def lag(self, now: float) -> float:
        """The median age; 0 when too little was seen to tell."""
        if now - self._lag_at >= _GOOD_FOR:
            self._lag_at = now
            ages = [age for seen, age, _ in self._seen if seen >= now - _LATELY]
            self._lag = median(ages) if len(ages) >= _AT_LEAST else 0.0
        return self._lag

    def lag_of_others(self, now: float) -> float | None:
        """The same for tenants that don't dominate the lane; None when too few of them were seen."""
        recent = [(age, tenant) for seen, age, tenant in self._seen if seen >= now - _OTHERS_LATELY]
        heavy = dominant(Counter(tenant for _, tenant in recent))
        ages = [age for age, tenant in recent if tenant not in heavy]
        return median(ages) if len(ages) >= _OTHERS_AT_LEAST else None
