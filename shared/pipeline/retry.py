"""The steps of a delivery's retries.

The orchestration (functions/orchestrations.py) owns the waiting, not the deciding: whether there is a next attempt,
and when, was decided with the outcome and stands in the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.contracts.events import NotificationStatus, StatusItem, SubmittedTemplate
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Category, Lane
from shared.domain.status import DeliveryStatus
from shared.pipeline.announce import publish_chunks
from shared.pipeline.services import Services

RETRY_ORCHESTRATION = "retry_delivery"


class Orchestrations(Protocol):
    """Durable orchestrations, as this service uses them."""

    async def start(self, name: str, instance_id: str, argument: dict[str, object]) -> bool:
        """Whether a new instance was started; False when one with this id is alive."""
        ...

    async def raise_event(self, instance_id: str, event: str, argument: dict[str, object]) -> bool:
        """Whether the instance was alive to hear the event."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedRetry:
    """The next attempt of one delivery."""

    tenant_id: str
    partition_key: str
    tracking_id: str
    channel: str
    lane: str
    attempt: int
    due_at: str
    expires_at: str | None = None
    category: str | None = None
    template: Mapping[str, str] | None = None

    @property
    def instance_id(self) -> str:
        """The orchestration of this delivery's retries; one at a time."""
        return f"{self.tracking_id}:{self.channel}"

    def to_argument(self) -> dict[str, object]:
        """Plain JSON for the orchestration."""
        return {
            "tenantId": self.tenant_id,
            "partitionKey": self.partition_key,
            "trackingId": self.tracking_id,
            "channel": self.channel,
            "lane": self.lane,
            "attempt": self.attempt,
            "dueAt": self.due_at,
            **({"expiresAt": self.expires_at} if self.expires_at else {}),
            **({"category": self.category} if self.category else {}),
            **({"template": dict(self.template)} if self.template else {}),
        }


async def continue_retries(event: NotificationStatus, orchestrations: Orchestrations, services: Services) -> None:
    """Every delivery in the event that is to be tried again has an orchestration that will, and knows when."""
    for item in event.items:
        due_at = item.due_at or services.clock.now()
        planned = PlannedRetry(
            tenant_id=event.tenant_id,
            partition_key=event.partition_key,
            tracking_id=item.tracking_id,
            channel=event.channel,
            lane=event.priority.value,
            attempt=item.attempt + 1,
            due_at=due_at.isoformat(),
            expires_at=item.expires_at.isoformat() if item.expires_at else None,
            category=event.category.value if event.category else None,
            template=event.template.model_dump() if event.template else None,
        )
        heard = item.attempt > 1 and await orchestrations.raise_event(
            planned.instance_id, attempt_event(item.attempt), _told(item, due_at)
        )
        if item.status is DeliveryStatus.RETRYING and not heard:
            await orchestrations.start(RETRY_ORCHESTRATION, planned.instance_id, planned.to_argument())


def attempt_event(attempt: int) -> str:
    """The event that tells an orchestration what attempt number ``attempt`` came to; a name of its own each time."""
    return f"attempt-{attempt}"


def _told(item: StatusItem, due_at: datetime) -> dict[str, object]:
    return {"status": item.status.value, "dueAt": due_at.isoformat()}


async def requeue_delivery(argument: dict[str, object], services: Services) -> None:
    """The next attempt is on its way to the delivery function of its channel and lane. Raises PublishFailed."""
    expires_at = argument.get("expiresAt")
    item = ChunkItem(
        TrackingId(str(argument["trackingId"])),
        int(str(argument["attempt"])),
        expires_at=datetime.fromisoformat(str(expires_at)) if expires_at else None,
    )
    chunk = Chunk(
        tenant_id=TenantId(str(argument["tenantId"])),
        partition_key=PartitionKey(str(argument["partitionKey"])),
        channel=str(argument["channel"]),
        lane=Lane(str(argument["lane"])),
        items=(item,),
        category=Category(str(argument["category"])) if "category" in argument else None,
        template=SubmittedTemplate.model_validate(argument["template"]).to_domain() if "template" in argument else None,
    )
    await publish_chunks([chunk], services)
