"""Who carries what of a chunk: expected before the claim, decided after it, when each delivery's story is known.

Takes a chunk, the tenant's policy and the health of providers; gives each delivery its provider, or whom to wait for
and how long. What decides is in domain/routing.py. Where the preferred provider was ill and its time is up, one
delivery of one chunk in all processes is its probe.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from shared.channels import CHANNELS
from shared.domain.address import PhoneNumber
from shared.domain.breaker import Evidence, Standing
from shared.domain.capabilities import capabilities_of
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.identifiers import TrackingId
from shared.domain.notification import Delivery, Notification
from shared.domain.phone_country import country_of
from shared.domain.routing import PACING_PATIENCE, Choice, PassedOver, cheapest_first, choose, order_of
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.attempt import Assignment, Judged
from shared.pipeline.provider_health import Probe
from shared.pipeline.services import Services
from shared.ports import Provider


@dataclass(frozen=True, slots=True)
class Expected:
    """Who will most likely carry a first attempt, and why it has to wait for that one, if it has to."""

    provider: str
    wait: Standing | None = None


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A claimed delivery that nobody can carry, ever or before ``until``."""

    notification: Notification
    order: tuple[str, ...]
    choice: Choice
    until: datetime


async def find_routes(chunk: Chunk, items: Sequence[ChunkItem], services: Services) -> "Routes":
    """The ways the chunk's ``items`` may go by the tenant's policy and the providers' health. Never fails."""
    routes = Routes(chunk, await services.policies.find(chunk.tenant_id), services)
    await routes.look(items[0].tracking_id)
    return routes


class Routes:
    """The ways a chunk's deliveries may go."""

    def __init__(self, chunk: Chunk, policy: TenantPolicy, services: Services) -> None:
        self._channel = chunk.channel
        self._providers: dict[str, Provider] = {
            provider.name: provider for provider in services.providers[chunk.channel]
        }
        self.names = tuple(self._providers)
        self._policy = policy
        self._shares = policy.providers.get(chunk.channel, ())
        self._services = services
        self._standings: Mapping[str, Standing] = {}
        self._away: Mapping[str, PassedOver] = {}
        self._probe: Probe | None = None
        self._probing: TrackingId | None = None

    def provider(self, name: str) -> Provider:
        """The provider of that name, one of ``names``."""
        return self._providers[name]

    async def look(self, first: TrackingId) -> None:
        """Learns who is away. ``first`` becomes the probe of a provider that may be probed, if nobody was faster."""
        health = self._services.health
        self._standings = await health.standings(self.names)
        if not self._standings:
            return
        for name in self._order(first, None):
            standing = self._standings.get(name)
            if standing is None or not self._is_long(standing):
                break  # whom this one would rather go to can be called, or soon
            if standing.may_probe and (probe := await health.try_probe(name)):
                self._probe, self._probing = probe, first
                break
        self._standings = await health.standings(self.names)
        self._away = {name: standing.away for name, standing in self._standings.items() if standing.away}

    def expected(self, tracking_id: TrackingId) -> Expected:
        """All that can be said before the claim."""
        order = self._order(tracking_id, None)
        if self._probe and tracking_id == self._probing:
            return Expected(self._probe.account)
        long = {name: away for name, away in self._away.items() if self._is_long(self._standings[name])}
        name = choose(order, (), 1, away=long).provider or min(order, key=lambda each: self._standings[each].until)
        return Expected(name, self._standings.get(name))

    async def assign(self, notification: Notification) -> Assignment | Unassigned:
        """The claimed delivery with its provider, and why it is not the most preferred one, in the attempt's record."""
        delivery = notification.deliveries[self._channel]
        country = country_of(delivery.address.e164) if isinstance(delivery.address, PhoneNumber) else None
        preferred = self._order(notification.tracking_id, country)
        order = tuple(name for name in preferred if self._carries(name, delivery)) if len(preferred) > 1 else preferred
        choice = self._choose(notification, order)
        if choice.provider is None and not choice.is_final and await self._may_probe_after_all(notification, order):
            choice = self._choose(notification, order)
        if choice.provider is None:
            return Unassigned(notification, order, choice, self._back_at(order))
        because = PassedOver.NOT_CARRIED if order[0] != preferred[0] else choice.because
        if because:
            notification = _routed(notification, self._channel, because)
        return Assignment(notification, self._channel, self._providers[choice.provider], order)

    def _choose(self, notification: Notification, order: Sequence[str]) -> Choice:
        away = self._away
        if self._probe and notification.tracking_id == self._probing:
            away = {name: why for name, why in away.items() if name != self._probe.account}
        earlier = notification.deliveries[self._channel].counted_attempts[:-1]
        return choose(order, earlier, CHANNELS[self._channel].max_attempts, away=away)

    async def _may_probe_after_all(self, notification: Notification, order: Sequence[str]) -> bool:
        """Whether a delivery that only an ill provider could still carry is that provider's probe."""
        if self._probe:
            return False
        for name in order:
            standing = self._standings.get(name)
            if standing and standing.may_probe and (probe := await self._services.health.try_probe(name)):
                self._probe, self._probing = probe, notification.tracking_id
                return True
        return False

    def watch(self, account: str, call: asyncio.Task[Sequence[Judged]]) -> None:
        """Has the provider's health know of a call: that it is under way, and what it comes to."""
        number = self._services.health.began(account)
        call.add_done_callback(partial(self._hear, account, number))

    def _hear(self, account: str, number: int, call: asyncio.Task[Sequence[Judged]]) -> None:
        self._services.health.ended(account, number)
        if call.cancelled() or call.exception():
            return
        judged = call.result()
        is_probe = any(notification.tracking_id == self._probing for notification, _ in judged)
        probe = self._probe if is_probe and self._probe and self._probe.account == account else None
        if probe:
            self._probe = None
        self._services.health.observe(account, [verdict for _, verdict in judged], probe)

    def end(self) -> None:
        """A probe that came to nothing is somebody else's to make."""
        if self._probe:
            self._services.health.end_probe(self._probe, Evidence.NONE)
            self._probe = None

    def _order(self, tracking_id: TrackingId, country: str | None) -> tuple[str, ...]:
        order = order_of(self.names, self._shares, tracking_id) if self._shares else self.names
        if not self._policy.prefer_cheapest or len(order) == 1:
            return order
        prices = self._services.prices
        return cheapest_first(order, lambda name: prices.price_of(name, self._channel, country))

    def _carries(self, name: str, delivery: Delivery) -> bool:
        return capabilities_of(self._providers[name]).refuses(delivery.address, delivery.content) is None

    def _is_long(self, standing: Standing) -> bool:
        """Whether waiting for it is worse than going elsewhere."""
        pause = standing.until - self._services.clock.now().timestamp()
        return standing.away is PassedOver.BREAKER_OPEN or pause > PACING_PATIENCE.total_seconds()

    def _back_at(self, order: Sequence[str]) -> datetime:
        """When the first of ``order`` may be called again."""
        now = self._services.clock.now().timestamp()
        return datetime.fromtimestamp(
            min((self._standings[name].until for name in order if name in self._standings), default=now), UTC
        )


def _routed(notification: Notification, channel: str, because: PassedOver) -> Notification:
    delivery = notification.deliveries[channel]
    attempts = (*delivery.attempts[:-1], replace(delivery.attempts[-1], routed_because=because.value))
    return replace(notification, deliveries={**notification.deliveries, channel: replace(delivery, attempts=attempts)})
