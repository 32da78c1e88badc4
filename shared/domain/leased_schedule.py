"""A provider's rate limit as a timetable that workers lease from (design 2.4).

One clock per shard of a provider account says up to when its calls have been given away. A worker that leases ``n``
calls moves the clock by ``n`` intervals and may make one call in each of them, evenly spaced. What is not used in its
time is lost, so nothing accumulates and nothing is refilled by a restart: over all workers no window of one second
holds more calls than the limit. All times here are the store's, in seconds, so the workers' own clocks may be wrong.

The bound: calls start at most LATENESS_SECONDS after their slot, so any window of a second holds at most the slots of
1 + LATENESS_SECONDS seconds: ``USABLE_SHARE * (1 + LATENESS_SECONDS) < 1`` keeps that below the limit.
"""

from dataclasses import dataclass

LATENESS_SECONDS = 0.05
USABLE_SHARE = 0.94  # of the limit; the rest pays for calls that start late and for the network's jitter
_CALLS_PER_SHARD = 50.0  # below this rate sharding would leave a shard less than a call in 20 ms
_MAX_SHARDS = 32


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls a second to one provider account, from all workers together."""

    account: str
    calls_per_second: float

    @property
    def shards(self) -> int:
        """On how many clocks the limit is spread, so that many workers don't queue for one document."""
        return max(1, min(_MAX_SHARDS, int(self.calls_per_second / _CALLS_PER_SHARD)))

    @property
    def interval(self) -> float:
        """Seconds between two calls on one shard."""
        return self.shards / (self.calls_per_second * USABLE_SHARE)


@dataclass(frozen=True, slots=True)
class Block:
    """Calls leased from one shard: one may start in each interval from ``starts_at`` on."""

    starts_at: float
    calls: int
    interval: float

    def slots(self) -> list[float]:
        """When each call may start."""
        return [self.starts_at + number * self.interval for number in range(self.calls)]


class Timetable:
    """The slots that one worker holds for one account and has not used yet."""

    def __init__(self) -> None:
        self._slots: list[float] = []

    def add(self, block: Block) -> None:
        """Takes a leased block in."""
        self._slots = sorted(self._slots + block.slots())

    def take(self, now: float, wanted: int, until: float) -> list[float]:
        """Up to ``wanted`` slots that start before ``until``; those whose time has passed are lost."""
        usable = [slot for slot in self._slots if slot + LATENESS_SECONDS > now]
        taken = [slot for slot in usable[:wanted] if slot < until]
        self._slots = usable[len(taken) :]
        return taken
