"""A rate limit as a timetable that workers lease from (design 2.4).

One clock per shard says up to when an account's calls have been given away. A worker that leases ``n`` calls moves the
clock by ``n`` intervals and may make one call in each of them, evenly spaced. What is not used in its time is lost, so
nothing accumulates and nothing is refilled by a restart: over all workers no window of one second holds more calls than
the limit. All times here are the store's, in seconds, so the workers' own clocks may be wrong.

The bound: a call starts at most LATENESS_SECONDS after its slot, so any window of a second holds at most the slots of
1 + LATENESS_SECONDS seconds, which are no more than the limit, counted shard by shard in whole calls. A worker that
knows the store's time to within an error starts no call earlier than the error after the slot, and none later than the
error before the lateness is over, so that the bound holds by the store's time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.notification import Lane

LATENESS_SECONDS = 0.05
USABLE_SHARE = 0.94  # of the limit; the rest pays for calls that start late and for the network's jitter
_HAIR = 1e-6  # so that two ends of a window never both hold a slot by a rounding
_CALLS_PER_SHARD = 50.0  # below this rate sharding would leave a shard less than a call in 20 ms
_MAX_SHARDS = 32
_LONGEST_BLOCK_SECONDS = 0.125  # a larger demand is leased piece by piece, so that others come in between

# How far ahead of now a lane may begin to lease. By a lane's doing the clock is never further ahead than the lane's
# horizon and one block, so no backlog of a less urgent lane keeps a more urgent one waiting for longer than that. What
# is claimed goes before what is not: a claim must not grow old.
_HORIZON_SECONDS = {Lane.HIGH: 3.0, Lane.NORMAL: 0.4, Lane.LOW: 0.15}
_HORIZON_WHEN_CLAIMED_SECONDS = {Lane.HIGH: 3.0, Lane.NORMAL: 0.5, Lane.LOW: 0.25}


def horizon_seconds(lane: Lane, *, is_claimed: bool = False) -> float:
    """How far ahead of now a delivery may begin to lease."""
    return (_HORIZON_WHEN_CLAIMED_SECONDS if is_claimed else _HORIZON_SECONDS)[lane]


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls a second for one account, from all workers together."""

    account: str
    calls_per_second: float

    @property
    def shards(self) -> int:
        """On how many clocks the limit is spread, so that many workers don't queue for one document."""
        return max(1, min(_MAX_SHARDS, int(self.calls_per_second / _CALLS_PER_SHARD)))

    @property
    def interval(self) -> float:
        """Seconds between two calls on one shard."""
        share = self.calls_per_second / self.shards
        whole_calls = max(1, int(share))  # what a window of a second may hold of one shard's slots
        return max(1 / (share * USABLE_SHARE), (1 + LATENESS_SECONDS) / whole_calls + _HAIR)

    @property
    def spacing(self) -> float:
        """Seconds between two calls on all shards together."""
        return self.interval / self.shards

    @property
    def longest_block(self) -> int:
        """How many calls are leased in one go at most."""
        return max(1, int(_LONGEST_BLOCK_SECONDS / self.interval))


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

    def add(self, slots: Sequence[float]) -> None:
        """Takes leased slots in, or back."""
        self._slots = sorted([*self._slots, *slots])

    def take(self, now: float, wanted: int) -> list[float]:
        """Up to ``wanted`` slots, the earliest first; those whose time has passed are lost."""
        usable = [slot for slot in self._slots if slot + LATENESS_SECONDS > now]
        self._slots = usable[wanted:]
        return usable[:wanted]
