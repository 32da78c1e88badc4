"""Deliveries that ended badly, put where an operator finds them, when there is something that an operator can do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from shared.contracts.dead_letter_documents import letter_document
from shared.contracts.events import BusMessage, dead_letter_message
from shared.domain.dead_letter import DeadDelivery, DeadLetter, Tag, name_of, tag_of_delivery
from shared.domain.notification import Attempt, Notification
from shared.domain.status import DeliveryStatus
from shared.pipeline.services import DEAD_LETTERS, Services

ENDS_BADLY = frozenset({DeliveryStatus.FAILED, DeliveryStatus.EXPIRED})


@dataclass(frozen=True, slots=True)
class Ended:
    """A delivery that is not tried again, why, and all its attempts."""

    notification: Notification
    channel: str
    status: DeliveryStatus
    reason: str | None
    attempts: Sequence[Attempt]


async def dead_letter(ended: Iterable[Ended], services: Services) -> None:
    """Those of the deliveries that somebody may have to act on are on the dead-letter queue. Raises PublishFailed.

    But for one that another channel takes over from: whoever replayed it would send what that one sends already.
    """
    messages = [message_of(letter) for each in ended if (letter := _letter(each, services))]
    if messages:
        await services.publisher.publish(DEAD_LETTERS, messages)


def message_of(letter: DeadLetter) -> BusMessage:
    """The dead letter as it goes onto its queue; every copy has the same id there."""
    return dead_letter_message(
        letter_document(letter), message_id=f"{name_of(letter.story)}.dead", tag=letter.tag.value
    )


def _letter(ended: Ended, services: Services) -> DeadLetter | None:
    notification, attempts = ended.notification, tuple(ended.attempts)
    last = attempts[-1] if attempts else None
    tag = tag_of_delivery(ended.status, ended.reason, last)
    if tag is None or (tag is not Tag.POISON and _is_followed(notification)):
        return None
    # Not the time of writing: a copy that is published after a crash must be the same letter.
    dead_since = (last.finished_at or last.claimed_at) if last else notification.created_at
    return DeadLetter(
        tenant_id=notification.tenant_id,
        tag=tag,
        reason=ended.reason or tag.value,
        dead_since=dead_since,
        filed_at=services.clock.now(),
        story=DeadDelivery(
            tracking_id=notification.tracking_id,
            channel=ended.channel,
            lane=notification.lane,
            category=notification.category,
            template=notification.template,
            expires_at=notification.expires_at,
            attempt=last.number if last else 0,
            attempts=attempts,
        ),
    )


def _is_followed(notification: Notification) -> bool:
    return any(delivery.status is DeliveryStatus.STANDBY for delivery in notification.deliveries.values())
