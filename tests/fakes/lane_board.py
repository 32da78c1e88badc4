"""The lane board in memory, shared by as many processes as a test has; and leases that go by the test's clock."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from shared.domain.errors import StoreUnavailable
from shared.domain.lane_telling import LaneEntry, LaneKey, Telling


class InMemoryBoard:
    def __init__(self) -> None:
        self.entries: dict[LaneKey, LaneEntry] = defaultdict(LaneEntry)
        self.reads = self.writes = 0
        self.away = False

    async def read(self) -> Mapping[LaneKey, LaneEntry]:
        self.reads += 1
        self._check()
        return dict(self.entries)

    async def tell(self, tellings: Mapping[LaneKey, Telling]) -> Mapping[LaneKey, LaneEntry]:
        self.writes += 1
        self._check()
        for key, telling in tellings.items():
            entry = self.entries[key]
            entry = replace(entry, started=entry.started + telling.started, asked=entry.asked + telling.asked)
            if telling.lag is not None:
                entry = replace(entry, lag=telling.lag, felt=telling.felt, tellings=entry.tellings + 1)
            self.entries[key] = entry
        return dict(self.entries)

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")


class InMemoryLeases:
    """One clock for each account; ``now`` is the test's."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.given_until: dict[tuple[str, int], float] = {}
        self.writes = 0
        self.away = False

    async def now(self) -> float:
        return self._now()

    async def lease(self, account: str, shard: int, seconds: float, earliest: float, latest: float) -> float | None:
        self.writes += 1
        if self.away:
            raise StoreUnavailable("away")
        start = max(self.given_until.get((account, shard), 0.0), earliest)
        if start > latest:
            return None
        self.given_until[account, shard] = start + seconds
        return start


class Seconds:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.value = 1000.0

    def __call__(self) -> float:
        return self.value

    def advance(self, seconds: float) -> None:
        self.value += seconds
