"""Learns from receipts whether a tenant's SMS arrive, by country: messages that nobody gets are a sign of fraud.

Takes a status event that came from receipts; counts it for tenants whose SMS are guarded and whose countries nobody
listed. Each costs a read and a write there, and nothing for all others. A count too few or too many does no harm.
"""

import logging

from shared.channels.sms import SMS
from shared.contracts.events import NotificationStatus
from shared.domain.address import PhoneNumber
from shared.domain.errors import NotFound, StoreUnavailable
from shared.domain.identifiers import TenantId, TrackingId
from shared.domain.phone_country import country_of
from shared.domain.status import DeliveryStatus
from shared.pipeline.services import Services
from shared.pipeline.sms_records import UNASSIGNED

logger = logging.getLogger(__name__)

_TELLING = {DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.BOUNCED}


async def learn_from_receipts(event: NotificationStatus, services: Services) -> None:
    """What the event says of SMS is counted, or it is not. Never raises for a store that is away."""
    if event.channel != SMS.name:
        return
    tenant = TenantId(event.tenant_id)
    policy = await services.policies.find(tenant)
    if not services.checks.guard.learns(policy):
        return
    for item in event.items:
        if item.status in _TELLING:
            try:
                country = await _country(tenant, TrackingId(item.tracking_id), services)
                delivered = item.status is DeliveryStatus.DELIVERED
                await services.checks.guard.note_receipt(
                    tenant, country, delivered=delivered, now=services.clock.now().timestamp()
                )
            except (NotFound, StoreUnavailable) as error:
                logger.info("Receipt not counted", extra={"cause": type(error).__name__})


async def _country(tenant: TenantId, tracking_id: TrackingId, services: Services) -> str:
    notification = await services.notifications.read(tenant, tracking_id)
    address = notification.deliveries[SMS.name].address
    number = address.e164 if isinstance(address, PhoneNumber) else ""
    return country_of(number) or UNASSIGNED
