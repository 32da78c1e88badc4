"""Turns of tenants that flood a lane: instants spaced by their share, the same for all processes.

One clock for each such tenant, channel and lane, leased like a provider's turns (ADR 0019) and some of them ahead, so
that a flood costs a few writes a second.
"""

import asyncio
import math
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.domain.chunk import MAX_CHUNK_DELIVERIES
from shared.domain.errors import RateExceeded
from shared.domain.identifiers import TenantId
from shared.domain.lane_telling import LaneKey
from shared.pipeline.call_limits import LeaseStore

_AHEAD_SECONDS = 0.5  # of its turns a process leases for a tenant at once
_REFUSED_SECONDS = 0.5  # without asking the store again
_MOST_CLOCKS = 10_000


@dataclass
class _Clock:
    """What this process holds of a tenant's turns in one lane. Seconds of the store's time."""

    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    starts_at: float = 0.0
    held: float = 0.0  # deliveries
    per_second: float = 1.0
    refused_until: float = float("-inf")

    def take(self, count: int, now: float) -> float | None:
        """When the held turns for ``count`` begin; None when fewer are held. Those whose time has passed are lost."""
        missed = max(0.0, (now - self.starts_at) * self.per_second)
        self.held, self.starts_at = max(0.0, self.held - missed), max(self.starts_at, now)
        if self.held < count:
            return None
        start = self.starts_at
        self.held -= count
        self.starts_at += count / self.per_second
        return start


class TenantTurns:
    """Leases turns."""

    def __init__(self, leases: LeaseStore) -> None:
        self._leases = leases
        self._clocks: dict[tuple[LaneKey, TenantId], _Clock] = {}

    async def lease(
        self, key: LaneKey, tenant: TenantId, count: int, per_second: float, horizon: timedelta
    ) -> list[datetime]:
        """When ``count`` deliveries may be sent: one instant for as many as travel in one message.

        Raises:
            RateExceeded: the tenant's turns are given away for longer than ``horizon``.
            StoreUnavailable: the clock could not be asked.
        """
        clock = self._clock(key, tenant)
        async with clock.asking:
            now = await self._leases.now()
            start = clock.take(count, now)
            if start is None and now >= clock.refused_until:
                start = await self._lease_more(
                    f"share:{key[0]}:{key[1].value}:{tenant}", clock, count, per_second, horizon
                )
        if start is None:
            wait = horizon.total_seconds() / 2 * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load
            message = f"{key[0]} at {key[1].value} priority is busy, and this tenant has used up its share of it"
            raise RateExceeded(message, retry_after=timedelta(seconds=wait))
        step = MAX_CHUNK_DELIVERIES / clock.per_second
        parts = math.ceil(count / MAX_CHUNK_DELIVERIES)
        return [datetime.fromtimestamp(start + part * step, UTC) for part in range(parts)]

    async def is_now(self, turn: datetime, within_seconds: float) -> bool:
        """Whether a turn begins that soon."""
        return turn.timestamp() - await self._leases.now() < within_seconds

    def _clock(self, key: LaneKey, tenant: TenantId) -> _Clock:
        if len(self._clocks) >= _MOST_CLOCKS:
            self._clocks.clear()  # turns that were held are lost
        return self._clocks.setdefault((key, tenant), _Clock())

    async def _lease_more(
        self, account: str, clock: _Clock, count: int, per_second: float, horizon: timedelta
    ) -> float | None:
        """When the newly leased turns for ``count`` begin; None when that would be beyond the horizon."""
        now = await self._leases.now()
        deliveries = count * max(1, round(per_second * _AHEAD_SECONDS / count))  # so that nothing is left over
        seconds = deliveries / per_second
        start = await self._leases.lease(account, 0, seconds, now, now + horizon.total_seconds())
        if start is None:
            clock.refused_until = now + _REFUSED_SECONDS
            return None
        clock.starts_at, clock.held, clock.per_second = start, deliveries, per_second
        return clock.take(count, now)
