"""Deliver one chunk: claim, render, send, record, announce.

Takes a chunk from the bus. The claim is the attempt registry: of all copies of a message, one makes the provider call.
Outcomes are recorded item by item as they come in, so that neither a slow item nor a crash costs the others anything;
what a crashed worker leaves claimed is found by the sweeper and treated as in doubt. The status events that follow are
announcements, not the record.

Raises only when the message should come back: the store could not be reached, or an announcement failed.
"""

import asyncio
import logging
from collections.abc import Sequence
from uuid import uuid4

from shared.contracts.events import NotificationStatus, StatusItem
from shared.domain.chunk import Chunk
from shared.domain.errors import PublishFailed, StoreUnavailable
from shared.domain.notification import Notification
from shared.domain.outcome import Claimed, ClaimRefusal, NotClaimed, Outcome
from shared.domain.status import DeliveryStatus
from shared.domain.verdict import Verdict
from shared.pipeline.announce import publish_status
from shared.pipeline.attempt import Assignment, start_attempts
from shared.pipeline.dead_letters import GIVEN_UP, dead_letter
from shared.pipeline.pacing import Pace, reserve_turns
from shared.pipeline.services import Services
from shared.pipeline.store_outage import while_store_is_away

logger = logging.getLogger(__name__)

_RECORD_EVERY_SECONDS = 0.5  # how long finished items wait for slower ones of their chunk before they are recorded


async def deliver(chunk: Chunk, services: Services) -> None:
    """Every delivery of the chunk has been attempted, or is someone else's to attempt.

    Raises:
        StoreUnavailable, PublishFailed: the message should be delivered again; nothing that was sent is sent twice.
    """
    async with services.bulkhead.room_for(len(chunk.items), chunk.channel):
        claim_id = uuid4().hex
        # A claim's holder is told that it holds it however often it asks, so nothing may be asked for twice.
        distinct = list({(item.tracking_id, item.attempt): item for item in chunk.items}.values())
        wanted, pace = await reserve_turns(chunk, distinct, services.providers[chunk.channel][0].name, services)
        if not wanted:
            return
        answers = await while_store_is_away(
            lambda: services.notifications.claim(
                chunk.partition_key,
                chunk.channel,
                wanted,
                claim_id=claim_id,
                wake_at=services.clock.now() + services.patience.claim,
            ),
            services.patience.store,
        )
        claimed = [answer.notification for answer in answers if isinstance(answer, Claimed)]
        await _attempt_all(chunk, claimed, claim_id, pace, services)
        # Last, since it fails when the broker is away, and what is claimed and not attempted would be in doubt.
        await _announce_known(chunk, [answer for answer in answers if isinstance(answer, NotClaimed)], services)


async def _attempt_all(
    chunk: Chunk, claimed: Sequence[Notification], claim_id: str, pace: Pace, services: Services
) -> None:
    provider = services.providers[chunk.channel][0]
    assigned = [Assignment(notification, chunk.channel, provider) for notification in claimed]
    pending = start_attempts(assigned, pace, services)
    failure: PublishFailed | StoreUnavailable | None = None
    try:
        while pending:
            done, pending = await asyncio.wait(pending, timeout=_RECORD_EVERY_SECONDS)
            results = [
                (notification, _outcome(notification, result, chunk.channel, claim_id, services))
                for task in done
                for notification, result in task.result()
            ]
            if results:
                try:
                    await _record(results, chunk, services)
                except (PublishFailed, StoreUnavailable) as error:
                    failure = error  # the others are still being sent: to stop them now would leave them in doubt
    finally:
        for task in pending:
            task.cancel()
    if failure:
        raise failure


async def _record(results: Sequence[tuple[Notification, Outcome]], chunk: Chunk, services: Services) -> None:
    outcomes = [outcome for _, outcome in results]
    # What was sent but not recorded is in doubt, so a store that is away is worth waiting for.
    await while_store_is_away(
        lambda: services.notifications.record_outcomes(chunk.partition_key, outcomes), services.patience.store
    )
    await dead_letter(
        [
            (notification, chunk.channel, (*notification.deliveries[chunk.channel].attempts[:-1], outcome.attempt))
            for notification, outcome in results
            if _is_given_up(outcome)
        ],
        services,
    )
    awaited = any(notification.awaited for notification, _ in results)
    await publish_status(_status_event(chunk, outcomes, services), services, awaited=awaited)


def _outcome(notification: Notification, result: Verdict, channel: str, claim_id: str, services: Services) -> Outcome:
    return Outcome(
        tracking_id=notification.tracking_id,
        channel=channel,
        claim_id=claim_id,
        status=result.status,
        attempt=result.attempt,
        at=services.clock.now(),
        reason=result.reason,
        wake_at=result.wake_at,
        due_at=result.due_at,
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
            )
            for outcome in outcomes
        ],
    )


async def _announce_known(chunk: Chunk, refused: Sequence[NotClaimed], services: Services) -> None:
    """Says again what an earlier copy of the message recorded and may have died before saying."""
    wanted = {item.tracking_id: item.attempt for item in chunk.items}
    outcomes, given_up = [], []
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
                )
            )
            if delivery.status is DeliveryStatus.FAILED and delivery.reason in GIVEN_UP:
                given_up.append((answer.notification, chunk.channel, delivery.attempts))
    await dead_letter(given_up, services)
    if outcomes:
        awaited = any(answer.notification.awaited for answer in refused if answer.notification)
        await publish_status(_status_event(chunk, outcomes, services), services, awaited=awaited)


def _is_given_up(outcome: Outcome) -> bool:
    return outcome.status is DeliveryStatus.FAILED and outcome.reason in GIVEN_UP
