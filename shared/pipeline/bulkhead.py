"""A share of the process for each channel, so that a slow provider fills its own share and no other's."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

DELIVERIES_PER_CHANNEL = 200  # provider calls under way in one process; the HTTP pool holds as many connections


class Bulkhead:
    """Counts deliveries under way per channel, before they are claimed, so that no claim grows old in a queue."""

    def __init__(self, capacity: int = DELIVERIES_PER_CHANNEL) -> None:
        self._capacity = capacity
        self._in_use: dict[str, int] = defaultdict(int)
        self._freed: dict[str, asyncio.Condition] = defaultdict(asyncio.Condition)

    @asynccontextmanager
    async def room_for(self, count: int, channel: str) -> AsyncIterator[None]:
        """Waits until ``count`` more deliveries of ``channel`` fit (at most the capacity), and holds their places."""
        places = min(count, self._capacity)
        freed = self._freed[channel]
        async with freed:
            await freed.wait_for(lambda: self._in_use[channel] + places <= self._capacity)
            self._in_use[channel] += places
        try:
            yield
        finally:
            async with freed:
                self._in_use[channel] -= places
                freed.notify_all()
