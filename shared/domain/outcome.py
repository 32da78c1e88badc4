"""What is to be recorded about a delivery, and what came of recording it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.domain.identifiers import TrackingId
from shared.domain.notification import Attempt, Notification
from shared.domain.quick_dataclass import quick_dataclass
from shared.domain.status import DeliveryStatus


@quick_dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt, by the holder of its claim.

    ``reason`` is the delivery's, which differs from the attempt's own when the delivery is given up.
    ``wake_at`` is when the sweeper should look again; None once there is nothing left to do.
    ``due_at`` is when the next attempt is planned. ``expires_at`` is the notification's, for whoever plans it.
    """

    tracking_id: TrackingId
    channel: str
    claim_id: str
    status: DeliveryStatus
    attempt: Attempt
    at: datetime
    wake_at: datetime | None = None
    due_at: datetime | None = None
    reason: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A provider's word about a delivery, after the attempt."""

    tracking_id: TrackingId
    channel: str
    status: DeliveryStatus
    attempt: int
    at: datetime
    provider: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Nudge:
    """The sweeper's move on a delivery that stands in ``was`` and is overdue.

    Claims look at ``was`` and ``wake_at``, so two sweepers can't both make the move.
    """

    tracking_id: TrackingId
    channel: str
    was: DeliveryStatus
    was_wake_at: datetime
    status: DeliveryStatus
    wake_at: datetime | None
    at: datetime
    attempt: int = 0
    reason: str | None = None
    sweeps: int = 0


@dataclass(frozen=True, slots=True)
class Move:
    """One delivery, from where it was seen to where it shall stand; only times change where ``status`` is ``was``."""

    channel: str
    was: DeliveryStatus
    attempt: int
    status: DeliveryStatus
    wake_at: datetime | None = None
    reason: str | None = None
    deadline_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A decision about one notification: moves that are made together, or not at all.

    ``given`` are the statuses of other deliveries that the decision rests on; when one of them has changed, there is
    nothing to do any more but to decide again.
    """

    tracking_id: TrackingId
    at: datetime
    moves: tuple[Move, ...]
    given: Mapping[str, DeliveryStatus] = field(default_factory=dict)


class ClaimRefusal(StrEnum):
    """Why a delivery can't be claimed for an attempt."""

    DONE = "done"  # it has an outcome, or a later attempt is under way: nothing to do
    HELD = "held"  # another worker holds the claim
    EARLY = "early"  # an earlier attempt is not finished yet
    UNKNOWN = "unknown"  # there is no such notification


@quick_dataclass(frozen=True, slots=True)
class Claimed:
    """This worker holds the attempt, and here is all that is known about the notification."""

    notification: Notification


@dataclass(frozen=True, slots=True)
class NotClaimed:
    """This worker doesn't hold the attempt. ``notification`` is the state that says so, where there is one."""

    tracking_id: TrackingId
    refusal: ClaimRefusal
    notification: Notification | None = None
