"""Guards a tenant's SMS against being pumped: countries that are allowed, receipts that make sense, and velocity.

Takes the country of one SMS, gives whether it may go, when it may, or why it will not. What comes too fast waits for a
turn of its country, for a quarter of an hour at most; a warning says so where somebody must look.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.domain.identifiers import TenantId
from shared.domain.sms_pumping import LONGEST_WAIT, Signal
from shared.domain.suppression import Suppression
from shared.domain.tenant_policy import TenantPolicy
from shared.domain.window import A_MINUTE, Count
from shared.pipeline.call_limits import LeaseStore
from shared.pipeline.leased_caps import LeasedCaps
from shared.pipeline.sms_records import SmsRecords

logger = logging.getLogger(__name__)

_WARN_AGAIN_AFTER_SECONDS = 600.0  # of the same thing, in one process
_MOST_WARNED = 10_000
# The count of a minute lets go of what it counted up to a bucket late, so that is how fast those who wait may follow.
_TURN_SECONDS = A_MINUTE.seconds + A_MINUTE.bucket_seconds


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now; there is a turn in so many seconds."""

    seconds: float


class SmsGuard:
    """Judges SMS one by one. ``default_per_minute`` holds for tenants whose policy has no velocity; None: no limit."""

    def __init__(
        self,
        caps: LeasedCaps,
        records: SmsRecords,
        leases: LeaseStore,
        default_per_minute: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._caps = caps
        self._records = records
        self._leases = leases
        self._default_per_minute = default_per_minute
        self._monotonic = monotonic
        self._queued_until: dict[tuple[TenantId, str], float] = {}
        self._warned: dict[tuple[TenantId, str, Signal], float] = {}

    def watches(self, policy: TenantPolicy) -> bool:
        """Whether a tenant's SMS are guarded at all."""
        return (
            policy.sms_countries is not None or policy.daily_spend is not None or self._per_minute(policy) is not None
        )

    def learns(self, policy: TenantPolicy) -> bool:
        """Whether receipts of a tenant's SMS are of use."""
        return policy.sms_countries is None and self.watches(policy)

    async def note_receipt(self, tenant: TenantId, country: str, *, delivered: bool, now: float) -> None:
        """One more receipt. Raises StoreUnavailable."""
        await self._records.note_receipt(tenant, country, delivered=delivered, now=now)

    async def refuses(self, tenant: TenantId, country: str, policy: TenantPolicy, now: float) -> Suppression | None:
        """Why no SMS may go to the country; None when it may. Raises StoreUnavailable."""
        if policy.sms_countries is not None:
            return None if country in policy.sms_countries else Suppression.COUNTRY_NOT_ALLOWED
        if (await self._records.receipts(tenant, country, now)).look_pumped:
            self.warn(tenant, country, Signal.LOW_DELIVERY)
            return Suppression.LOW_DELIVERY
        return None

    async def turn(
        self, tenant: TenantId, country: str, policy: TenantPolicy, *, has_waited: bool
    ) -> Wait | Suppression | None:
        """None when the SMS may go now, which counts; else how long it waits, or why it will not go.

        What ``has_waited`` goes before what has just come. Raises StoreUnavailable.
        """
        per_minute = self._per_minute(policy)
        if per_minute is None:
            return None
        here = (tenant, country)
        now = await self._leases.now()
        is_open = has_waited or self._queued_until.get(here, 0.0) <= now
        count = Count(f"sms:{tenant}", f"minute-{country}", A_MINUTE)
        if is_open and await self._caps.take(count, 1, per_minute) is not None:
            return None
        seconds = _TURN_SECONDS / per_minute
        latest = now + LONGEST_WAIT.total_seconds()
        start = await self._leases.lease(f"sms-turns:{tenant}:{country}", 0, seconds, now + seconds, latest)
        if start is None:
            self.warn(tenant, country, Signal.VELOCITY)
            return Suppression.TOO_MANY_TO_COUNTRY
        if len(self._queued_until) >= _MOST_WARNED:
            self._queued_until.clear()
        self._queued_until[here] = start
        return Wait(start - now)

    def warn(self, tenant: TenantId, country: str, signal: Signal) -> None:
        """One warning in ten minutes for whoever watches."""
        now = self._monotonic()
        what = (tenant, country, signal)
        if now - self._warned.get(what, float("-inf")) < _WARN_AGAIN_AFTER_SECONDS:
            return
        if len(self._warned) >= _MOST_WARNED:
            self._warned.clear()
        self._warned[what] = now
        logger.warning("SMS pumping suspected", extra={"tenant_id": tenant, "country": country, "signal": signal.value})

    def _per_minute(self, policy: TenantPolicy) -> int | None:
        return policy.max_sms_per_prefix_per_minute or self._default_per_minute
