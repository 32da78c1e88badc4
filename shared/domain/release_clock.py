"""When held deliveries come back: one after the other, at a rate, the higher lanes before the lower ones.

One clock for each lane says up to when its releases have been given away. Who holds ``n`` deliveries moves their lane's
clock on by ``n`` intervals and has them come back where it stood. A lane begins where the higher ones end, so what is
urgent is through before the rest begins. Each lane keeps the rate; where urgent deliveries come to wait when others
have their times already, both rates add up. Pure; times are seconds.
"""

from dataclasses import dataclass, replace

from shared.domain.notification import Lane

HEAD_START_SECONDS = 1.0
_HIGHEST_FIRST = (Lane.HIGH, Lane.NORMAL, Lane.LOW)


@dataclass(frozen=True, slots=True)
class ReleaseClock:
    """Up to when each lane's releases have been given away."""

    high: float = 0.0
    normal: float = 0.0
    low: float = 0.0

    def given_until(self, lane: Lane) -> float:
        """Up to when the releases of ``lane`` have been given away."""
        times: dict[Lane, float] = {Lane.HIGH: self.high, Lane.NORMAL: self.normal, Lane.LOW: self.low}
        return times[lane]


@dataclass(frozen=True, slots=True)
class StoredClock:
    """A clock and the version it has in the store; no version while it was never stored."""

    clock: ReleaseClock
    version: str | None = None


def give_out(
    clock: ReleaseClock, lane: Lane, count: int, *, earliest: float, per_second: float
) -> tuple[float, ReleaseClock]:
    """When ``count`` deliveries of ``lane`` may come back, not before ``earliest``; and the clock after that.

    The first to come back is the provider's probe, and has a second's head start.
    """
    higher = _HIGHEST_FIRST[: _HIGHEST_FIRST.index(lane) + 1]
    begins = max(earliest, *(clock.given_until(each) for each in higher))
    seconds = count / per_second
    if begins == earliest:
        seconds = max(seconds, HEAD_START_SECONDS)
    return begins, replace(clock, **{lane.value: begins + seconds})
