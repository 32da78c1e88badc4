"""Take receipts in: verify, parse, put on the bus.

Takes a provider's HTTP request, gives what it is to hear, mostly nothing; the tracker (track.py) records what it says.
The provider hears 2xx only after the broker has the events, so a receipt is never lost between them and us.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from shared.contracts.events import BusMessage, NotificationStatus, StatusItem, status_message
from shared.domain.errors import NotFound
from shared.domain.identifiers import AttemptRef, PartitionKey, TenantId, partition_of
from shared.domain.receipt import Receipt
from shared.domain.status import status_of_receipt
from shared.pipeline.owners import with_tenants
from shared.pipeline.replies import hears_replies, heed_replies
from shared.pipeline.services import STATUS, Services
from shared.pipeline.suppressions import heed_receipts
from shared.ports import ReceiptRequest


@runtime_checkable
class AnswersHandshakes(Protocol):
    """A receipt source whose vendor asks whether it may post, before it does."""

    def handshake(self, request: ReceiptRequest) -> bytes | None:
        """The JSON that a verified request asks for; None when it is no handshake. Raises InvalidSubmission."""
        ...


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a provider's request: how many events were taken (engagement is none), and what it is to hear."""

    events: int = 0
    answer: bytes | None = None
    media_type: str = "application/json"


async def receive_receipts(provider: str, request: ReceiptRequest, services: Services) -> Taken:
    """What came of the request.

    Raises:
        NotFound: no such provider posts receipts here.
        ReceiptNotAuthentic: the signature does not hold.
        InvalidSubmission: the body is not what the provider documents.
        PublishFailed, StoreUnavailable: the broker or the store is away; the provider should post again.
    """
    source = services.receipt_sources.get(provider)
    if source is None:
        raise NotFound(provider)
    now = services.clock.now()
    source.verify(request, now)
    answer = source.handshake(request) if isinstance(source, AnswersHandshakes) else None
    if answer is not None:
        return Taken(answer=answer)
    receipts = source.parse(request)
    by_delivery = await _by_delivery(receipts, provider, now, services)
    messages = [_message(*key, items, now) for key, items in by_delivery.items()]
    if messages:
        await services.publisher.publish(STATUS, messages)
    await heed_receipts(receipts, services)
    count = sum(map(len, by_delivery.values()))
    told = await heed_replies(source, request, services) if hears_replies(source) else None
    return Taken(count, *told) if told else Taken(count)


async def _by_delivery(
    receipts: Sequence[Receipt], provider: str, now: datetime, services: Services
) -> Mapping[tuple[TenantId, PartitionKey, str], list[StatusItem]]:
    told = [
        (reference, item)
        for receipt in receipts
        if (reference := AttemptRef.parse(receipt.attempt_id))
        and (item := _status_item(reference, receipt, provider, now))
    ]
    owned = await with_tenants([reference for reference, _ in told], services.owners)
    by_delivery: dict[tuple[TenantId, PartitionKey, str], list[StatusItem]] = defaultdict(list)
    for reference, item in told:
        if found := owned.get(reference):
            partition = partition_of(found.tenant, found.tracking_id)
            by_delivery[found.tenant, partition, found.channel].append(item)
    return by_delivery


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
