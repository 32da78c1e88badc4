"""Deliveries we gave up on, put where an operator finds them: ids and history, no address and no content."""

from collections.abc import Sequence

from shared.contracts.events import dead_letter_message
from shared.contracts.stored_documents import attempt_document
from shared.domain.notification import Attempt, Notification
from shared.domain.verdict import EXHAUSTED
from shared.pipeline.services import DEAD_LETTERS, Services

# Nobody's address is wrong and no provider is away: a template and its data don't fit, and somebody has to mend them.
TEMPLATE_FAULTS = frozenset({"template_unusable", "content_refused"})
GIVEN_UP = TEMPLATE_FAULTS | {EXHAUSTED}  # reasons of a failed delivery that is a dead letter


async def dead_letter(given_up: Sequence[tuple[Notification, str, Sequence[Attempt]]], services: Services) -> None:
    """Each (notification, channel, attempts) is on the dead-letter queue. Raises PublishFailed."""
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
            tag="poison" if attempts and attempts[-1].reason in TEMPLATE_FAULTS else "exhausted",
        )
        for notification, channel, attempts in given_up
    ]
    await services.publisher.publish(DEAD_LETTERS, messages)
