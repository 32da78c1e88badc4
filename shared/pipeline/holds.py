"""Hold deliveries back while nobody can be called for them: on the bus, unclaimed, until their time comes.

Takes a part of a chunk that came too early, gives its message back to the broker with a later time. No attempt and no
delivery count is spent; the notification stays as it is. After the outage they come back at a rate, urgent ones first.
What expires before its time comes back when it expires, to be told so.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from shared.domain.breaker import PROBE_LOOK_SECONDS, Standing
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.identifiers import TenantId
from shared.domain.notification import Lane, Notification
from shared.domain.routing import order_of
from shared.domain.status import DeliveryStatus
from shared.pipeline.announce import publish_chunks
from shared.pipeline.pacing import waits_until
from shared.pipeline.services import Services

logger = logging.getLogger(__name__)

Holds = Mapping[tuple[TenantId, str, Lane], datetime]
_WAITING = {DeliveryStatus.QUEUED, DeliveryStatus.SCHEDULED, DeliveryStatus.RETRYING}


async def hold(chunk: Chunk, items: Sequence[ChunkItem], provider: str, standing: Standing, services: Services) -> None:
    """The items are on the bus again, for when ``provider`` may be called. Raises PublishFailed."""
    now = services.clock.now()
    earliest = max(standing.until, now.timestamp() + PROBE_LOOK_SECONDS)
    seconds = await services.releases.time_for(provider, chunk.lane, len(items), earliest=earliest)
    time = datetime.fromtimestamp(seconds, UTC)
    groups: dict[datetime, list[ChunkItem]] = defaultdict(list)
    for item in items:
        groups[min(time, item.expires_at) if item.expires_at else time].append(item)
    logger.info(
        "Held back",
        extra={
            "channel": chunk.channel,
            "lane": chunk.lane.value,
            "provider": provider,
            "reason": standing.away,
            "deliveries": len(items),
            "seconds": round((time - now).total_seconds()),
        },
    )
    # Wanted from then on: an outage makes nobody late, and is no reason to refuse what others ask for.
    await publish_chunks(
        [replace(chunk, items=tuple(group), due_at=due_at, wanted_at=due_at) for due_at, group in groups.items()],
        services,
    )


async def holds_over(overdue: Sequence[Notification], services: Services) -> Holds:
    """By tenant, channel and lane: until when overdue deliveries may be waiting on the bus, for a provider or a turn.

    They are late because they are held, and not because their message was lost. To publish them again would bring them
    back before their time, and all at once.
    """
    kinds = {
        (notification.tenant_id, delivery.channel, notification.lane)
        for notification in overdue
        for delivery in notification.deliveries.values()
        if delivery.status in _WAITING
    }
    found = {kind: await _held_until(*kind, services) for kind in kinds}
    return {kind: until for kind, until in found.items() if until}


async def _held_until(tenant: TenantId, channel: str, lane: Lane, services: Services) -> datetime | None:
    names = await _providers_of(tenant, channel, services)
    standings = await services.health.standings(names)
    times = [await services.releases.given_until(name, lane) for name in names if services.health.watches(name)]
    if names and len(standings) == len(names):
        times.append(min(standing.until for standing in standings.values()))
    times += [until.timestamp() for until in await waits_until(tenant, names, lane, services)]
    latest = datetime.fromtimestamp(max(times, default=0.0), UTC)
    return latest if latest > services.clock.now() else None


async def holds_up(notification: Notification, services: Services) -> Mapping[str, Standing]:
    """By channel: why a delivery that waits can't be sent at the moment, whoever might carry it, and how long."""
    found = {}
    for channel, delivery in notification.deliveries.items():
        if delivery.status not in _WAITING:
            continue
        names = await _providers_of(notification.tenant_id, channel, services)
        standings = await services.health.standings(names)
        if names and len(standings) == len(names):
            found[channel] = min(standings.values(), key=lambda standing: standing.until)
    return found


async def _providers_of(tenant: TenantId, channel: str, services: Services) -> Sequence[str]:
    """Whom the tenant's policy allows for the channel."""
    configured = [provider.name for provider in services.providers.get(channel, ())]
    policy = await services.policies.find(tenant)
    return order_of(configured, policy.providers.get(channel, ()), "")
