"""Record what receipts say: a conditional patch for each, which moves a delivery forward or changes nothing.

Order of arrival, duplicates and clock skew make no difference (shared/domain/status.py).
"""

from shared.channels import CHANNELS
from shared.contracts.events import NotificationStatus
from shared.domain.errors import NotFound
from shared.domain.identifiers import PartitionKey, TrackingId
from shared.domain.outcome import StatusChange
from shared.domain.status import DeliveryStatus
from shared.pipeline.operations import brake
from shared.pipeline.services import Services
from shared.pipeline.sms_receipts import learn_from_receipts
from shared.pipeline.store_outage import while_store_is_away


async def track(event: NotificationStatus, services: Services) -> None:
    """Every status in the event is recorded, or overtaken by what is recorded already.

    Raises:
        NotFound: a notification or channel is not known (yet): the broker should deliver the event again.
        StoreUnavailable: likewise.
    """
    if event.channel not in CHANNELS:
        raise NotFound(event.channel)
    changes = [
        StatusChange(
            tracking_id=TrackingId(item.tracking_id),
            channel=event.channel,
            status=item.status,
            attempt=item.attempt,
            at=item.timestamp,
            provider=item.provider,
            reason=item.reason,
        )
        for item in event.items
    ]
    await while_store_is_away(
        lambda: services.notifications.record_changes(PartitionKey(event.partition_key), changes),
        services.patience.store,
    )
    await learn_from_receipts(event, services)
    bounced = sum(item.status is DeliveryStatus.BOUNCED for item in event.items)
    services.brakes.note_bounces(event.tenant_id, bounced, services.clock.now())
    await brake(services)
