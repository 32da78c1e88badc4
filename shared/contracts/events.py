"""The messages on the bus, versioned, additive only (design 5).

``NotificationSubmitted`` travels as a chunk. It names what is to be sent and where that is stored: the addresses, the
data and the content stay in ``notification-tracking`` and come back with the claim, so no personal data is on the bus.
``NotificationStatus`` reports what became of deliveries; receipts use the same message.

Readers ignore fields they don't know; a version they don't know is an undecodable message (the broker dead-letters it).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Category, Lane, TemplateRef
from shared.domain.status import DeliveryStatus

SCHEMA_VERSION: Literal[1] = 1
SOURCE = "cns"


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    tenant_id: str
    source: str = SOURCE
    occurred_at: AwareDatetime
    correlation_id: str | None = None
    traceparent: str | None = None

    def to_json(self) -> bytes:
        """The message's body."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


class SubmittedRecipient(BaseModel):
    """Whom a delivery is for; the address itself stays in the store."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    customer_id: str | None = None


class SubmittedDelivery(BaseModel):
    """One delivery of a chunk."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    tracking_id: str
    attempt: int = 1
    recipient: SubmittedRecipient = SubmittedRecipient()
    expires_at: AwareDatetime | None = None


class SubmittedTemplate(BaseModel):
    """The pinned template of a chunk."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    version: str
    locale: str

    @classmethod
    def of(cls, template: TemplateRef | None) -> "SubmittedTemplate | None":
        """The template as a message names it."""
        return cls(id=template.id, version=template.version, locale=template.locale) if template else None

    def to_domain(self) -> TemplateRef:
        """The template as a chunk names it."""
        return TemplateRef(self.id, self.version, self.locale)


class NotificationSubmitted(_Event):
    """Deliveries that are to be attempted."""

    event_type: Literal["NotificationSubmitted"] = "NotificationSubmitted"
    partition_key: str
    channel: str
    priority: Lane
    category: Category | None = None
    template: SubmittedTemplate | None = None
    wanted_at: AwareDatetime | None = None
    is_held: bool = False
    waited_for: list[str] | None = None
    deliveries: list[SubmittedDelivery]

    @classmethod
    def of(cls, chunk: Chunk, now: datetime) -> "NotificationSubmitted":
        """The message that announces ``chunk``."""
        return cls(
            tenant_id=chunk.tenant_id,
            occurred_at=now,
            correlation_id=chunk.correlation_id,
            traceparent=chunk.traceparent,
            partition_key=chunk.partition_key,
            channel=chunk.channel,
            priority=chunk.lane,
            template=SubmittedTemplate.of(chunk.template),
            category=chunk.category,
            wanted_at=chunk.wanted_at or chunk.due_at or now,
            is_held=chunk.is_held,
            waited_for=sorted(chunk.waited_for) or None,
            deliveries=[
                SubmittedDelivery(
                    tracking_id=item.tracking_id,
                    attempt=item.attempt,
                    recipient=SubmittedRecipient(customer_id=item.customer_id),
                    expires_at=item.expires_at,
                )
                for item in chunk.items
            ],
        )

    def to_chunk(self) -> Chunk:
        """The chunk inside the message."""
        return Chunk(
            tenant_id=TenantId(self.tenant_id),
            partition_key=PartitionKey(self.partition_key),
            channel=self.channel,
            lane=self.priority,
            items=tuple(
                ChunkItem(TrackingId(item.tracking_id), item.attempt, item.recipient.customer_id, item.expires_at)
                for item in self.deliveries
            ),
            template=self.template.to_domain() if self.template else None,
            category=self.category,
            wanted_at=self.wanted_at or self.occurred_at,
            is_held=self.is_held,
            correlation_id=self.correlation_id,
            traceparent=self.traceparent,
            waited_for=frozenset(self.waited_for or ()),
        )


class StatusItem(BaseModel):
    """What became of one delivery at one attempt."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    tracking_id: str
    status: DeliveryStatus
    attempt: int
    provider: str | None = None
    provider_message_id: str | None = None
    reason: str | None = None
    timestamp: AwareDatetime
    due_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None


class NotificationStatus(_Event):
    """Changes of status of deliveries in one partition, by one channel.

    ``recorded`` says whether the store knows already: outcomes are recorded by the delivery function before they are
    announced, receipts are announced first and recorded by the tracker.
    """

    event_type: Literal["NotificationStatus"] = "NotificationStatus"
    partition_key: str
    channel: str
    priority: Lane = Lane.NORMAL
    category: Category | None = None
    template: SubmittedTemplate | None = None
    recorded: bool
    items: list[StatusItem]


@dataclass(frozen=True, slots=True)
class BusMessage:
    """One message as the publisher takes it. ``properties`` are what subscriptions filter on."""

    body: bytes
    message_id: str
    properties: Mapping[str, str | bool | int]
    correlation_id: str | None = None
    due_at: datetime | None = None


def submitted_message(chunk: Chunk, now: datetime) -> BusMessage:
    """The bus message of a chunk, filtered by channel and lane, held back by the broker until it is due."""
    first = chunk.items[0]
    return BusMessage(
        body=NotificationSubmitted.of(chunk, now).to_json(),
        message_id=f"{first.tracking_id}.{chunk.channel}.{first.attempt}.{len(chunk.items)}",
        properties={"channel": chunk.channel, "lane": chunk.lane.value, "schemaVersion": SCHEMA_VERSION},
        correlation_id=chunk.correlation_id,
        due_at=chunk.due_at,
    )


def status_message(event: NotificationStatus, *, awaited: bool) -> BusMessage:
    """The bus message of a status event.

    ``awaited`` wakes synchronous waiters; ``retrying`` reaches the retry orchestrations.
    """
    retrying = any(item.status is DeliveryStatus.RETRYING or item.attempt > 1 for item in event.items)
    first = event.items[0]
    return BusMessage(
        body=event.to_json(),
        message_id=f"{first.tracking_id}.{event.channel}.{first.attempt}.{first.status}.{len(event.items)}",
        properties={
            "channel": event.channel,
            "schemaVersion": SCHEMA_VERSION,
            "recorded": event.recorded,
            "awaited": awaited,
            "retrying": retrying and event.recorded,
        },
        correlation_id=event.correlation_id,
    )


def dead_letter_message(story: Mapping[str, Any], *, message_id: str, tag: str) -> BusMessage:
    """The bus message that puts a delivery we gave up on into the dead-letter queue, with its whole history."""
    return BusMessage(body=orjson.dumps(story), message_id=message_id, properties={"tag": tag})
