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


class CallbackBatch(BaseModel):
    """Callbacks of one endpoint about notifications of one partition, at one try."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    schema_version: Literal[1] = 1
    tenant_id: str
    partition_key: str
    endpoint_id: str
    attempt: int = 1
    deferrals: int = 0
    items: list[CallbackItem]

    def to_message(self, due_at: datetime | None = None) -> BusMessage:
        """The queue message. Its id follows from its content, so the broker drops a batch fired twice."""
        return BusMessage(
            body=self.model_dump_json(by_alias=True, exclude_none=True).encode(),
            message_id=_digest(
                [self.endpoint_id, f"{self.attempt}.{self.deferrals}", *(item.webhook_id for item in self.items)]
            ),
            properties={"schemaVersion": self.schema_version},
            due_at=due_at,
        )


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
