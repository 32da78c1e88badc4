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


class _Meter:
    """A rate from a count that only grows and that is told now and then."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()

    def note(self, now: float, count: int) -> None:
        points = self._points
        if points and count <= points[-1][1]:
            return
        if points and now - points[-1][0] > FORGOTTEN_AFTER_SECONDS:
            points.clear()  # nobody counted in between
        points.append((now, count))
        while points[0][0] < now - _RATE_WINDOW_SECONDS:
            points.popleft()

    def per_second(self, now: float) -> float:
        if not self._points or now - self._points[-1][0] > FORGOTTEN_AFTER_SECONDS:
            return 0.0
        (first, before), (last, count) = self._points[0], self._points[-1]
        return (count - before) / (last - first) if last - first >= _RATE_FROM_SECONDS else 0.0


@dataclass(slots=True)
class _Known:
    """One lane as this process has seen it told."""

    entry: LaneEntry = field(default_factory=LaneEntry)
    told_at: float = float("-inf")
    lags: deque[tuple[float, float, float]] = field(default_factory=deque)  # when seen, and both
    started: _Meter = field(default_factory=_Meter)
    asked: _Meter = field(default_factory=_Meter)


class LaneBoard:
    """The document as this process knows it. Without a store nothing is ever late."""

    def __init__(self, store: BoardStore | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._monotonic = monotonic
        self._known: dict[LaneKey, _Known] = {}
        self._read_at = float("-inf")
        self._learned_at = float("-inf")
        self._told_at = float("-inf")
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
                known.told_at = self._told_at = now
                known.lags.append((now, entry.lag, entry.felt))
            known.entry = entry
            known.started.note(now, entry.started)
            known.asked.note(now, entry.asked)
            while known.lags and known.lags[0][0] < now - FORGOTTEN_AFTER_SECONDS:
                known.lags.popleft()

    def is_quiet(self) -> bool:
        """Whether no lane was spoken of lately, so that none is late."""
        return self._monotonic() - self._told_at > FORGOTTEN_AFTER_SECONDS

    def lag(self, key: LaneKey) -> float:
        """Seconds by which a lane's deliveries start late: the worst of what was told lately, or 0."""
        return max((lag for lag, _ in self._recent_lags(key)), default=0.0)

    def lags_felt_in(self, channel: str) -> dict[Lane, float]:
        """The same for each lane of a channel, as tenants feel it who don't dominate the lane.

        Who does has a queue of its own making, and it alone is refused for that (fair_share.py).
        """
        return {lane: max((felt for _, felt in self._recent_lags((channel, lane))), default=0.0) for lane in Lane}

    def _recent_lags(self, key: LaneKey) -> list[tuple[float, float]]:
        known, now = self._known.get(key), self._monotonic()
        if known is None or now - known.told_at > FORGOTTEN_AFTER_SECONDS:
            return []
        recent = [(lag, felt) for seen, lag, felt in known.lags if now - seen <= FORGOTTEN_AFTER_SECONDS / 2]
        return recent or [(known.entry.lag, known.entry.felt)]

    def started_per_second(self, key: LaneKey) -> float:
        """Deliveries that all processes together begin in a second; 0 while that is not known."""
        known = self._known.get(key)
        return known.started.per_second(self._monotonic()) if known else 0.0

    def asked_per_second(self, key: LaneKey) -> float:
        """Deliveries that are asked for in a second, accepted or not; 0 while that is not known."""
        known = self._known.get(key)
        return known.asked.per_second(self._monotonic()) if known else 0.0
