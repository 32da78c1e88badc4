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

from shared.channels import CHANNELS
from shared.contracts.events import NotificationStatus, StatusItem
from shared.domain import verdict
from shared.domain.chunk import Chunk
from shared.domain.content import Content
from shared.domain.errors import (
    InDoubt,
    ProviderError,
    PublishFailed,
    Rejected,
    StoreUnavailable,
    TemplateUnusable,
    Transient,
)
from shared.domain.notification import Attempt, Delivery, Notification
from shared.domain.outcome import Claimed, ClaimRefusal, NotClaimed, Outcome
from shared.domain.status import DeliveryStatus
from shared.domain.verdict import Situation, Verdict
from shared.pipeline.announce import publish_status
from shared.pipeline.dead_letters import dead_letter
from shared.pipeline.pacing import Pace, reserve_turns
from shared.pipeline.services import Services
from shared.pipeline.store_outage import while_store_is_away
from shared.ports import OutboundMessage, Provider

logger = logging.getLogger(__name__)

_WENT_WELL = {DeliveryStatus.SENT, DeliveryStatus.DELIVERED}
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
    pending = {
        asyncio.create_task(_attempt(notification, chunk.channel, claim_id, pace, services)) for notification in claimed
    }
    failure: PublishFailed | StoreUnavailable | None = None
    try:
        while pending:
            done, pending = await asyncio.wait(pending, timeout=_RECORD_EVERY_SECONDS)
            if done:
                try:
                    await _record([task.result() for task in done], chunk, services)
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


async def _attempt(
    notification: Notification, channel: str, claim_id: str, pace: Pace, services: Services
) -> tuple[Notification, Outcome]:
    delivery = notification.deliveries[channel]
    provider = services.providers[channel][0]
    result = await _try_once(notification, delivery, provider, pace, services)
    # What went well is in the store and in the metrics; a line for each would cost more than the delivery.
    level = logging.DEBUG if result.status in _WENT_WELL else logging.INFO
    logger.log(
        level,
        "Attempt finished",
        extra={
            "tracking_id": notification.tracking_id,
            "channel": channel,
            "attempt": result.attempt.number,
            "provider": provider.name,
            "status": result.status.value,
            "reason": result.reason,
        },
    )
    return notification, Outcome(
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


async def _try_once(
    notification: Notification, delivery: Delivery, provider: Provider, pace: Pace, services: Services
) -> Verdict:
    attempt = delivery.attempts[-1]
    if notification.expires_at and services.clock.now() >= notification.expires_at:
        return Verdict(DeliveryStatus.EXPIRED, attempt)
    try:
        content = await _content(notification, delivery, services)
        await pace.turn()
        answer = await provider.send(
            OutboundMessage(attempt.id, delivery.channel, delivery.address, content, notification.category.value)
        )
    except ProviderError as error:
        return verdict.failed(_situation(attempt, delivery, provider, services), error)
    except Exception:
        # A fault of ours: whether bytes left is unknown, so it is treated as what it may be.
        logger.exception("Attempt failed unexpectedly", extra={"tracking_id": notification.tracking_id})
        return verdict.failed(_situation(attempt, delivery, provider, services), InDoubt("internal_error"))
    situation = _situation(attempt, delivery, provider, services)
    return verdict.accepted(situation, answer.provider_message_id, delivered=answer.delivered)


def _situation(attempt: Attempt, delivery: Delivery, provider: Provider, services: Services) -> Situation:
    return Situation(
        attempt=attempt,
        earlier=delivery.attempts[:-1],
        max_attempts=CHANNELS[delivery.channel].max_attempts,
        provider=provider.name,
        now=services.clock.now(),
        retry_patience=services.patience.retry,
        in_doubt_patience=services.patience.in_doubt,
    )


async def _content(notification: Notification, delivery: Delivery, services: Services) -> Content:
    """What is to be said. Raises Rejected when template and data don't fit, Transient when the template is away."""
    if delivery.content is not None:
        return delivery.content
    ref = notification.template
    template = await services.templates.find(notification.tenant_id, ref.id, ref.version) if ref else None
    if ref is None or template is None:
        raise Transient("template_not_found")
    channel = CHANNELS[delivery.channel]
    try:
        parts = services.renderer.render(template, ref.locale, channel.parts, notification.data)
    except TemplateUnusable as error:
        raise Rejected("template_unusable") from error
    content = channel.compose(parts, ref.id, notification.data)
    if channel.refuses(content):
        raise Rejected("content_refused")
    return content


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
            if delivery.status is DeliveryStatus.FAILED and delivery.reason == verdict.EXHAUSTED:
                given_up.append((answer.notification, chunk.channel, delivery.attempts))
    await dead_letter(given_up, services)
    if outcomes:
        awaited = any(answer.notification.awaited for answer in refused if answer.notification)
        await publish_status(_status_event(chunk, outcomes, services), services, awaited=awaited)


def _is_given_up(outcome: Outcome) -> bool:
    return outcome.status is DeliveryStatus.FAILED and outcome.reason == verdict.EXHAUSTED
