"""A tenant's ``requests_per_day``: notifications accepted at most from midnight to midnight (UTC), by all processes.

The count is in the store and taken from in blocks (leased_caps.py), so it is exact: never more than the quota, and what
was taken for a request that came to nothing is given back. Tenants without a quota are never counted.
"""

import random
import time
from collections.abc import Callable
from datetime import timedelta

from shared.domain.errors import RateExceeded, StoreUnavailable
from shared.domain.identifiers import TenantId
from shared.domain.window import A_CALENDAR_DAY, Count
from shared.pipeline.leased_caps import LeasedCaps

DAY_SECONDS = 24 * 3600
_SPREAD_SECONDS = 60.0  # after midnight, so that not everybody comes back in the same second
_MOST_TENANTS = 10_000


class Quotas:
    """Counts notifications within the tenants' quotas."""

    def __init__(self, caps: LeasedCaps, seconds: Callable[[], float] = time.time) -> None:
        self._caps = caps
        self._seconds = seconds
        self._buckets: dict[TenantId, int] = {}

    async def take(self, tenant: TenantId, wanted: int, per_day: int) -> None:
        """Nothing, when ``wanted`` more are within the quota; they count from here on.

        While the store is away nobody is refused for a quota: what follows needs the store itself.

        Raises:
            RateExceeded: they are not.
        """
        try:
            bucket = await self._caps.take(_count(tenant), wanted, per_day)
        except StoreUnavailable:
            return
        if bucket is None:
            wait = self.seconds_to_midnight() + random.uniform(0, _SPREAD_SECONDS)  # noqa: S311 - spreads load
            raise RateExceeded(
                f"more than {per_day} notifications a day", retry_after=timedelta(seconds=wait), per_day=per_day
            )
        if len(self._buckets) >= _MOST_TENANTS:
            self._buckets.clear()  # who had something to give back has not
        self._buckets[tenant] = bucket

    def give_back(self, tenant: TenantId, amount: int) -> None:
        """``amount`` of what was taken came to nothing; a day that is over keeps it."""
        if amount and tenant in self._buckets:
            self._caps.give_back(_count(tenant), amount, self._buckets[tenant])

    def left(self, tenant: TenantId, per_day: int) -> int | None:
        """How many are left, as far as this process knows; what other processes took and hold is used."""
        return self._caps.left(_count(tenant), per_day)

    def seconds_to_midnight(self) -> float:
        """How long today's quota lasts."""
        return DAY_SECONDS - self._seconds() % DAY_SECONDS


def _count(tenant: TenantId) -> Count:
    return Count(f"quota:{tenant}", "requests", A_CALENDAR_DAY)
