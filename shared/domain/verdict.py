"""What one attempt came to, and what follows from it: the retry policy in one pure function."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.errors import InDoubt, ProviderError, Rejected, Throttled
from shared.domain.notification import Attempt
from shared.domain.retry_schedule import pause_before
from shared.domain.status import DeliveryStatus

EXHAUSTED = "attempts_exhausted"
MAX_THROTTLED_ATTEMPTS = 50  # pacing burns no attempt, but a delivery is not paced for ever
_THROTTLE_PAUSE = timedelta(seconds=5)  # when the provider asks for a slower pace and names none


@dataclass(frozen=True, slots=True)
class Situation:
    """The attempt that just ended, and what bounds the next one."""

    attempt: Attempt
    earlier: tuple[Attempt, ...]
    max_attempts: int
    provider: str
    now: datetime
    retry_patience: timedelta
    in_doubt_patience: timedelta


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an attempt.

    Attributes:
        status: where the delivery stands now.
        attempt: the attempt, finished.
        reason: why the delivery stands there; the attempt's own reason, but for a delivery that is given up.
        due_at: when to try again.
        wake_at: when the sweeper should look.
    """

    status: DeliveryStatus
    attempt: Attempt
    reason: str | None = None
    due_at: datetime | None = None
    wake_at: datetime | None = None


def accepted(situation: Situation, provider_message_id: str | None, *, delivered: bool) -> Verdict:
    """The provider took it."""
    status = DeliveryStatus.DELIVERED if delivered else DeliveryStatus.SENT
    finished = replace(
        situation.attempt,
        provider=situation.provider,
        outcome=status.value,
        provider_message_id=provider_message_id,
        finished_at=situation.now,
    )
    return Verdict(status, finished)


def failed(situation: Situation, error: ProviderError) -> Verdict:
    """The provider did not take it, or we can't know."""
    finished = replace(
        situation.attempt,
        provider=situation.provider,
        outcome=type(error).__name__.lower(),
        reason=error.reason,
        finished_at=situation.now,
    )
    if isinstance(error, InDoubt):
        wake_at = situation.now + situation.in_doubt_patience
        return Verdict(DeliveryStatus.IN_DOUBT, finished, error.reason, wake_at=wake_at)
    if isinstance(error, Rejected):
        return Verdict(DeliveryStatus.FAILED, finished, error.reason)
    if _is_exhausted(situation, error):
        return Verdict(DeliveryStatus.FAILED, finished, EXHAUSTED)
    due_at = situation.now + _pause(situation, error)
    wake_at = due_at + situation.retry_patience
    return Verdict(DeliveryStatus.RETRYING, finished, error.reason, due_at, wake_at)


def burned(attempts: Iterable[Attempt]) -> int:
    """How many of ``attempts`` count against the channel's maximum; being asked to slow down does not."""
    return sum(attempt.outcome != Throttled.__name__.lower() for attempt in attempts)


def _burned(situation: Situation) -> int:
    return 1 + burned(situation.earlier)


def _is_exhausted(situation: Situation, error: ProviderError) -> bool:
    if isinstance(error, Throttled):
        return situation.attempt.number >= MAX_THROTTLED_ATTEMPTS
    return _burned(situation) >= situation.max_attempts


def _pause(situation: Situation, error: ProviderError) -> timedelta:
    if isinstance(error, Throttled):
        return error.retry_after or _THROTTLE_PAUSE
    next_attempt = _burned(situation) + 1
    return pause_before(next_attempt, situation.attempt.id, error.retry_after)
