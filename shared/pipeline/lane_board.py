"""What all processes know of the lanes together: how late they are, how much is sent and how much is asked for.

One small document. Who delivers tells how late a lane is, once a second at most and only while that is worth telling;
who accepts reads it once a second at most. So an idle service writes nothing, and no request waits for a read of its
own. What nobody repeats is forgotten after some seconds: a lane nobody speaks of is not late.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.errors import StoreUnavailable
from shared.domain.lane_telling import LaneEntry, LaneKey, Telling
from shared.domain.notification import Lane

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0  # how old what is known may be before it is read again
FORGOTTEN_AFTER_SECONDS = 5.0  # a lane that nobody has told about for so long
_READ_SECONDS = 0.5  # how long a request may wait for the read that falls to it
_RATE_WINDOW_SECONDS = 6.0
_RATE_FROM_SECONDS = 1.5  # differences over less than that are noise


class BoardStore(Protocol):
    """The document. Both raise StoreUnavailable."""

    async def read(self) -> Mapping[LaneKey, LaneEntry]:
        """What it says; nothing when there is none yet."""
        ...

    async def tell(self, tellings: Mapping[LaneKey, Telling]) -> Mapping[LaneKey, LaneEntry]:
        """Adds to it, and what it says then."""
        ...


@dataclass(slots=True)
class _Known:
    """One lane as this process has seen it told."""

    entry: LaneEntry = field(default_factory=LaneEntry)
    told_at: float = float("-inf")
    lags: deque[tuple[float, float]] = field(default_factory=deque)  # when seen, and what
    counts: deque[tuple[float, int, int]] = field(default_factory=deque)  # when seen, started, asked


@dataclass(frozen=True, slots=True)
class Rates:
    """Deliveries a second, of all processes together."""

    started: float
    asked: float


class LaneBoard:
    """The document as this process knows it. Without a store nothing is ever late."""

    def __init__(self, store: BoardStore | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._known: dict[LaneKey, _Known] = {}
        self._read_at = float("-inf")
        self._learned_at = float("-inf")
        self._reading = asyncio.Lock()

    async def look(self) -> None:
        """What is known is a second old at most, unless the store is slow or away. Never raises."""
        if self._store is None or self._monotonic() - self._read_at < FRESH_SECONDS or self._reading.locked():
            return
        async with self._reading:
            self._read_at = self._monotonic()
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    self._learn(await self._store.read())
            except (StoreUnavailable, TimeoutError) as error:
                logger.info("Lane board not readable", extra={"cause": type(error).__name__})

    async def tell(self, tellings: Mapping[LaneKey, Telling]) -> bool:
        """Whether all processes can know it now. Never raises: what could not be told is told with the next."""
        if self._store is None or not tellings:
            return True
        try:
            self._learn(await self._store.tell(tellings))
        except StoreUnavailable as error:
            logger.info("Lane board not writable", extra={"cause": type(error).__name__})
            return False
        self._read_at = self._monotonic()
        return True

    def _learn(self, entries: Mapping[LaneKey, LaneEntry]) -> None:
        now = self._monotonic()
        # After a pause nobody knows how long ago something was told: only what is told from here on counts.
        is_continuous = now - self._learned_at <= FORGOTTEN_AFTER_SECONDS
        self._learned_at = now
        for key, entry in entries.items():
            known = self._known.setdefault(key, _Known() if is_continuous else _Known(entry))
            if is_continuous and entry.tellings > known.entry.tellings:
                known.told_at = now
                known.lags.append((now, entry.lag))
            known.entry = entry
            known.counts.append((now, entry.started, entry.asked))
            _drop_before(known.counts, now - _RATE_WINDOW_SECONDS)
            _drop_before(known.lags, now - FORGOTTEN_AFTER_SECONDS)

    def lag(self, key: LaneKey) -> float:
        """Seconds by which a lane's deliveries start late: the worst of what was told lately, or 0."""
        known = self._known.get(key)
        now = self._monotonic()
        if known is None or now - known.told_at > FORGOTTEN_AFTER_SECONDS:
            return 0.0
        recent = [lag for seen, lag in known.lags if now - seen <= FORGOTTEN_AFTER_SECONDS / 2]
        return max(recent, default=known.entry.lag)

    def lags_of(self, channel: str) -> dict[Lane, float]:
        """The lag of each lane of a channel."""
        return {lane: self.lag((channel, lane)) for lane in Lane}

    def rates(self, key: LaneKey) -> Rates | None:
        """What is started and asked for in a lane; None while nobody has counted long enough."""
        known = self._known.get(key)
        if known is None or len(known.counts) < 2:  # noqa: PLR2004 - a difference takes two
            return None
        (first, started, asked), (last, started_now, asked_now) = known.counts[0], known.counts[-1]
        if last - first < _RATE_FROM_SECONDS:
            return None
        return Rates((started_now - started) / (last - first), (asked_now - asked) / (last - first))


def _drop_before(seen: deque[tuple[float, float]] | deque[tuple[float, int, int]], instant: float) -> None:
    while seen and seen[0][0] < instant:
        seen.popleft()
