"""Cancel: a consumer takes a notification back, as far as it is not sent.

First a mark on the notification, after which no attempt begins any more; then its deliveries. A crash in between leaves
deliveries that nobody can claim, and the change feed or the sweeper ends them (fallback.py). What a worker is sending
at this moment goes on: it is too late for that, but it is not tried again.
"""

import logging

from shared.contracts.events import NotificationStatus, StatusItem
from shared.contracts.http_api import NotificationView
from shared.domain.errors import NotFound, PublishFailed
from shared.domain.identifiers import TrackingId, is_tracking_id
from shared.domain.notification import Delivery, Notification
from shared.domain.status import WITHDRAWABLE, DeliveryStatus
from shared.pipeline.announce import publish_status
from shared.pipeline.fallback import move_on
from shared.pipeline.notifications import view_of
from shared.pipeline.services import Services
from shared.ports import Caller

logger = logging.getLogger(__name__)

_NEVER_SENT = frozenset({DeliveryStatus.SUPPRESSED, DeliveryStatus.EXPIRED})


async def cancel_notification(tracking_id: str, caller: Caller, services: Services) -> NotificationView:
    """The notification's status, and of each delivery whether it was cancelled or it was too late. May be repeated.

    Raises:
        NotFound: there is no such notification in the caller's tenant.
        StoreUnavailable: perhaps nothing is cancelled; a repeat finishes it.
    """
    if not is_tracking_id(tracking_id):
        raise NotFound(tracking_id)
    wanted = TrackingId(tracking_id)
    marked = await services.notifications.cancel(caller.tenant_id, wanted, services.clock.now())
    if await move_on([marked], services) and marked.awaited:
        await _tell_waiters(marked, services)
    notification = await services.notifications.read(caller.tenant_id, wanted)
    view = view_of(notification)
    deliveries = [
        told.model_copy(update={"cancellation": _cancellation(notification.deliveries[told.channel])})
        for told in view.deliveries
    ]
    return view.model_copy(update={"deliveries": deliveries})


def _cancellation(delivery: Delivery) -> str:
    """What the cancellation means for one delivery: ``cancelled``, ``too_late``, or ``not_sent`` without it."""
    if delivery.status is DeliveryStatus.CANCELLED or delivery.status in WITHDRAWABLE:
        return "cancelled"  # no attempt can begin any more
    return "not_sent" if delivery.status in _NEVER_SENT else "too_late"


async def _tell_waiters(notification: Notification, services: Services) -> None:
    """Whoever waits for the outcomes of these channels hears that they were cancelled, if the broker is there."""
    now = services.clock.now()
    for delivery in notification.deliveries.values():
        if delivery.status not in WITHDRAWABLE:
            continue
        item = StatusItem(
            tracking_id=notification.tracking_id,
            status=DeliveryStatus.CANCELLED,
            attempt=delivery.attempt,
            timestamp=now,
        )
        event = NotificationStatus(
            tenant_id=notification.tenant_id,
            occurred_at=now,
            correlation_id=notification.correlation_id,
            traceparent=notification.traceparent,
            partition_key=notification.partition_key,
            channel=delivery.channel,
            priority=notification.lane,
            recorded=True,
            items=[item],
        )
        try:
            await publish_status(event, services, awaited=True)
        except PublishFailed:
            logger.info("Waiters not told", extra={"tracking_id": notification.tracking_id})
            return
