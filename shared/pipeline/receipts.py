"""Take receipts in: verify, parse, put on the bus.

Takes a provider's HTTP request, gives nothing; the tracker (track.py) records what it says. The provider hears 2xx only
after the broker has the events, so a receipt is never lost between them and us.
"""

from collections import defaultdict
from datetime import datetime

from shared.contracts.events import BusMessage, NotificationStatus, StatusItem, status_message
from shared.domain.errors import NotFound
from shared.domain.identifiers import AttemptRef, PartitionKey, TenantId, partition_of
from shared.domain.receipt import Receipt
from shared.domain.status import status_of_receipt
from shared.pipeline.services import STATUS, Services
from shared.ports import ReceiptRequest


async def receive_receipts(provider: str, request: ReceiptRequest, services: Services) -> int:
    """How many events were taken; those that change no status are none.

    Raises:
        NotFound: no such provider posts receipts here.
        ReceiptNotAuthentic: the signature does not hold.
        InvalidSubmission: the body is not what the provider documents.
        PublishFailed: the broker is away; the provider should post again.
    """
    source = services.receipt_sources.get(provider)
    if source is None:
        raise NotFound(provider)
    now = services.clock.now()
    source.verify(request, now)
    by_delivery: dict[tuple[TenantId, PartitionKey, str], list[StatusItem]] = defaultdict(list)
    for receipt in source.parse(request):
        reference = AttemptRef.parse(receipt.attempt_id)
        item = _status_item(reference, receipt, provider, now) if reference else None
        if reference and item:
            partition = partition_of(reference.tenant, reference.tracking_id)
            by_delivery[reference.tenant, partition, reference.channel].append(item)
    messages = [_message(*key, items, now) for key, items in by_delivery.items()]
    if messages:
        await services.publisher.publish(STATUS, messages)
    return sum(map(len, by_delivery.values()))


def _status_item(reference: AttemptRef, receipt: Receipt, provider: str, now: datetime) -> StatusItem | None:
    status = status_of_receipt(receipt.kind)
    if status is None:
        return None
    return StatusItem(
        tracking_id=reference.tracking_id,
        status=status,
        attempt=reference.number,
        provider=provider,
        provider_message_id=receipt.provider_message_id,
        reason=receipt.reason,
        # A provider's clock may be wrong by minutes; no receipt is from the future.
        timestamp=min(receipt.occurred_at, now),
    )


def _message(
    tenant: TenantId, partition: PartitionKey, channel: str, items: list[StatusItem], now: datetime
) -> BusMessage:
    event = NotificationStatus(
        tenant_id=tenant,
        occurred_at=now,
        partition_key=partition,
        channel=channel,
        recorded=False,
        items=items,
    )
    return status_message(event, awaited=False)
