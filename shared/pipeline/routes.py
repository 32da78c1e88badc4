"""Who carries what of a chunk: expected before the claim, decided after it, when each delivery's story is known.

Takes a chunk and the tenant's policy; gives each claimed delivery its provider, or the reason why there is none. What
decides is in domain/routing.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.channels import CHANNELS
from shared.domain.address import PhoneNumber
from shared.domain.capabilities import capabilities_of
from shared.domain.chunk import Chunk
from shared.domain.identifiers import TrackingId
from shared.domain.notification import Delivery, Notification
from shared.domain.phone_country import country_of
from shared.domain.routing import Choice, PassedOver, cheapest_first, choose, order_of
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.attempt import Assignment
from shared.pipeline.services import Services
from shared.ports import Provider


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A claimed delivery that nobody can carry, now or ever."""

    notification: Notification
    order: tuple[str, ...]
    choice: Choice


async def find_routes(chunk: Chunk, services: Services) -> "Routes":
    """The ways the chunk's deliveries may go by the tenant's policy. Never fails."""
    return Routes(chunk, await services.policies.find(chunk.tenant_id), {}, services)


class Routes:
    """The ways a chunk's deliveries may go. ``away`` are providers that nobody should call at the moment."""

    def __init__(self, chunk: Chunk, policy: TenantPolicy, away: Mapping[str, PassedOver], services: Services) -> None:
        self._channel = chunk.channel
        self._providers: dict[str, Provider] = {
            provider.name: provider for provider in services.providers[chunk.channel]
        }
        self.names = tuple(self._providers)
        self._policy = policy
        self._shares = policy.providers.get(chunk.channel, ())
        self._away = away
        self._services = services

    def provider(self, name: str) -> Provider:
        """The provider of that name, one of ``names``."""
        return self._providers[name]

    def expected(self, tracking_id: TrackingId) -> str:
        """Who will most likely carry a first attempt: all that can be said before the claim."""
        order = self._order(tracking_id, None)
        return choose(order, (), 1, away=self._away).provider or order[0]

    def assign(self, notification: Notification) -> Assignment | Unassigned:
        """The claimed delivery with its provider, and why it is not the most preferred one, in the attempt's record."""
        delivery = notification.deliveries[self._channel]
        country = country_of(delivery.address.e164) if isinstance(delivery.address, PhoneNumber) else None
        preferred = self._order(notification.tracking_id, country)
        order = tuple(name for name in preferred if self._carries(name, delivery)) if len(preferred) > 1 else preferred
        choice = choose(order, delivery.attempts[:-1], CHANNELS[self._channel].max_attempts, away=self._away)
        if choice.provider is None:
            return Unassigned(notification, order, choice)
        because = PassedOver.NOT_CARRIED if order[0] != preferred[0] else choice.because
        if because:
            notification = _routed(notification, self._channel, because)
        return Assignment(notification, self._channel, self._providers[choice.provider], order)

    def _order(self, tracking_id: TrackingId, country: str | None) -> tuple[str, ...]:
        order = order_of(self.names, self._shares, tracking_id) if self._shares else self.names
        if not self._policy.prefer_cheapest or len(order) == 1:
            return order
        prices = self._services.prices
        return cheapest_first(order, lambda name: prices.price_of(name, self._channel, country))

    def _carries(self, name: str, delivery: Delivery) -> bool:
        return capabilities_of(self._providers[name]).refuses(delivery.address, delivery.content) is None


def _routed(notification: Notification, channel: str, because: PassedOver) -> Notification:
    delivery = notification.deliveries[channel]
    attempts = (*delivery.attempts[:-1], replace(delivery.attempts[-1], routed_because=because.value))
    return replace(notification, deliveries={**notification.deliveries, channel: replace(delivery, attempts=attempts)})
