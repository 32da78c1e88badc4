"""What one attempt came to, and what follows from it: the retry policy in one pure function."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import routing
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, PutOff, Rejected, Throttled, Untried, Withheld
from shared.domain.notification import Attempt
from shared.domain.quick_dataclass import quick_dataclass
from shared.domain.retry_schedule import pause_as_asked, pause_before
from shared.domain.routing import HELD, NOT_CARRIED, PACING_PATIENCE, PassedOver
from shared.domain.status import DeliveryStatus

EXHAUSTED = "attempts_exhausted"
MAX_UNBURNED_ATTEMPTS = 50  # pacing and holding burn no attempt, but a delivery is not put off for ever
_THROTTLE_PAUSE = timedelta(seconds=5)  # when the provider asks for a slower pace and names none
_PASSED_ON_AFTER = timedelta(seconds=2)  # by then every process knows that the provider asked for a pause
_AT_ONCE = timedelta(0)


@quick_dataclass(frozen=True, slots=True)
class Situation:
    """The attempt that just ended, and what bounds the next one.

    ``order`` names all providers that may carry the delivery; it may be empty where there is only ``provider``.
    """

    attempt: Attempt
    earlier: tuple[Attempt, ...]
    max_attempts: int
    provider: str
    now: datetime
    retry_patience: timedelta
    in_doubt_patience: timedelta
    order: tuple[str, ...] = ()
    expires_at: datetime | None = None


@quick_dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an attempt.

    Attributes:
        status: where the delivery stands now.
        attempt: the attempt, finished.
        reason: why the delivery stands there; the attempt's own reason, but for a delivery that is given up.
        due_at: when to try again.
        wake_at: when the sweeper should look.
        paced_until: until when the provider wants no calls from anybody.
    """

    status: DeliveryStatus
    attempt: Attempt
    reason: str | None = None
    due_at: datetime | None = None
    wake_at: datetime | None = None
    paced_until: datetime | None = None


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
    elsewhere = isinstance(error, Rejected) and error.elsewhere
    finished = replace(
        situation.attempt,
        provider=situation.provider,
        outcome=NOT_CARRIED if elsewhere else type(error).__name__.lower(),
        reason=error.reason,
        finished_at=situation.now,
    )
    if isinstance(error, InDoubt):
        # Never somebody else's turn before it is resolved: two providers would make two messages.
        wake_at = situation.now + situation.in_doubt_patience
        return Verdict(DeliveryStatus.IN_DOUBT, finished, error.reason, wake_at=wake_at)
    if isinstance(error, PutOff):
        return _again(situation, finished, error.reason, situation.now + (error.retry_after or _THROTTLE_PAUSE))
    if isinstance(error, Withheld):
        return Verdict(DeliveryStatus.SUPPRESSED, finished, error.reason)
    if isinstance(error, Rejected) and not elsewhere:
        return Verdict(DeliveryStatus.FAILED, finished, error.reason)
    return replace(_after(situation, finished, error, elsewhere=elsewhere), paced_until=_asked(situation, error))


def _asked(situation: Situation, error: ProviderError) -> datetime | None:
    if isinstance(error, Throttled) and error.retry_after:
        return situation.now + error.retry_after
    return None


def _after(situation: Situation, finished: Attempt, error: ProviderError, *, elsewhere: bool) -> Verdict:
    others = routing.others_with_a_share(situation.order, situation.provider, situation.earlier, situation.max_attempts)
    pause = _pause(situation, finished, error, has_others=bool(others))
    if pause is None:
        nobody_tried = elsewhere and routing.burned(situation.earlier) == 0
        return Verdict(DeliveryStatus.FAILED, finished, error.reason if nobody_tried else EXHAUSTED)
    return _again(situation, finished, error.reason, situation.now + pause)


def held(situation: Situation, reason: PassedOver, due_at: datetime) -> Verdict:
    """Nobody could be called for now; the attempt ends without burning one."""
    finished = replace(situation.attempt, outcome=HELD, reason=reason.value, finished_at=situation.now)
    if _is_put_off_for_long(situation):
        return Verdict(DeliveryStatus.FAILED, finished, EXHAUSTED)
    return _again(situation, finished, reason.value, due_at)


def given_up(situation: Situation, reason: PassedOver | None) -> Verdict:
    """Nobody will ever be called again for this delivery."""
    why = reason.value if reason else EXHAUSTED
    finished = replace(situation.attempt, outcome=HELD, reason=why, finished_at=situation.now)
    return Verdict(DeliveryStatus.FAILED, finished, why if reason is PassedOver.NOT_CARRIED else EXHAUSTED)


def _again(situation: Situation, finished: Attempt, reason: str, due_at: datetime) -> Verdict:
    if _is_too_late(situation, due_at):
        return Verdict(DeliveryStatus.EXPIRED, finished, reason)
    return Verdict(DeliveryStatus.RETRYING, finished, reason, due_at, due_at + situation.retry_patience)


def _is_too_late(situation: Situation, due_at: datetime) -> bool:
    return situation.expires_at is not None and due_at >= situation.expires_at


def _pause(situation: Situation, finished: Attempt, error: ProviderError, *, has_others: bool) -> timedelta | None:
    """How long until the next attempt; None when there is none."""
    if isinstance(error, Throttled | Untried):
        return None if _is_put_off_for_long(situation) else _unburned_pause(situation, error, has_others=has_others)
    share = routing.has_no_share(situation.provider, (*situation.earlier, finished), situation.max_attempts)
    if has_others and (share is not None or isinstance(error, Misconfigured)):
        return _AT_ONCE
    names = situation.order or (situation.provider,)
    if routing.is_used_up(names, (*situation.earlier, finished), situation.max_attempts):
        return None
    own = [attempt for attempt in situation.earlier if attempt.provider in {situation.provider, None}]
    return pause_before(routing.burned(own) + 2, situation.attempt.id, error.retry_after)


def _is_put_off_for_long(situation: Situation) -> bool:
    return len(situation.earlier) + 1 >= MAX_UNBURNED_ATTEMPTS


def _unburned_pause(situation: Situation, error: ProviderError, *, has_others: bool) -> timedelta:
    if isinstance(error, Untried):
        return _AT_ONCE
    asked = error.retry_after or _THROTTLE_PAUSE
    return _PASSED_ON_AFTER if has_others and asked > PACING_PATIENCE else pause_as_asked(asked, situation.attempt.id)
