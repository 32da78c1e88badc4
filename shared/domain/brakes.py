"""When something a tenant sends is so unlike it that nothing more of it should leave before somebody has looked. Pure.

Counted in windows of five minutes, for each tenant and for each of its templates. Two signs: far more than ever before,
and too large a part that fails for good or bounces.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.quarantine import Because

WINDOW = timedelta(minutes=5)
_PEAK_HALVES_IN = timedelta(days=14) / WINDOW  # windows
_KNOWN_AFTER = timedelta(days=1) / WINDOW
_SURE = 2.0  # standard deviations by which failures must be too many


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """What brakes.

    Attributes:
        failure_share: of at least ``failure_deliveries`` in a window that failed for good or bounced.
        spike_factor: times the highest window there was, and at least ``spike_deliveries``.
        newcomer_deliveries: what may come in a window from who is known for less than a day.
    """

    failure_share: float = 0.2
    failure_deliveries: int = 200
    spike_factor: float = 10.0
    spike_deliveries: int = 3_000
    newcomer_deliveries: int = 300_000


@dataclass(frozen=True, slots=True)
class Tally:
    """What all processes told of one subject in its latest window, and what came before.

    Attributes:
        window: number of the window since the epoch.
        previous: deliveries in the window before, of which some processes tell late.
        peak: the highest window before that, fading over weeks.
        known_since: the first window it was ever told of.
    """

    window: int
    deliveries: int = 0
    failures: int = 0
    previous: int = 0
    peak: float = 0.0
    known_since: int = 0

    def rolled(self, window: int) -> "Tally":
        """The tally of a later window, before anything is told of it."""
        fade = 0.5 ** ((window - self.window) / _PEAK_HALVES_IN)
        is_next = window == self.window + 1
        highest = max(self.peak, self.previous) if is_next else max(self.peak, self.previous, self.deliveries)
        return Tally(
            window,
            previous=self.deliveries if is_next else 0,
            peak=highest * fade,
            known_since=self.known_since,
        )


def window_of(now: datetime) -> int:
    """The number of the window that ``now`` is in."""
    return int(now.timestamp() // WINDOW.total_seconds())


def judge(tally: Tally, limits: BrakeLimits) -> Because | None:
    """Why the subject should be held; None when it should not."""
    # Receipts may tell of more failures than there were deliveries in this window.
    base = max(tally.deliveries, tally.failures)
    surely_failed = tally.failures - _SURE * math.sqrt(tally.failures)
    if base >= limits.failure_deliveries and surely_failed > limits.failure_share * base:
        return Because.FAILURES
    if tally.deliveries > _most(tally, limits):
        return Because.SPIKE
    return None


def _most(tally: Tally, limits: BrakeLimits) -> float:
    if tally.window - tally.known_since < _KNOWN_AFTER:
        return limits.newcomer_deliveries
    return max(limits.spike_factor * max(tally.peak, tally.previous), limits.spike_deliveries)
