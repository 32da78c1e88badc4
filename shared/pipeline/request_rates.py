"""A tenant's ``requests_per_second``: notifications accepted at most, kept by all processes together.

The clocks are those of the provider limits (ADR 0019), one for each tenant that has a limit. Unlike a provider's turns
these may be used at once, a second's worth at a time: a request that is refused is worse than one that comes early.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from shared.domain.errors import RateExceeded, StoreUnavailable
from shared.domain.identifiers import TenantId
from shared.domain.request_allowance import BURST_SECONDS, Allowance
from shared.pipeline.call_limits import LeaseStore

_ASK_AGAIN_AFTER_SECONDS = 0.25  # when the store said that nothing is left
_MOST_TENANTS = 10_000


@dataclass(slots=True)
class _Tenant:
    allowance: Allowance
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    refused_until: float = float("-inf")
    given_until: float = float("-inf")  # where the clock stands, as far as this process moved it


class RequestRates:
    """Grants requests within the tenants' limits."""

    def __init__(self, leases: LeaseStore) -> None:
        self._leases = leases
        self._tenants: dict[TenantId, _Tenant] = {}

    async def grant(self, tenant: TenantId, wanted: int, per_second: float) -> None:
        """Nothing, when ``wanted`` more notifications are within the tenant's limit; they count from here on.

        While the store is away nobody is refused for a rate: what follows needs the store itself.

        Raises:
            RateExceeded: they are not, or more than a second's worth was just accepted.
        """
        held = self._held(tenant, per_second)
        try:
            now = await self._leases.now()
            if held.allowance.grant(wanted, now):
                return
            if now >= held.refused_until:
                async with held.asking:
                    if held.allowance.grant(wanted, now) or await self._lease(tenant, held, wanted, now):
                        return
        except StoreUnavailable:
            return
        wait = max(held.given_until - now - BURST_SECONDS, wanted / per_second, 1.0)
        raise RateExceeded(
            f"more than {per_second:g} notifications a second",
            retry_after=timedelta(seconds=wait),
            per_second=per_second,
        )

    def _held(self, tenant: TenantId, per_second: float) -> _Tenant:
        held = self._tenants.get(tenant)
        if held is None or held.allowance.per_second != per_second:
            if len(self._tenants) >= _MOST_TENANTS:
                self._tenants.clear()
            held = self._tenants[tenant] = _Tenant(Allowance(per_second))
        return held

    async def _lease(self, tenant: TenantId, held: _Tenant, wanted: int, now: float) -> bool:
        """Whether ``wanted`` were leased and are taken."""
        asked = held.allowance.to_lease(wanted)
        seconds = asked / held.allowance.per_second
        start = await self._leases.lease(f"requests:{tenant}", 0, seconds, now, now + BURST_SECONDS)
        if start is None:
            held.refused_until = now + _ASK_AGAIN_AFTER_SECONDS
            return False
        held.given_until = start + seconds
        held.allowance.add(asked, now)
        return held.allowance.grant(wanted, now)
