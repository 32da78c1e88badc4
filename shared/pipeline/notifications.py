"""The status of a notification, as its consumer sees it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from shared.contracts.http_api import AttemptView, DeliveryView, HistoryView, NotificationView, TargetView
from shared.domain.breaker import Standing
from shared.domain.errors import NotFound
from shared.domain.identifiers import TrackingId, is_tracking_id
from shared.domain.notification import Attempt, Delivery, Notification
from shared.domain.status import DeliveryStatus, roll_up
from shared.pipeline.holds import holds_up
from shared.pipeline.services import Services
from shared.ports import Caller


async def read_status(tracking_id: str, caller: Caller, services: Services) -> NotificationView:
    """The notification's status with deliveries, attempts and history. Raises NotFound."""
    if not is_tracking_id(tracking_id):
        raise NotFound(tracking_id)
    notification = await services.notifications.read(caller.tenant_id, TrackingId(tracking_id))
    return view_of(notification, await holds_up(notification, services))


def view_of(notification: Notification, held: Mapping[str, Standing] = MappingProxyType({})) -> NotificationView:
    """The outward view; addresses, data and content stay inside. ``held`` tells what keeps a channel's delivery."""
    template = notification.template
    return NotificationView(
        tracking_id=notification.tracking_id,
        status=roll_up(delivery.status for delivery in notification.deliveries.values()),
        created_at=notification.created_at,
        priority=notification.lane.value,
        category=notification.category.value,
        customer_id=notification.customer_id,
        reference=notification.reference,
        correlation_id=notification.correlation_id,
        batch_id=notification.batch_id,
        test=notification.is_test or None,
        send_at=notification.send_at,
        expires_at=notification.expires_at,
        cancelled_at=notification.cancelled_at,
        template={"id": template.id, "version": template.version, "locale": template.locale} if template else None,
        metadata=dict(notification.metadata) or None,
        deliveries=[
            _delivery_view(delivery, held.get(delivery.channel)) for delivery in notification.deliveries.values()
        ],
        history=[
            HistoryView(
                at=entry.at,
                channel=entry.channel,
                status=entry.status.value,
                attempt=entry.attempt or None,
                provider=entry.provider,
                reason=entry.reason,
            )
            for entry in notification.history
        ],
        links={"self": f"/api/v1/notifications/{notification.tracking_id}"},
    )


def _delivery_view(delivery: Delivery, held: Standing | None) -> DeliveryView:
    return DeliveryView(
        channel=delivery.channel,
        status=delivery.status.value,
        provider=delivery.provider,
        provider_message_id=delivery.provider_message_id,
        reason=delivery.reason,
        in_doubt=delivery.was_in_doubt or None,
        due_at=delivery.due_at,
        deadline_at=delivery.deadline_at if delivery.status is DeliveryStatus.STANDBY else None,
        held_because=held.away if held else None,
        held_until=datetime.fromtimestamp(held.until, UTC) if held else None,
        attempts=[_attempt_view(attempt) for attempt in delivery.attempts],
    )


def _attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        id=attempt.id,
        provider=attempt.provider,
        routed_because=attempt.routed_because,
        started_at=attempt.claimed_at,
        finished_at=attempt.finished_at,
        outcome=attempt.outcome,
        reason=attempt.reason,
        provider_message_id=attempt.provider_message_id,
        targets=[
            TargetView(
                number=result.number,
                outcome=result.outcome,
                reason=result.reason,
                provider_message_id=result.provider_message_id,
            )
            for result in attempt.targets
        ]
        or None,
    )
