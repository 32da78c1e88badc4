"""Replays: dead letters put back to work, each at most once, and the rules that say which may be.

The ladder of outcomes says that a status only climbs. A replay is no outcome but an order: it takes a delivery from a
bad end back to *retrying*, guarded like a claim by the number of the attempt it died of, so that it happens once and
only while nothing else has. What is learnt late about earlier attempts changes this: a success ends the replay, since
the customer has the message; a failure is no news.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.dead_letter import DeadDelivery, Selection
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Delivery, Notification
from shared.domain.status import WORKING, DeliveryStatus

MAX_REPLAYS_PER_SECOND = 50.0
USUAL_REPLAYS_PER_SECOND = 10.0
MAX_REPLAYED_IDS = 500
RENEWED_FOR = timedelta(hours=24)  # how long what had expired may be tried when it is replayed all the same
REPLAYABLE = frozenset({DeliveryStatus.FAILED, DeliveryStatus.EXPIRED})
_RELEASED_SHARE = 0.9  # of the rate: letters that wait on the bus a little come close together afterwards
_STEP_SECONDS = 2.0
_STEP_LETTERS = 50
_REACHED = frozenset({DeliveryStatus.SENT, DeliveryStatus.DELIVERED})


class ReplayState(StrEnum):
    """Where a replay stands."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"  # what was not replayed by then is not
    COMPLETED = "completed"


class Skip(StrEnum):
    """Why a dead letter is not replayed."""

    ALREADY_REPLAYED = "already_replayed"  # by another replay
    MOVED_ON = "moved_on"  # the delivery has another outcome, such as delivered, or is being worked on
    REACHED_ELSEWHERE = "reached_elsewhere"  # another channel of the notification took over
    CANCELLED = "cancelled"  # its consumer took it back
    EXPIRED = "expired"  # its time is over, and the order does not say to ignore that
    GONE = "gone"  # there is no such letter, or its notification is not stored any more
    NOT_KEPT = "not_kept"  # a message whose body was not worth keeping


@dataclass(frozen=True, slots=True)
class Replay:
    """An order to replay, and how far it has come.

    Attributes:
        selection: which letters; with ``ids``, only whose.
        day, after: behind which letter it goes on; with ``ids``, ``done`` of them are.
        next_at: when the next letter may be released, by whoever carries the replay out.
        touched_at: when somebody last carried it on.
        digest: of the order, so that its repeat is known.
        version: of the stored replay; what changes it names the version it saw.
    """

    id: str
    tenant_id: TenantId
    ordered_by: str
    ordered_at: datetime
    selection: Selection
    ids: tuple[str, ...]
    rate: float
    ignores_expiry: bool
    selected: int
    day: str
    next_at: datetime
    touched_at: datetime
    digest: str
    after: str | None = None
    done: int = 0
    state: ReplayState = ReplayState.RUNNING
    replayed: int = 0
    failed: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    version: str | None = None

    @property
    def interval(self) -> timedelta:
        """The time from one letter to the next."""
        return timedelta(seconds=1 / (self.rate * _RELEASED_SHARE))

    @property
    def letters_a_step(self) -> int:
        """How many letters are released between two looks at whether it is still wanted."""
        return max(1, min(_STEP_LETTERS, int(self.rate * _STEP_SECONDS)))


@dataclass(frozen=True, slots=True)
class Resumption:
    """A delivery on its way back to work: from where it was seen, ``given`` what the other channels were seen at."""

    replay_id: str
    partition: PartitionKey
    tracking_id: TrackingId
    channel: str
    was: DeliveryStatus
    attempt: int
    at: datetime
    wake_at: datetime
    replays: Mapping[int, str]
    given: Mapping[str, DeliveryStatus]
    expires_at: datetime | None = None


def judge(
    notification: Notification, dead: DeadDelivery, replay: Replay, now: datetime, patience: timedelta
) -> Resumption | Skip | None:
    """How the delivery goes back to work, or why it does not; None when this replay has put it there already."""
    delivery = notification.deliveries.get(dead.channel)
    if delivery is None:
        return Skip.GONE
    replayed_by = delivery.replays.get(dead.attempt)
    if replayed_by:
        return None if replayed_by == replay.id else Skip.ALREADY_REPLAYED
    if reason := _obstacle(notification, delivery, dead, replay, now):
        return reason
    others = {channel: each for channel, each in notification.deliveries.items() if channel != dead.channel}
    return Resumption(
        replay_id=replay.id,
        partition=notification.partition_key,
        tracking_id=notification.tracking_id,
        channel=dead.channel,
        was=delivery.status,
        attempt=delivery.attempt,
        at=now,
        wake_at=now + patience,
        replays={**delivery.replays, delivery.attempt: replay.id},
        given={channel: each.status for channel, each in others.items()} if notification.fallback else {},
        expires_at=now + RENEWED_FOR if _is_over(notification, delivery, now) else None,
    )


def _obstacle(
    notification: Notification, delivery: Delivery, dead: DeadDelivery, replay: Replay, now: datetime
) -> Skip | None:
    if notification.cancelled_at:
        return Skip.CANCELLED
    if delivery.status not in REPLAYABLE or delivery.attempt != dead.attempt:
        return Skip.MOVED_ON
    # The dead delivery itself is neither, or it would have moved on.
    if notification.fallback and any(each.status in _REACHED | WORKING for each in notification.deliveries.values()):
        return Skip.REACHED_ELSEWHERE
    if _is_over(notification, delivery, now) and not replay.ignores_expiry:
        return Skip.EXPIRED
    return None


def _is_over(notification: Notification, delivery: Delivery, now: datetime) -> bool:
    has_passed = notification.expires_at is not None and notification.expires_at <= now
    return has_passed or delivery.status is DeliveryStatus.EXPIRED
