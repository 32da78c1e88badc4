"""A group of Flex Consumption instances that scales by itself: steps, cold start, scale-in."""

import math
from collections import deque
from dataclasses import dataclass, field


@dataclass
class Fleet:
    """The instances of one function, or of all HTTP functions together."""

    always_ready: int
    maximum: int
    cold_start: float
    interval: float  # seconds between decisions
    step: int  # instances more in one decision, at most
    scale_in_after: float
    ready: int = 0
    highest: int = 0
    seconds: float = 0.0  # instance-seconds, ready or not
    _starting: deque[tuple[float, int]] = field(default_factory=deque)
    _next_decision: float = -math.inf
    _calm_since: float | None = None

    def __post_init__(self) -> None:
        self.ready = self.highest = self.always_ready

    @property
    def total(self) -> int:
        """Ready and starting."""
        return self.ready + sum(count for _, count in self._starting)

    def advance(self, now: float, seconds: float) -> None:
        """What has started by ``now`` is ready."""
        while self._starting and self._starting[0][0] <= now:
            self.ready += self._starting.popleft()[1]
        self.seconds += self.total * seconds

    def decide(self, now: float, wanted: float, room: int, seconds: float) -> None:
        """Towards ``wanted`` instances, as far as the region has ``room``. A step may hold several decisions."""
        if now < self._next_decision:
            return
        decisions = max(1, int(seconds / self.interval))
        self._next_decision = now + self.interval
        desired = max(self.always_ready, min(self.maximum, math.ceil(wanted - 1e-9)))
        total = self.total
        if desired > total:
            self._calm_since = None
            more = min(desired - total, self.step * decisions, max(0, room))
            if more:
                self._starting.append((now + self.cold_start, more))
                self.highest = max(self.highest, total + more)
        elif desired < total:
            self._scale_in(now, desired)
        else:
            self._calm_since = None

    def _scale_in(self, now: float, desired: int) -> None:
        if self._calm_since is None:
            self._calm_since = now
        elif now - self._calm_since >= self.scale_in_after:
            self.ready = max(desired, self.ready - max(1, self.ready // 10))
