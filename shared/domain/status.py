"""The life of a delivery as a state machine.

Working states belong to us and are guarded by the claim: only the holder of a claim moves them. Outcomes come from
providers, late, twice and out of order, so they form a ladder: of all outcomes ever reported the highest wins,
whatever their order. Engagement (opened, clicked, complained) is no status.
"""

from collections.abc import Iterable
from enum import StrEnum

from shared.domain.receipt import ReceiptKind
from shared.domain.suppression import outward_of_suppression


class DeliveryStatus(StrEnum):
    """Where one delivery stands."""

    QUEUED = "queued"  # accepted and on its way to a delivery function
    SCHEDULED = "scheduled"  # accepted for a later time
    STANDBY = "standby"  # a fallback channel that is not needed yet
    SENDING = "sending"  # claimed: a provider call may be under way
    RETRYING = "retrying"  # an attempt failed for now; the next one has a time
    IN_DOUBT = "in_doubt"  # the provider may have accepted; waiting for a receipt before deciding
    SUPPRESSED = "suppressed"  # decided against, for a reason (suppression.py)
    CANCELLED = "cancelled"  # its consumer took it back before it was sent
    EXPIRED = "expired"  # its time ran out before it could be sent
    SENT = "sent"  # the provider has it
    FAILED = "failed"  # it will not arrive
    DELIVERED = "delivered"  # the recipient's side has it
    BOUNCED = "bounced"  # the recipient's side refused it


WORKING = frozenset(
    {
        DeliveryStatus.QUEUED,
        DeliveryStatus.SCHEDULED,
        DeliveryStatus.STANDBY,
        DeliveryStatus.SENDING,
        DeliveryStatus.RETRYING,
        DeliveryStatus.IN_DOUBT,
    }
)

# Nothing is under way at a provider, so what stands here may still be decided against.
WITHDRAWABLE = frozenset(
    {DeliveryStatus.QUEUED, DeliveryStatus.SCHEDULED, DeliveryStatus.STANDBY, DeliveryStatus.RETRYING}
)

# Later entries win over earlier ones, whatever order they arrive in. Three entries are surprising:
# CANCELLED and SUPPRESSED lose to everything else, because what was decided against after an attempt in doubt may turn
# out to have been sent;
# DELIVERED beats FAILED, because an attempt whose answer we lost, and then gave up on, may arrive after all;
# BOUNCED beats DELIVERED, because a mailbox that took a message can still return it (asynchronous bounce).
_LADDER = (
    DeliveryStatus.CANCELLED,
    DeliveryStatus.SUPPRESSED,
    DeliveryStatus.EXPIRED,
    DeliveryStatus.SENT,
    DeliveryStatus.FAILED,
    DeliveryStatus.DELIVERED,
    DeliveryStatus.BOUNCED,
)
_RANK = {status: rank for rank, status in enumerate(_LADDER)}

_BEST_FIRST = (
    DeliveryStatus.DELIVERED,
    DeliveryStatus.SENT,
    DeliveryStatus.BOUNCED,
    DeliveryStatus.FAILED,
    DeliveryStatus.EXPIRED,
    DeliveryStatus.CANCELLED,
    DeliveryStatus.SUPPRESSED,
)
_REACHED = frozenset({DeliveryStatus.DELIVERED, DeliveryStatus.SENT})
_NOT_STARTED = frozenset({DeliveryStatus.QUEUED, DeliveryStatus.SCHEDULED, DeliveryStatus.STANDBY})
_NOT_SENT = frozenset({DeliveryStatus.EXPIRED, DeliveryStatus.CANCELLED})

_WORKING_MOVES = {
    DeliveryStatus.QUEUED: {DeliveryStatus.SENDING},
    DeliveryStatus.SCHEDULED: {DeliveryStatus.QUEUED, DeliveryStatus.SENDING},
    DeliveryStatus.STANDBY: {DeliveryStatus.QUEUED},
    DeliveryStatus.SENDING: {DeliveryStatus.RETRYING, DeliveryStatus.IN_DOUBT},
    DeliveryStatus.RETRYING: {DeliveryStatus.SENDING},
    DeliveryStatus.IN_DOUBT: {DeliveryStatus.RETRYING},
}

_FROM_RECEIPT = {
    ReceiptKind.SENT: DeliveryStatus.SENT,
    ReceiptKind.DELIVERED: DeliveryStatus.DELIVERED,
    ReceiptKind.BOUNCED: DeliveryStatus.BOUNCED,
    ReceiptKind.FAILED: DeliveryStatus.FAILED,
}


def advance(current: DeliveryStatus, event: DeliveryStatus) -> DeliveryStatus:
    """The status after ``event`` is learnt in ``current``; ``current`` itself when the event changes nothing."""
    if event in WORKING:
        return event if event in _WORKING_MOVES.get(current, set()) else current
    if current in WORKING:
        # Nobody can take back what may be with the provider at this moment.
        is_too_late = event is DeliveryStatus.CANCELLED and current not in WITHDRAWABLE
        return current if is_too_late else event
    return event if _RANK[event] > _RANK[current] else current


def overtaken_by(event: DeliveryStatus) -> tuple[DeliveryStatus, ...]:
    """Every status that ``event`` replaces, sorted: the condition of the patch that records an outcome."""
    return tuple(sorted(status for status in DeliveryStatus if status != event and advance(status, event) is event))


def status_of_receipt(kind: ReceiptKind) -> DeliveryStatus | None:
    """The outcome a receipt reports; None for engagement and for what changes nothing."""
    return _FROM_RECEIPT.get(kind)


def is_outcome(status: DeliveryStatus) -> bool:
    """Whether the delivery has an outcome, after which only a receipt can change it."""
    return status not in WORKING


def outward(status: DeliveryStatus, reason: str | None = None) -> str | None:
    """The word of the callback contract: PENDING, SENT, DELIVERED, FAILED, BOUNCED or UNSUBSCRIBED.

    None for a decision that a consumer is not called about: nothing happened that they would have to react to.
    """
    if status in WORKING:
        return "PENDING"
    if status is DeliveryStatus.SUPPRESSED:
        return outward_of_suppression(reason)
    return "FAILED" if status in _NOT_SENT else status.name


def roll_up(statuses: Iterable[DeliveryStatus]) -> str:
    """One word for a whole notification, from its deliveries.

    ``accepted`` while nothing has left, ``sending`` while some delivery is still being worked on; then the best
    outcome any delivery had, since the customer was reached if one channel reached them. A fallback channel on standby
    is work to be done only once the channels before it did not reach anybody.
    """
    known = list(statuses)
    if all(status in _NOT_STARTED for status in known):
        return "accepted"
    if any(status in WORKING and status is not DeliveryStatus.STANDBY for status in known):
        return "sending"
    best = next(status for status in _BEST_FIRST if status in known)
    return "sending" if DeliveryStatus.STANDBY in known and best not in _REACHED else best.value
