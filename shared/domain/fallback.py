"""When the next channel of a notification takes over, and what becomes of the others: pure rules (design 2.2 step 8).

Channels are used one after the other. The next one takes over when the one before ended badly, or was not confirmed by
its deadline; never while it is in doubt, since the customer might get both. Once one is confirmed, whatever has not
been sent is not needed any more. Each rule gives conditional moves, so any number of workers may apply it at once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from shared.domain.notification import Delivery, Notification
from shared.domain.outcome import Move, Step
from shared.domain.status import WITHDRAWABLE, WORKING, DeliveryStatus
from shared.domain.suppression import PUT_OFF, Suppression

CANCELLED = "cancelled"
EARLIER_FAILED = "earlier_failed"
DROPPED_IN_DOUBT = "dropped_in_doubt"
WATCHED_FOR = timedelta(hours=24)  # how long a channel without a deadline stands by in case the one before bounces
LOOK_AGAIN = timedelta(minutes=5)  # the sweeper's pause where nothing says when something will happen
_UNDER_WAY = frozenset({DeliveryStatus.SENDING, DeliveryStatus.IN_DOUBT})

# Decisions about the notification rather than the channel: they hold for the channels on standby as well.
_FOR_ALL = {Suppression.NOT_NEEDED, Suppression.EARLIER_IN_DOUBT, Suppression.SHADOW_MODE}


def next_steps(notification: Notification, now: datetime, publish_patience: timedelta) -> Sequence[Step]:
    """What is to be done about the notification's deliveries that are not sent yet; often nothing."""
    if notification.cancelled_at:
        return withdrawals(notification, notification.deliveries.values(), DeliveryStatus.CANCELLED, CANCELLED, now)
    if notification.fallback is None:
        return ()
    if is_confirmed(notification):
        return _not_sent(notification, notification.deliveries.values(), Suppression.NOT_NEEDED, now)
    ordered = [notification.deliveries[channel] for channel in notification.fallback.order]
    return _in_turn(notification, ordered, now, publish_patience)


def _in_turn(
    notification: Notification, ordered: Sequence[Delivery], now: datetime, publish_patience: timedelta
) -> Sequence[Step]:
    standing = [delivery for delivery in ordered if delivery.status is DeliveryStatus.STANDBY]
    if not standing:
        return ()
    earlier = ordered[: ordered.index(standing[0])]
    if any(delivery.status in _UNDER_WAY for delivery in earlier):
        return _look_again(notification, standing, earlier[-1].wake_at, now)
    current = earlier[-1]
    if current.status is DeliveryStatus.SENT or current.status in WORKING:
        return _while_unconfirmed(notification, earlier, standing, now, publish_patience)
    return _after_failure(notification, earlier, standing, now, publish_patience)


def is_confirmed(notification: Notification) -> bool:
    """Whether one of several channels that were to be used in turn is known to have reached the customer."""
    return notification.fallback is not None and any(
        delivery.status is DeliveryStatus.DELIVERED for delivery in notification.deliveries.values()
    )


def is_overdue(notification: Notification, now: datetime) -> bool:
    """Whether a channel on standby has waited beyond its deadline, and only doubt has kept it from taking over."""
    return any(
        delivery.status is DeliveryStatus.STANDBY and delivery.deadline_at is not None and delivery.deadline_at <= now
        for delivery in notification.deliveries.values()
    )


def is_settled(notification: Notification) -> bool:
    """Whether the notification as a whole has the outcome that somebody may be waiting for."""
    statuses = {delivery.status for delivery in notification.deliveries.values()}
    working = statuses & WORKING
    if notification.fallback is None or not working:
        return not working
    if is_confirmed(notification):
        return True
    only_standing_by = working == {DeliveryStatus.STANDBY} and DeliveryStatus.SENT in statuses
    return only_standing_by and notification.fallback.deadline is None


def withdrawals(
    notification: Notification, deliveries: Iterable[Delivery], status: DeliveryStatus, reason: str, now: datetime
) -> list[Step]:
    """A step for each of the deliveries that nobody is sending at the moment; the last channels first.

    Were the first withdrawn alone, a channel on standby would be next.
    """
    open_ones = [delivery for delivery in deliveries if delivery.status in WITHDRAWABLE]
    return [
        Step(notification.tracking_id, now, (Move(each.channel, each.status, each.attempt, status, reason=reason),))
        for each in reversed(open_ones)
    ]


def _not_sent(notification: Notification, deliveries: Iterable[Delivery], reason: str, now: datetime) -> list[Step]:
    return withdrawals(notification, deliveries, DeliveryStatus.SUPPRESSED, reason, now)


def _while_unconfirmed(
    notification: Notification,
    earlier: Sequence[Delivery],
    standing: Sequence[Delivery],
    now: datetime,
    publish_patience: timedelta,
) -> Sequence[Step]:
    """The channel before was sent and not confirmed, or is still to be sent."""
    deadline_at = _deadline_at(notification, earlier[-1], standing[0])
    was_sent = earlier[-1].status is DeliveryStatus.SENT
    if was_sent and _has_expired(notification, now):
        return _not_sent(notification, standing, Suppression.NOT_NEEDED, now)
    if deadline_at:
        if deadline_at != standing[0].deadline_at:
            return [_postponed(notification, standing[0], deadline_at, now)]
        if deadline_at > now:
            return _look_again(notification, standing, deadline_at, now)
        return _take_over(notification, earlier, standing, Suppression.DEADLINE_PASSED, now, publish_patience)
    watched_until = notification.starts_at + WATCHED_FOR
    if was_sent and watched_until <= now:
        return _not_sent(notification, standing, Suppression.NOT_NEEDED, now)
    return _look_again(notification, standing, watched_until if was_sent else None, now)


def _deadline_at(notification: Notification, current: Delivery, standing: Delivery) -> datetime | None:
    """When the one on standby takes over; a channel that must not be sent yet has its time from then on."""
    deadline = notification.fallback.deadline if notification.fallback else None
    must_wait = current.status is DeliveryStatus.SCHEDULED or (
        current.status is DeliveryStatus.RETRYING and current.reason == PUT_OFF
    )
    if deadline and standing.deadline_at and current.due_at and must_wait:
        return max(standing.deadline_at, current.due_at + deadline)
    return standing.deadline_at


def _postponed(notification: Notification, standing: Delivery, deadline_at: datetime, now: datetime) -> Step:
    move = Move(
        standing.channel, standing.status, standing.attempt, standing.status, deadline_at, deadline_at=deadline_at
    )
    return Step(notification.tracking_id, now, (move,))


def _after_failure(
    notification: Notification,
    earlier: Sequence[Delivery],
    standing: Sequence[Delivery],
    now: datetime,
    publish_patience: timedelta,
) -> Sequence[Step]:
    """The channel before ended badly, or was decided against."""
    current = earlier[-1]
    if current.status is DeliveryStatus.SUPPRESSED and current.reason in _FOR_ALL:
        return _not_sent(notification, standing, str(current.reason), now)
    if current.status is DeliveryStatus.FAILED and current.reason == DROPPED_IN_DOUBT:
        # Given up without ever knowing: it may have arrived, and its category would rather not be heard than twice.
        return _not_sent(notification, standing, Suppression.EARLIER_IN_DOUBT, now)
    if _has_expired(notification, now):
        return withdrawals(notification, standing, DeliveryStatus.EXPIRED, "expired", now)
    return _take_over(notification, earlier, standing, EARLIER_FAILED, now, publish_patience)


def _take_over(  # noqa: PLR0917 - one place, every fact
    notification: Notification,
    earlier: Sequence[Delivery],
    standing: Sequence[Delivery],
    reason: str,
    now: datetime,
    publish_patience: timedelta,
) -> list[Step]:
    """The first channel on standby is queued, the next one gets its deadline, what was late is not sent any more."""
    first, *others = standing
    moves = [Move(first.channel, first.status, first.attempt, DeliveryStatus.QUEUED, now + publish_patience, reason)]
    if others and notification.fallback and notification.fallback.deadline:
        deadline_at = now + notification.fallback.deadline
        moves.append(
            Move(
                others[0].channel, others[0].status, others[0].attempt, others[0].status, deadline_at, None, deadline_at
            )
        )
    late = earlier[-1]
    if late.status in WITHDRAWABLE:
        moves.append(Move(late.channel, late.status, late.attempt, DeliveryStatus.SUPPRESSED, reason=reason))
    moved = {move.channel for move in moves}
    given = {delivery.channel: delivery.status for delivery in earlier if delivery.channel not in moved}
    return [Step(notification.tracking_id, now, tuple(moves), given)]


def _look_again(
    notification: Notification, standing: Iterable[Delivery], at: datetime | None, now: datetime
) -> list[Step]:
    """Later wake-up times for those whose time has come too early: ``at`` where that is known and ahead."""
    wake_at = at if at and at > now else now + LOOK_AGAIN
    return [
        Step(
            notification.tracking_id,
            now,
            (Move(each.channel, each.status, each.attempt, each.status, wake_at, None, each.deadline_at),),
        )
        for each in standing
        if each.wake_at and each.wake_at <= now
    ]


def _has_expired(notification: Notification, now: datetime) -> bool:
    return notification.expires_at is not None and notification.expires_at <= now
