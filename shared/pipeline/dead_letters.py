"""Deliveries we gave up on, put where an operator finds them: ids and history, no address and no content."""

from collections.abc import Sequence

from shared.contracts.events import dead_letter_message
from shared.contracts.stored_documents import attempt_document
from shared.domain.notification import Attempt, Notification
from shared.domain.status import DeliveryStatus
from shared.domain.verdict import EXHAUSTED
from shared.pipeline.services import DEAD_LETTERS, Services

# Nobody's address is wrong and no provider is away: a template and its data don't fit, and somebody has to mend them.
TEMPLATE_FAULTS = frozenset({"template_unusable", "content_refused"})
GIVEN_UP = TEMPLATE_FAULTS | {EXHAUSTED}  # reasons of a failed delivery that is a dead letter


async def dead_letter(given_up: Sequence[tuple[Notification, str, Sequence[Attempt]]], services: Services) -> None:
    """Each (notification, channel, attempts) is on the dead-letter queue. Raises PublishFailed.

    But for one that another channel takes over from: whoever replayed it would send what that one sends already.
    """
    given_up = [each for each in given_up if not _is_followed(*each)]
    if not given_up:
        return
    messages = [
        dead_letter_message(
            {
                "trackingId": notification.tracking_id,
                "tenantId": notification.tenant_id,
                "channel": channel,
                "lane": notification.lane.value,
                "attempts": [attempt_document(attempt) for attempt in attempts],
            },
            message_id=f"{notification.tracking_id}.{channel}.dead",
            tag="poison" if _is_template_fault(attempts) else "exhausted",
        )
        for notification, channel, attempts in given_up
    ]
    await services.publisher.publish(DEAD_LETTERS, messages)


def _is_followed(notification: Notification, _: str, attempts: Sequence[Attempt]) -> bool:
    stands_by = any(delivery.status is DeliveryStatus.STANDBY for delivery in notification.deliveries.values())
    return stands_by and not _is_template_fault(attempts)


def _is_template_fault(attempts: Sequence[Attempt]) -> bool:
    return bool(attempts) and attempts[-1].reason in TEMPLATE_FAULTS
