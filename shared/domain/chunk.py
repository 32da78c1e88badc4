"""A chunk: deliveries that travel in one bus message and share a partition, so that one write claims them all."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Category, Delivery, Lane, Notification, TemplateRef
from shared.domain.quick_dataclass import quick_dataclass
from shared.domain.status import DeliveryStatus

MAX_CHUNK_DELIVERIES = 50  # a chunk's claim and its outcome each fit one transactional batch (100 operations)


@quick_dataclass(frozen=True, slots=True)
class ChunkItem:
    """One delivery of a chunk and the attempt it is asked to make.

    ``expires_at`` is known for what was just accepted or swept, so that a message that is held comes back in time.
    """

    tracking_id: TrackingId
    attempt: int = 1
    customer_id: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """1 to 50 deliveries of one tenant, partition, channel, lane, category and template.

    ``due_at`` is until when the broker holds the message back. ``wanted_at`` is when the deliveries were to be sent
    (on accepting, at ``sendAt``, in their tenant's turn, after an outage); it stays as it is when they are held back
    once more, so that it tells how late they are. ``is_held`` says that a quarantine held them before. ``waited_for``
    names the limits (of a provider, of the tenant) in whose queue they have had their place already.
    """

    tenant_id: TenantId
    partition_key: PartitionKey
    channel: str
    lane: Lane
    items: tuple[ChunkItem, ...]
    template: TemplateRef | None = None
    category: Category | None = None
    due_at: datetime | None = None
    wanted_at: datetime | None = None
    is_held: bool = False
    correlation_id: str | None = None
    traceparent: str | None = None
    waited_for: frozenset[str] = frozenset()


def put_off(chunk: Chunk, until: datetime) -> list[Chunk]:
    """The chunk's deliveries, wanted only then; those that expire before, when they do, to be told so."""
    by_time: dict[datetime, list[ChunkItem]] = {}
    for item in chunk.items:
        by_time.setdefault(min(until, item.expires_at) if item.expires_at else until, []).append(item)
    return [replace(chunk, items=tuple(items), due_at=at, wanted_at=at) for at, items in by_time.items()]


def chunks_of(notifications: Iterable[Notification]) -> Iterator[Chunk]:
    """The first chunks of freshly accepted notifications, in order of channel; what stands by travels later."""
    pairs = [
        (notification, delivery)
        for notification in notifications
        for delivery in notification.deliveries.values()
        if delivery.status in {DeliveryStatus.QUEUED, DeliveryStatus.SCHEDULED}
    ]
    return chunks_of_first_attempts(pairs)


def chunks_of_first_attempts(pairs: Iterable[tuple[Notification, Delivery]]) -> Iterator[Chunk]:
    """The chunks that ask for the first attempts of these deliveries, in order of channel."""

    def shared_facts(pair: tuple[Notification, Delivery]) -> tuple[str, ...]:
        notification, delivery = pair
        template = notification.template
        return (
            notification.partition_key,
            delivery.channel,
            notification.lane,
            notification.category,
            f"{template.id}/{template.version}/{template.locale}" if template else "",
            str(_held_until(notification, delivery)),
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
                    ChunkItem(notification.tracking_id, 1, notification.customer_id, notification.expires_at)
                    for notification, _ in part
                ),
                template=first.template,
                category=first.category,
                due_at=_held_until(first, delivery),
                wanted_at=_held_until(first, delivery) or first.created_at,
                correlation_id=first.correlation_id,
                traceparent=_shared_trace(notification for notification, _ in part),
            )


def _shared_trace(notifications: Iterable[Notification]) -> str | None:
    """The trace that all of them belong to. Singles that travel together have none in common."""
    traces = {notification.traceparent for notification in notifications}
    return traces.pop() if len(traces) == 1 else None


def _held_until(notification: Notification, delivery: Delivery) -> datetime | None:
    """``sendAt``, or the delivery's own later time; None when there is nothing to wait for."""
    due_at = delivery.due_at or notification.send_at
    return due_at if due_at and due_at > notification.created_at else None
