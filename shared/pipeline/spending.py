"""A tenant's cap on spending: what messages to phone numbers may cost in any 24 hours, over all processes.

Each attempt is charged before its call, by the price book, and gets its charge back when the provider did not take it.
Countries that are new to the tenant share a part of the cap, so that fraud with paid-for messages leaves the rest to
everybody else (shared/domain/sms_pumping.py).
"""

from dataclasses import dataclass

from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId
from shared.domain.sms_pumping import NEW_COUNTRIES_SHARE, Signal, is_new
from shared.domain.tenant_policy import TenantPolicy
from shared.domain.window import A_DAY, Count
from shared.pipeline.leased_caps import LeasedCaps
from shared.pipeline.sms_records import SmsRecords


@dataclass(frozen=True, slots=True)
class _Taken:
    count: Count
    micros: int
    bucket: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one attempt was charged, in each count."""

    taken: tuple[_Taken, ...] = ()


class Spending:
    """Charges attempts within the tenants' caps."""

    def __init__(self, caps: LeasedCaps, records: SmsRecords) -> None:
        self._caps = caps
        self._records = records

    async def charge(
        self, tenant: TenantId, country: str, micros: int, policy: TenantPolicy, now: float
    ) -> Charge | Signal:
        """The attempt's charge; or which cap it would exceed, and then nothing is charged. Raises StoreUnavailable."""
        cap = policy.daily_spend
        if cap is None or micros == 0:
            return Charge()
        counts = [(Signal.SPEND_CAP, "spend", cap)]
        if policy.sms_countries is None and is_new(country, await self._records.first_sent(tenant, country, now), now):
            counts.insert(0, (Signal.NEW_COUNTRIES, "spend-new-countries", int(cap * NEW_COUNTRIES_SHARE)))
        charge = Charge()
        for signal, name, most in counts:
            count = Count(f"sms:{tenant}", name, A_DAY)
            try:
                bucket = await self._caps.take(count, micros, most)
            except StoreUnavailable:
                self.give_back(charge)
                raise
            if bucket is None:
                self.give_back(charge)
                return signal
            charge = Charge((*charge.taken, _Taken(count, micros, bucket)))
        return charge

    def give_back(self, charge: Charge) -> None:
        """The attempt cost nothing after all."""
        for taken in charge.taken:
            self._caps.give_back(taken.count, taken.micros, taken.bucket)
