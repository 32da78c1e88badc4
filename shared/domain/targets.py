"""One delivery to several targets, such as a customer's devices: what an attempt is for, and what it came to.

A customer is reached when any target is. So a delivery is sent when any target took it, in doubt when none did and some
may have, and failed when none did and none can any more. As long as some may still be reached it is tried again, for
those alone: no target gets it twice, save those in doubt if the sweeper decides to send again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from shared.domain import verdict
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, PutOff, Rejected, Throttled, Transient, Withheld
from shared.domain.identifiers import AttemptId
from shared.domain.notification import Attempt, TargetResult
from shared.domain.routing import NOT_CARRIED
from shared.domain.status import DeliveryStatus
from shared.domain.verdict import Situation, Verdict

PARTLY_SENT = "partly_sent"  # some targets took it, others did not and will not
_TAKEN = frozenset({DeliveryStatus.SENT.value, DeliveryStatus.DELIVERED.value})
_IN_DOUBT = InDoubt.__name__.lower()
_CLOSED = _TAKEN | {Rejected.__name__.lower()}
# Of several failures the most retriable one speaks for the attempt.
_PRECEDENCE: tuple[type[ProviderError], ...] = (PutOff, Throttled, Transient, Rejected, Misconfigured)


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """What the provider said about target ``number``: it took it, or ``error``."""

    number: int
    error: ProviderError | None = None
    provider_message_id: str | None = None
    delivered: bool = False


def target_id(attempt_id: AttemptId, number: int) -> AttemptId:
    """The attempt id that target ``number`` gets, so that no two provider calls bear the same."""
    return AttemptId(f"{attempt_id}~{number}") if number else attempt_id


def attempt_of_target(text: str) -> str:
    """The attempt id inside what a target got; any other text as it is."""
    return text.partition("~")[0]


def open_targets(count: int, earlier: Iterable[Attempt]) -> tuple[int, ...]:
    """Which of ``count`` targets the next attempt is for, after the attempts made so far.

    A target in doubt is left alone, unless its whole attempt was in doubt: then there is a next attempt only because it
    was decided to send again.
    """
    closed: set[int] = set()
    for attempt in earlier:
        for result in attempt.targets:
            is_left_alone = result.outcome == _IN_DOUBT and attempt.outcome != _IN_DOUBT
            if result.outcome in _CLOSED or is_left_alone:
                closed.add(result.number)
    return tuple(number for number in range(count) if number not in closed)


def any_taken(attempts: Iterable[Attempt]) -> bool:
    """Whether any attempt reached any of its several targets."""
    return any(result.outcome in _TAKEN for attempt in attempts for result in attempt.targets)


def judge(situation: Situation, count: int, answers: Sequence[TargetAnswer]) -> Verdict:
    """What an attempt at several of ``count`` targets came to."""
    finished = replace(situation.attempt, targets=tuple(map(_result, answers)))
    situation = replace(situation, attempt=finished)
    has_reached = any_taken((*situation.earlier, finished))
    errors = [answer.error for answer in answers if answer.error is not None]
    in_doubt = next((error for error in errors if isinstance(error, InDoubt)), None)
    pending = [error for error in errors if _may_succeed_later(error)]
    if in_doubt and not has_reached:
        return verdict.failed(situation, in_doubt)
    if pending:
        return verdict.failed(situation, min(pending, key=_precedence))
    taken = next((answer for answer in answers if answer.error is None), None)
    if taken is None:
        ended = verdict.failed(situation, errors[0] if errors else Rejected("no_target"))
        return _sent_before(ended) if has_reached else ended
    result = verdict.accepted(situation, taken.provider_message_id, delivered=taken.delivered)
    return result if _reached((*situation.earlier, finished)) == count else replace(result, reason=PARTLY_SENT)


def with_reach(result: Verdict, earlier: Sequence[Attempt]) -> Verdict:
    """The verdict, unless it ends a delivery as not sent though some target took it, now or earlier."""
    ended_unsent = result.status in {DeliveryStatus.FAILED, DeliveryStatus.EXPIRED, DeliveryStatus.SUPPRESSED}
    return _sent_before(result) if ended_unsent and any_taken((*earlier, result.attempt)) else result


def _sent_before(result: Verdict) -> Verdict:
    return replace(result, status=DeliveryStatus.SENT, reason=PARTLY_SENT, due_at=None, wake_at=None)


def _result(answer: TargetAnswer) -> TargetResult:
    if answer.error is None:
        taken = DeliveryStatus.DELIVERED if answer.delivered else DeliveryStatus.SENT
        return TargetResult(answer.number, taken.value, None, answer.provider_message_id)
    is_only_here = isinstance(answer.error, Rejected) and answer.error.elsewhere
    outcome = NOT_CARRIED if is_only_here else type(answer.error).__name__.lower()
    return TargetResult(answer.number, outcome, answer.error.reason)


def _reached(attempts: Iterable[Attempt]) -> int:
    return len({result.number for attempt in attempts for result in attempt.targets if result.outcome in _TAKEN})


def _may_succeed_later(error: ProviderError) -> bool:
    return error.elsewhere if isinstance(error, Rejected) else not isinstance(error, InDoubt | Withheld)


def _precedence(error: ProviderError) -> int:
    return next(rank for rank, kind in enumerate(_PRECEDENCE) if isinstance(error, kind))
