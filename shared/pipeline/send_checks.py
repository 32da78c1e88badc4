"""The last decisions before a provider is called: may this be sent, to this customer, to this country, at this price?

Takes claimed deliveries with what their provider is to be handed; gives for each what it is charged, or why it is not
sent: withheld for good, or put off until it has a turn. Where the tenant's policy has no caps and no limits on SMS,
nobody is asked and nothing is read.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.address import PhoneNumber
from shared.domain.content import SmsContent
from shared.domain.errors import InDoubt, ProviderError, PutOff, StoreUnavailable, Transient, Withheld
from shared.domain.notification import Attempt, Notification
from shared.domain.phone_country import country_of
from shared.domain.prices import PriceBook
from shared.domain.sms_pumping import Signal
from shared.domain.sms_segments import segments_of
from shared.domain.suppression import Suppression
from shared.domain.tenant_policy import FrequencyCap, TenantPolicy
from shared.domain.verdict import Situation
from shared.pipeline.frequency import Frequency, cap_on
from shared.pipeline.sms_guard import SmsGuard, Wait
from shared.pipeline.sms_records import UNASSIGNED
from shared.pipeline.spending import Charge, Spending
from shared.ports import OutboundMessage

logger = logging.getLogger(__name__)

COUNTRY_TURN = "country_turn"  # why an SMS waits
_UNCHECKED = "not_checked"  # the store that knows is away
_CHECK_AGAIN_AFTER = timedelta(seconds=15)
_FREE = Charge()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A delivery that is about to be sent."""

    notification: Notification
    message: OutboundMessage
    situation: Situation


class SendChecks:
    """Everything that is checked, with the stores behind it."""

    def __init__(self, guard: SmsGuard, spending: Spending, frequency: Frequency, prices: PriceBook) -> None:
        self.guard = guard
        self._spending = spending
        self._frequency = frequency
        self._prices = prices

    def concern(self, channel: str, policy: TenantPolicy) -> bool:
        """Whether anything is checked for the tenant's deliveries on the channel."""
        return channel in policy.frequency_caps or self.guard.watches(policy)

    async def decide(self, candidates: Sequence[Candidate], policy: TenantPolicy) -> Sequence[Charge | ProviderError]:
        """For each candidate what it is charged, or why its provider is not called. Never raises."""
        return await asyncio.gather(*(self._decide(candidate, policy) for candidate in candidates))

    def settle(self, charge: Charge, answer: object) -> None:
        """Gives back what was charged for a call that the provider did not take."""
        if isinstance(answer, ProviderError) and not isinstance(answer, InDoubt):
            self._spending.give_back(charge)

    async def _decide(self, candidate: Candidate, policy: TenantPolicy) -> Charge | ProviderError:
        notification, message = candidate.notification, candidate.message
        cap = cap_on(notification, message.channel, policy)
        number = message.address if isinstance(message.address, PhoneNumber) else None
        if cap is None and (number is None or not self.guard.watches(policy)):
            return _FREE
        try:
            if number is None or not self.guard.watches(policy):
                return await self._within(cap, candidate) or _FREE
            return await self._to_phone(candidate, country_of(number.e164) or UNASSIGNED, cap, policy)
        except StoreUnavailable:
            return PutOff(_UNCHECKED, retry_after=_CHECK_AGAIN_AFTER)
        except Exception:
            # A fault of ours, but nothing has left.
            logger.exception("Checking failed unexpectedly", extra={"tracking_id": notification.tracking_id})
            return Transient("internal_error")

    async def _to_phone(
        self, candidate: Candidate, country: str, cap: FrequencyCap | None, policy: TenantPolicy
    ) -> Charge | ProviderError:
        """An SMS, or what else is paid for by message and country; the cheapest and the most final questions first."""
        tenant, situation = candidate.notification.tenant_id, candidate.situation
        is_sms = isinstance(candidate.message.content, SmsContent)
        now = situation.now.timestamp()
        if is_sms and (refusal := await self.guard.refuses(tenant, country, policy, now)):
            return Withheld(refusal)
        charge = await self._spending.charge(tenant, country, self._cost(candidate, country), policy, now)
        if isinstance(charge, Signal):
            self.guard.warn(tenant, country, charge)
            return Withheld(Suppression.SPEND_CAP)
        try:
            ended = await self._within(cap, candidate)
            if ended is None and is_sms:
                ended = await self._in_turn(candidate, country, policy)
        except StoreUnavailable:
            self._spending.give_back(charge)
            raise
        if ended is None:
            return charge
        self._spending.give_back(charge)
        return ended

    async def _within(self, cap: FrequencyCap | None, candidate: Candidate) -> ProviderError | None:
        if cap is None:
            return None
        notification, channel = candidate.notification, candidate.message.channel
        now = candidate.situation.now.timestamp()
        if await self._frequency.allows(notification, channel, cap, now):
            return None
        return Withheld(Suppression.FREQUENCY_CAP)

    async def _in_turn(self, candidate: Candidate, country: str, policy: TenantPolicy) -> ProviderError | None:
        situation = candidate.situation
        turn = await self.guard.turn(
            candidate.notification.tenant_id, country, policy, has_waited=_has_waited(situation.earlier)
        )
        if turn is None:
            return None
        if isinstance(turn, Wait):
            return PutOff(COUNTRY_TURN, retry_after=timedelta(seconds=turn.seconds))
        return Withheld(turn)

    def _cost(self, candidate: Candidate, country: str) -> int:
        content, message = candidate.message.content, candidate.message
        units = segments_of(content.text) if isinstance(content, SmsContent) else 1
        return self._prices.price_of(candidate.situation.provider, message.channel, country, units)


def _has_waited(earlier: Sequence[Attempt]) -> bool:
    return bool(earlier) and earlier[-1].reason == COUNTRY_TURN
