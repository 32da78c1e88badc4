"""Record what a chunk's attempts came to, put what is given up aside, and announce all of it.

Takes the verdicts of attempts whose claim this worker holds; gives patches in the store, dead letters, and one status
event. The store is the record, the event an announcement: a message that comes back announces again what is recorded.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from shared.contracts.events import NotificationStatus, StatusItem, SubmittedTemplate
from shared.domain.chunk import Chunk
from shared.domain.notification import Notification
from shared.domain.outcome import ClaimRefusal, NotClaimed, Outcome
from shared.domain.status import DeliveryStatus
from shared.domain.targets import with_reach
from shared.domain.verdict import Verdict
from shared.pipeline.announce import publish_status
from shared.pipeline.dead_letters import ENDS_BADLY, Ended, dead_letter
from shared.pipeline.operations import brake
from shared.pipeline.services import Services
from shared.pipeline.store_outage import while_store_is_away
from shared.pipeline.suppressions import heed_refusals

logger = logging.getLogger(__name__)


async def record_outcomes(
    judged: Sequence[tuple[Notification, Verdict]], chunk: Chunk, claim_id: str, services: Services
) -> None:
    """What attempts came to is in the store, given up or announced as it should be.

    Raises:
        StoreUnavailable, PublishFailed: some of it is not; when the message comes back, what was recorded is announced.
    """
    now = services.clock.now()
    results = [
        (notification, _outcome(notification, result, chunk.channel, claim_id, now)) for notification, result in judged
    ]
    outcomes = [outcome for _, outcome in results]
    # What was sent but not recorded is in doubt, so a store that is away is worth waiting for.
    await while_store_is_away(
        lambda: services.notifications.record_outcomes(chunk.partition_key, outcomes), services.patience.store
    )
    await heed_refusals(
        [
            (notification.tenant_id, chunk.channel, notification.deliveries[chunk.channel].address, outcome.reason)
            for notification, outcome in results
            if outcome.status is DeliveryStatus.FAILED
        ],
        services,
    )
    await dead_letter(
        [
            Ended(
                notification,
                chunk.channel,
                outcome.status,
                outcome.reason,
                (*notification.deliveries[chunk.channel].attempts[:-1], outcome.attempt),
            )
            for notification, outcome in results
            if outcome.status in ENDS_BADLY
        ],
        services,
    )
    awaited = any(notification.awaited for notification, _ in results)
    await publish_status(_status_event(chunk, outcomes, services), services, awaited=awaited)
    services.brakes.note_outcomes(results, now)
    await brake(services)


def _outcome(notification: Notification, judged: Verdict, channel: str, claim_id: str, now: datetime) -> Outcome:
    result = with_reach(judged, notification.deliveries[channel].attempts[:-1])
    return Outcome(
        tracking_id=notification.tracking_id,
        channel=channel,
        claim_id=claim_id,
        status=result.status,
        attempt=result.attempt,
        at=now,
        reason=result.reason,
        wake_at=result.wake_at,
        due_at=result.due_at,
        expires_at=notification.expires_at,
    )


def _status_event(chunk: Chunk, outcomes: Sequence[Outcome], services: Services) -> NotificationStatus:
    return NotificationStatus(
        tenant_id=chunk.tenant_id,
        occurred_at=services.clock.now(),
        correlation_id=chunk.correlation_id,
        traceparent=chunk.traceparent,
        partition_key=chunk.partition_key,
        channel=chunk.channel,
        priority=chunk.lane,
        category=chunk.category,
        template=SubmittedTemplate.of(chunk.template),
        recorded=True,
        items=[
            StatusItem(
                tracking_id=outcome.tracking_id,
                status=outcome.status,
                attempt=outcome.attempt.number,
                provider=outcome.attempt.provider,
                provider_message_id=outcome.attempt.provider_message_id,
                reason=outcome.reason,
                timestamp=outcome.at,
                due_at=outcome.due_at,
                expires_at=outcome.expires_at if outcome.due_at else None,
            )
            for outcome in outcomes
        ],
    )


async def announce_known(chunk: Chunk, refused: Sequence[NotClaimed], services: Services) -> None:
    """Says again what an earlier copy of the message recorded and may have died before saying. Raises PublishFailed."""
    wanted = {item.tracking_id: item.attempt for item in chunk.items}
    outcomes, ended = [], []
    for answer in refused:
        if answer.refusal is ClaimRefusal.UNKNOWN:
            logger.warning("No such notification", extra={"tracking_id": answer.tracking_id})
        if answer.refusal is not ClaimRefusal.DONE or answer.notification is None:
            continue
        delivery = answer.notification.deliveries[chunk.channel]
        if delivery.attempt == wanted[answer.tracking_id] and delivery.attempts:
            outcomes.append(
                Outcome(
                    tracking_id=answer.tracking_id,
                    channel=chunk.channel,
                    claim_id="",
                    status=delivery.status,
                    attempt=delivery.attempts[-1],
                    at=delivery.attempts[-1].finished_at or services.clock.now(),
                    reason=delivery.reason,
                    due_at=delivery.due_at,
                    expires_at=answer.notification.expires_at,
                )
            )
            if delivery.status in ENDS_BADLY:
                ended.append(
                    Ended(answer.notification, chunk.channel, delivery.status, delivery.reason, delivery.attempts)
                )
    await dead_letter(ended, services)
    if outcomes:
        awaited = any(answer.notification.awaited for answer in refused if answer.notification)
        await publish_status(_status_event(chunk, outcomes, services), services, awaited=awaited)
