"""Channels in turn, and whatever else is decided against: the one place that moves deliveries nobody is sending.

Takes notifications as somebody saw them (the change feed, the sweeper, a consumer who cancels), applies the rules of
domain/fallback.py as conditional patches, and puts the channels that take over on the bus. A decision that rests on
what is no longer so changes nothing: the change that overtook it is seen too. A crash after the patch leaves a queued
delivery with a wake-up time, which the sweeper publishes.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from shared.contracts.stored_documents import notification_of
from shared.domain.chunk import chunks_of_first_attempts
from shared.domain.fallback import is_settled, next_steps
from shared.domain.identifiers import PartitionKey, TrackingId
from shared.domain.notification import Notification
from shared.domain.outcome import Step
from shared.domain.status import DeliveryStatus
from shared.pipeline.announce import publish_or_leave
from shared.pipeline.services import Services

logger = logging.getLogger(__name__)

MAX_STEPS = 50  # steps recorded in one call


class Waiters(Protocol):
    """Whoever waits synchronously for a notification as a whole."""

    async def settle(self, tracking_id: TrackingId) -> None:
        """Wakes them, if there are any. Never raises."""
        ...


def concerned(documents: Iterable[Mapping[str, Any]]) -> list[Notification]:
    """The notifications among changed documents that have channels in turn, or were cancelled; others cost nothing."""
    found = []
    for document in documents:
        if document["type"] == "notification" and ("fallback" in document or "cancelledAt" in document):
            try:
                found.append(notification_of(document))
            except (KeyError, TypeError, ValueError):
                # It would be shown again for ever, and nothing behind it.
                logger.exception("Notification not readable", extra={"tracking_id": document.get("id")})
    return found


async def move_on(notifications: Sequence[Notification], services: Services) -> int:
    """How many steps were made: channels that took over, stood down, were cancelled, or will be looked at later.

    Raises:
        StoreUnavailable: some may not have been; whoever showed the notifications should show them again.
    """
    now = services.clock.now()
    steps: dict[PartitionKey, list[tuple[Notification, Step]]] = defaultdict(list)
    for notification in notifications:
        for step in _decided(notification, now, services):
            steps[notification.partition_key].append((notification, step))
    made = 0
    for partition, group in steps.items():
        for start in range(0, len(group), MAX_STEPS):
            made += await take(partition, group[start : start + MAX_STEPS], services)
    return made


def _decided(notification: Notification, now: datetime, services: Services) -> Sequence[Step]:
    try:
        return next_steps(notification, now, services.patience.publish)
    except Exception:
        # A fault of ours about one notification would be shown again for ever, and nothing behind it.
        logger.exception("Nothing could be decided", extra={"tracking_id": notification.tracking_id})
        return ()


async def take(partition: PartitionKey, group: Sequence[tuple[Notification, Step]], services: Services) -> int:
    """How many of the steps, all in one partition, were made; what they queue is on its way.

    Raises StoreUnavailable.
    """
    done = await services.notifications.record_steps(partition, [step for _, step in group])
    won = [pair for pair, is_ours in zip(group, done, strict=True) if is_ours]
    queued = [
        (notification, replace(notification.deliveries[move.channel], due_at=step.at))
        for notification, step in won
        for move in step.moves
        if move.status is DeliveryStatus.QUEUED
    ]
    for notification, delivery in queued:
        logger.info(
            "The next channel takes over",
            extra={"tracking_id": notification.tracking_id, "channel": delivery.channel},
        )
    await publish_or_leave(list(chunks_of_first_attempts(queued)), services)
    return len(won)


async def wake_waiters(notifications: Iterable[Notification], waiters: Waiters) -> None:
    """Whoever waits for one of these as a whole is told that it is settled. Never raises."""
    for notification in notifications:
        if notification.awaited and notification.fallback and is_settled(notification):
            await waiters.settle(notification.tracking_id)
