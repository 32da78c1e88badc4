"""Gives held deliveries the times at which they come back, from one clock for each account, for all processes.

Takes how many are to wait and since when they may go, gives when to send their message again. Whoever waits for the
clock in this process is served by the same write. Never raises: while the store is away, times are spread by chance.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.errors import StoreUnavailable
from shared.domain.notification import Lane
from shared.domain.release_clock import ReleaseClock, StoredClock, give_out

logger = logging.getLogger(__name__)

RELEASES_PER_SECOND = 100.0  # for an account that was given no rate
_WRITES_AT_MOST = 30  # tries against other processes that hold at the same moment
_PAUSE_SECONDS = 0.05  # at most, between two tries: to be a little late loses nothing
_SPREAD_SECONDS = 10.0  # when the clock can't be read


class ReleaseStore(Protocol):
    """``rate-limits``: one release clock for each account. Both raise StoreUnavailable."""

    async def read_clock(self, account: str) -> StoredClock:
        """The clock as it is stored."""
        ...

    async def write_clock(self, account: str, clock: ReleaseClock, version: str | None) -> StoredClock | None:
        """The clock, stored in place of ``version``; None when that is not the stored one any more."""
        ...


@dataclass(eq=False, slots=True)
class _Wish:
    lane: Lane
    count: int
    earliest: float
    time: float | None = None


@dataclass(slots=True)
class _Account:
    known: StoredClock | None = None
    wishes: list[_Wish] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Releases:
    """The times at which held deliveries come back. ``rates`` are deliveries a second, by account."""

    def __init__(self, store: ReleaseStore, rates: Mapping[str, float]) -> None:
        self._store = store
        self._rates = rates
        self._accounts: dict[str, _Account] = {}

    async def time_for(self, name: str, lane: Lane, count: int, *, earliest: float) -> float:
        """When ``count`` deliveries may be sent again by ``name``, not before ``earliest``; seconds since 1970."""
        account = self._accounts.setdefault(name, _Account())
        wish = _Wish(lane, count, earliest)
        account.wishes.append(wish)
        async with account.lock:
            if wish.time is None:
                wishes, account.wishes = account.wishes, []
                await self._serve(name, account, wishes)
        return wish.time if wish.time is not None else earliest + random.uniform(0, _SPREAD_SECONDS)  # noqa: S311 - spreads load

    async def given_until(self, name: str, lane: Lane) -> float:
        """Up to when deliveries of ``lane`` that wait for ``name`` come back; 0 when nobody knows."""
        try:
            return (await self._store.read_clock(name)).clock.given_until(lane)
        except StoreUnavailable:
            return 0.0

    async def _serve(self, name: str, account: _Account, wishes: list[_Wish]) -> None:
        rate = self._rates.get(name, RELEASES_PER_SECOND)
        try:
            for _ in range(_WRITES_AT_MOST):
                stored = account.known or await self._store.read_clock(name)
                clock, times = stored.clock, []
                for wish in wishes:
                    time, clock = give_out(clock, wish.lane, wish.count, earliest=wish.earliest, per_second=rate)
                    times.append(time)
                account.known = await self._store.write_clock(name, clock, stored.version)
                if account.known:
                    for wish, time in zip(wishes, times, strict=True):
                        wish.time = time
                    return
                await asyncio.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311 - spreads load
        except StoreUnavailable as error:
            account.known = None
            logger.info("Release clock not moved", extra={"provider": name, "cause": str(error)})
