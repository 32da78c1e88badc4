"""What a consumer is called back with, and the messages in which callbacks wait.

The body and headers follow Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks, read 2026-11-24).
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from shared.contracts.events import BusMessage
from shared.contracts.stored_documents import stamp


class CallbackData(BaseModel):
    """What happened."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    tracking_id: str
    channel: str
    status: str
    reference: str | None = None
    reason: str | None = None


class CallbackBody(BaseModel):
    """What a consumer's endpoint is posted; ``timestamp`` is when it happened, not when it was told."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    type: str
    timestamp: str
    data: CallbackData


class CallbackItem(BaseModel):
    """One status change that one endpoint is to hear of."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    tracking_id: str
    channel: str
    status: str
    at: AwareDatetime
    reference: str | None = None
    reason: str | None = None

    @property
    def webhook_id(self) -> str:
        """The same for every try: the consumer's idempotency key."""
        return f"{self.tracking_id}.{self.channel}.{self.status}"

    def body(self) -> bytes:
        """The callback's JSON."""
        told = CallbackBody(
            type=f"notification.{self.status.lower()}",
            timestamp=stamp(self.at),
            data=CallbackData(
                tracking_id=self.tracking_id,
                channel=self.channel,
                status=self.status,
                reference=self.reference,
                reason=self.reason,
            ),
        )
        return told.model_dump_json(by_alias=True, exclude_none=True).encode()


class EndpointEventData(BaseModel):
    """Which endpoint an operational event is about, and why."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    endpoint_id: str
    reason: str | None = None
    failing_since: str | None = None


class EndpointEventBody(BaseModel):
    """What the tenant's other endpoints are posted about one of its endpoints, and what a test posts to its own."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    type: Literal["callback-endpoint.disabled", "callback-endpoint.test"]
    timestamp: str
    data: EndpointEventData


class EndpointEventItem(BaseModel):
    """An event about an endpoint. ``key`` tells it from others of its kind."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    event: Literal["disabled", "test"]
    about_endpoint: str
    key: str
    at: AwareDatetime
    reason: str | None = None
    failing_since: AwareDatetime | None = None

    @property
    def webhook_id(self) -> str:
        """The same for every try: the consumer's idempotency key."""
        return f"{self.about_endpoint}.{self.event}.{self.key}"

    def body(self) -> bytes:
        """The event's JSON."""
        told = EndpointEventBody(
            type=f"callback-endpoint.{self.event}",
            timestamp=str(stamp(self.at)),
            data=EndpointEventData(
                endpoint_id=self.about_endpoint, reason=self.reason, failing_since=stamp(self.failing_since)
            ),
        )
        return told.model_dump_json(by_alias=True, exclude_none=True).encode()


class CallbackBatch(BaseModel):
    """Callbacks of one endpoint, at one try; about notifications of one partition, or about an endpoint.

    Attributes:
        attempt: the number of the try that comes next; deferrals burn none.
        waits: whether its callbacks are marked as waiting for the endpoint to get well.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    schema_version: Literal[1] = 1
    tenant_id: str
    partition_key: str
    endpoint_id: str
    attempt: int = 1
    deferrals: int = 0
    waits: bool = False
    items: list[CallbackItem | EndpointEventItem]

    def deferred(self, items: Sequence[CallbackItem | EndpointEventItem], *, waits: bool = False) -> "CallbackBatch":
        """The same try of ``items``, later."""
        changes = {"deferrals": self.deferrals + 1, "waits": self.waits or waits, "items": list(items)}
        return self.model_copy(update=changes)

    def next_try(self, items: Sequence[CallbackItem | EndpointEventItem]) -> "CallbackBatch":
        """The next try of ``items``."""
        return self.model_copy(update={"attempt": self.attempt + 1, "waits": False, "items": list(items)})

    def to_message(self, due_at: datetime | None = None) -> BusMessage:
        """The queue message. Its id follows from its content, so the broker drops a batch fired twice."""
        parts = [self.endpoint_id, f"{self.attempt}.{self.deferrals}", *(item.webhook_id for item in self.items)]
        return BusMessage(
            body=self.model_dump_json(by_alias=True, exclude_none=True).encode(),
            message_id=_digest(parts),
            properties={"schemaVersion": self.schema_version},
            due_at=due_at,
        )


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
