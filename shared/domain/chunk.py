"""A chunk: deliveries that travel in one bus message and share a partition, so that one write claims them all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Delivery, Lane, Notification, TemplateRef

MAX_CHUNK_DELIVERIES = 50  # a chunk's claim and its outcome each fit one transactional batch (100 operations)


@dataclass(frozen=True, slots=True)
class ChunkItem:
    """One delivery of a chunk and the attempt it is asked to make."""

    tracking_id: TrackingId
    attempt: int = 1
    customer_id: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """1 to 50 deliveries of one tenant, partition, channel, lane and template."""

    tenant_id: TenantId
    partition_key: PartitionKey
    channel: str
    lane: Lane
    items: tuple[ChunkItem, ...]
    template: TemplateRef | None = None
    due_at: datetime | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


def chunks_of(notifications: Iterable[Notification]) -> Iterator[Chunk]:
    """The first chunks of freshly accepted notifications, in order of channel."""
    pairs = [
        (notification, delivery) for notification in notifications for delivery in notification.deliveries.values()
    ]

    def shared_facts(pair: tuple[Notification, Delivery]) -> tuple[str, ...]:
        notification, delivery = pair
        template = notification.template
        return (
            notification.partition_key,
            delivery.channel,
            notification.lane,
            f"{template.id}/{template.version}/{template.locale}" if template else "",
            notification.send_at.isoformat() if notification.send_at else "",
            notification.correlation_id or "",
        )

    for _, group in groupby(sorted(pairs, key=shared_facts), key=shared_facts):
        members = list(group)
        for start in range(0, len(members), MAX_CHUNK_DELIVERIES):
            part = members[start : start + MAX_CHUNK_DELIVERIES]
            first, delivery = part[0]
            yield Chunk(
                tenant_id=first.tenant_id,
                partition_key=first.partition_key,
                channel=delivery.channel,
                lane=first.lane,
                items=tuple(
                    ChunkItem(notification.tracking_id, 1, notification.customer_id) for notification, _ in part
                ),
                template=first.template,
                due_at=first.send_at,
                correlation_id=first.correlation_id,
                traceparent=first.traceparent,
            )
