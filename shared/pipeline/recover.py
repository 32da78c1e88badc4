"""The sweeper: whatever should have moved and has not, moves.

Every delivery without an outcome carries a wake-up time. When it has passed, the sweeper looks at where the delivery
stands: never published → publish; planned retry forgotten → publish; held back by an outage → later; claim holder dead
→ in doubt; in doubt for too long → what its provider knows (in_doubt.py), else the category's policy; a fallback
channel on standby → whether it is its turn (fallback.py). Each move is a conditional patch on what the sweeper saw, so
any number of sweepers may run at once.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.channels import CHANNELS
from shared.domain.chunk import MAX_CHUNK_DELIVERIES, Chunk, ChunkItem
from shared.domain.fallback import DROPPED_IN_DOUBT, is_confirmed, is_overdue
from shared.domain.identifiers import PartitionKey
from shared.domain.look_up import Finding, GivenUp, NotTaken, Taken
from shared.domain.notification import Category, Delivery, Lane, Notification, TemplateRef
from shared.domain.outcome import Nudge
from shared.domain.routing import is_used_up
from shared.domain.status import WITHDRAWABLE, DeliveryStatus
from shared.domain.suppression import Suppression
from shared.domain.targets import PARTLY_SENT, any_taken
from shared.domain.verdict import EXHAUSTED
from shared.pipeline import fallback
from shared.pipeline.announce import publish_chunks
from shared.pipeline.dead_letters import ENDS_BADLY, Ended, dead_letter
from shared.pipeline.holds import Holds, holds_over
from shared.pipeline.in_doubt import Findings, find_in_doubt
from shared.pipeline.services import Services

logger = logging.getLogger(__name__)

SWEEP_LIMIT = 500  # notifications a round
MAX_ROUNDS = 40  # rounds a run
_LONGEST_SILENCE = timedelta(minutes=30)
_TO_PUBLISH = {DeliveryStatus.QUEUED, DeliveryStatus.SCHEDULED, DeliveryStatus.RETRYING}

# What happens to a delivery whose attempt may or may not have reached the provider, when no receipt has settled it:
# a code or an order confirmation twice is better than never; an advertisement twice is not.
RESEND_WHEN_IN_DOUBT = {
    Category.SECURITY: True,
    Category.LEGAL: True,
    Category.TRANSACTIONAL: True,
    Category.MARKETING: False,
}


@dataclass(frozen=True, slots=True)
class _Move:
    notification: Notification
    delivery: Delivery
    nudge: Nudge
    publish_attempt: int | None


async def sweep(services: Services) -> int:
    """How many deliveries were moved. Raises StoreUnavailable, PublishFailed: the next run goes on from there."""
    moved = 0
    for _ in range(MAX_ROUNDS):
        overdue = await services.notifications.overdue(services.clock.now(), SWEEP_LIMIT)
        findings = await find_in_doubt(overdue, services)
        holds = await holds_over(overdue, services)
        await services.quarantines.refresh()
        made = await fallback.move_on(overdue, services)
        moves = [move for notification in overdue for move in _moves(notification, findings, holds, services)]
        made += await _make(moves, services)
        moved += made
        if len(overdue) < SWEEP_LIMIT or made == 0:
            break
    if moved:
        logger.info("Sweep moved deliveries", extra={"moved": moved})
    return moved


def _moves(notification: Notification, findings: Findings, holds: Holds, services: Services) -> list[_Move]:
    now = services.clock.now()
    return [
        _held(notification, delivery, until, now, services)
        if (until := _held_until(notification, delivery, holds, now, services))
        else _move(notification, delivery, findings.get((notification.tracking_id, delivery.channel)), now, services)
        for delivery in notification.deliveries.values()
        if delivery.wake_at and delivery.wake_at <= now and not _is_decided_against(notification, delivery)
    ]


def _is_decided_against(notification: Notification, delivery: Delivery) -> bool:
    """Whether fallback.py looks after the delivery instead: it stands by, or is not to be sent any more."""
    is_not_wanted = notification.cancelled_at is not None or is_confirmed(notification)
    return delivery.status is DeliveryStatus.STANDBY or (is_not_wanted and delivery.status in WITHDRAWABLE)


def _may_resend(notification: Notification, finding: Finding | None) -> bool:
    """Whether an attempt that may have reached the provider, or certainly did not, is made again."""
    if notification.cancelled_at or is_confirmed(notification):
        return False
    return isinstance(finding, NotTaken) or RESEND_WHEN_IN_DOUBT[notification.category]


def _held_until(
    notification: Notification, delivery: Delivery, holds: Holds, now: datetime, services: Services
) -> datetime | None:
    """Until when its message may be held back on the bus. What has expired meanwhile is published, to be told so."""
    is_over = notification.expires_at is not None and notification.expires_at <= now
    if delivery.status not in _TO_PUBLISH or is_over:
        return None
    if hold := services.quarantines.held_for(notification):
        return now + hold
    return holds.get((notification.tenant_id, delivery.channel, notification.lane))


def _held(notification: Notification, delivery: Delivery, until: datetime, now: datetime, services: Services) -> _Move:
    nudge = Nudge(
        tracking_id=notification.tracking_id,
        channel=delivery.channel,
        was=delivery.status,
        was_wake_at=delivery.wake_at or now,
        status=delivery.status,
        wake_at=until + services.patience.publish,
        at=now,
        attempt=delivery.attempt,
        sweeps=delivery.sweeps,
    )
    return _Move(notification, delivery, nudge, publish_attempt=None)


def _move(
    notification: Notification, delivery: Delivery, finding: Finding | None, now: datetime, services: Services
) -> _Move:
    patience = services.patience
    status, wake_at, publish_attempt, reason = delivery.status, None, None, None
    if delivery.status in _TO_PUBLISH:
        # A busy service is late without anything being lost: each further sweep waits twice as long.
        wake_at = now + min(patience.publish * 2**delivery.sweeps, _LONGEST_SILENCE)
        publish_attempt = delivery.attempt + 1
    elif delivery.status is DeliveryStatus.SENDING:
        status, wake_at, reason = DeliveryStatus.IN_DOUBT, now + patience.in_doubt, "claim_holder_lost"
    elif isinstance(finding, Taken):
        status, reason = DeliveryStatus.SENT, "found_at_provider"
    elif isinstance(finding, GivenUp):
        status, reason = DeliveryStatus.FAILED, finding.reason
    elif not _may_resend(notification, finding):
        status, reason = DeliveryStatus.FAILED, "not_taken" if isinstance(finding, NotTaken) else DROPPED_IN_DOUBT
    elif is_overdue(notification, now):
        # The next channel goes now: to send this one again as well would be one message too many.
        status, reason = DeliveryStatus.FAILED, Suppression.DEADLINE_PASSED
    elif _is_used_up(delivery, services):
        status, reason = DeliveryStatus.FAILED, EXHAUSTED
    else:
        status, wake_at = DeliveryStatus.RETRYING, now + patience.publish
        reason = "not_taken" if isinstance(finding, NotTaken) else "resent_in_doubt"
        publish_attempt = delivery.attempt + 1
    if status is DeliveryStatus.FAILED and any_taken(delivery.attempts):
        status, reason = DeliveryStatus.SENT, PARTLY_SENT
    nudge = Nudge(
        tracking_id=notification.tracking_id,
        channel=delivery.channel,
        was=delivery.status,
        was_wake_at=delivery.wake_at or now,
        status=status,
        wake_at=wake_at,
        at=now,
        attempt=delivery.attempt,
        reason=reason,
        sweeps=delivery.sweeps + 1 if delivery.status in _TO_PUBLISH else 0,
    )
    return _Move(notification, delivery, nudge, publish_attempt)


def _is_used_up(delivery: Delivery, services: Services) -> bool:
    """Whether no provider of the channel has an attempt left; what a tenant's policy rules out, routing will tell."""
    names = [provider.name for provider in services.providers.get(delivery.channel, ())]
    return is_used_up(names, delivery.counted_attempts, CHANNELS[delivery.channel].max_attempts)


async def _make(moves: Sequence[_Move], services: Services) -> int:
    by_partition: dict[PartitionKey, list[_Move]] = defaultdict(list)
    for move in moves:
        by_partition[move.notification.partition_key].append(move)
    made = 0
    for partition, group in by_partition.items():
        for start in range(0, len(group), MAX_CHUNK_DELIVERIES):
            made += await _make_together(partition, group[start : start + MAX_CHUNK_DELIVERIES], services)
    return made


async def _make_together(partition: PartitionKey, moves: Sequence[_Move], services: Services) -> int:
    # Published before it is written down: while the broker is away, nothing counts as swept. A message too many is
    # harmless (its claim is refused); one too few would wait for the next sweep. Nobody sweeps a failed delivery
    # again, so its dead letter goes out first as well; at worst a receipt in that instant makes it needless.
    await publish_chunks(_chunks([move for move in moves if move.nudge.status is move.nudge.was]), services)
    await dead_letter(
        [
            Ended(
                move.notification, move.delivery.channel, move.nudge.status, move.nudge.reason, move.delivery.attempts
            )
            for move in moves
            if move.nudge.status in ENDS_BADLY
        ],
        services,
    )
    done = await services.notifications.record_nudges(partition, [move.nudge for move in moves])
    won = [move for move, is_ours in zip(moves, done, strict=True) if is_ours]
    await publish_chunks(_chunks([move for move in won if move.nudge.status is not move.nudge.was]), services)
    return len(won)


def _chunks(moves: Sequence[_Move]) -> list[Chunk]:
    groups: dict[tuple[PartitionKey, str, Lane, Category, TemplateRef | None], list[_Move]] = defaultdict(list)
    for move in moves:
        if move.publish_attempt is not None:
            told = move.notification
            groups[told.partition_key, move.delivery.channel, told.lane, told.category, told.template].append(move)
    return [
        Chunk(
            tenant_id=group[0].notification.tenant_id,
            partition_key=partition,
            channel=channel,
            lane=lane,
            category=category,
            template=template,
            items=tuple(
                ChunkItem(
                    move.notification.tracking_id,
                    move.publish_attempt or 1,
                    move.notification.customer_id,
                    move.notification.expires_at,
                )
                for move in group
            ),
        )
        for (partition, channel, lane, category, template), group in groups.items()
    ]
