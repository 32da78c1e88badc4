"""What came of what was accepted: pure comparison of the client's list, the provider's ledger and the API's answers.

An attempt id is ``tenant.trackingId.channel.number``. *Lost*: accepted, and never at the provider or without a final
status. *Doubled*: one attempt id called twice, or a notification called twice that the service doesn't say is in doubt.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FINAL = frozenset({"sent", "delivered", "failed", "bounced", "expired"})

Call = tuple[str, float]  # attempt id, monotonic seconds of arrival
View = Mapping[str, Any]


def tracking_id_of(attempt_id: str) -> str:
    return attempt_id.rsplit(".", 3)[-3]


@dataclass(frozen=True)
class Reconciliation:
    """Empty lists are what everybody hopes for."""

    accepted: int
    called: int
    lost: Sequence[str] = ()
    attempts_called_twice: Sequence[str] = ()
    called_twice: Sequence[str] = ()  # notifications, not in doubt
    in_doubt: Sequence[str] = ()
    strangers: int = 0  # called for, and not on the client's list: its answer was lost, or it is of another measurement

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.attempts_called_twice or self.called_twice)

    def __add__(self, other: "Reconciliation") -> "Reconciliation":
        return Reconciliation(
            self.accepted + other.accepted,
            self.called + other.called,
            [*self.lost, *other.lost],
            [*self.attempts_called_twice, *other.attempts_called_twice],
            [*self.called_twice, *other.called_twice],
            [*self.in_doubt, *other.in_doubt],
            self.strangers + other.strangers,
        )


def suspects(accepted: Iterable[str], calls: Iterable[Call]) -> list[str]:
    """The notifications whose status must be asked for: never called, or called more than once."""
    counts = Counter(tracking_id_of(attempt) for attempt, _ in calls)
    return [each for each in dict.fromkeys(accepted) if counts[each] != 1]


def reconcile(accepted: Sequence[str], calls: Sequence[Call], views: Mapping[str, View]) -> Reconciliation:
    """The verdict. ``views`` holds at least the suspects' status answers; more make it stricter."""
    attempts = Counter(attempt for attempt, _ in calls)
    counts = Counter(tracking_id_of(attempt) for attempt, _ in calls)
    distinct = set(accepted)
    in_doubt = {each for each, view in views.items() if is_in_doubt(view)}
    return Reconciliation(
        accepted=len(distinct),
        called=len(distinct & counts.keys()),
        lost=[each for each in distinct if _is_lost(counts[each], views.get(each))],
        attempts_called_twice=[attempt for attempt, count in attempts.items() if count > 1],
        called_twice=[each for each, count in counts.items() if count > 1 and each not in in_doubt],
        in_doubt=sorted(in_doubt),
        strangers=len(counts.keys() - distinct),
    )


def _is_lost(count: int, view: View | None) -> bool:
    return count == 0 or (view is not None and view.get("status") not in FINAL)


def is_in_doubt(view: View) -> bool:
    return any(delivery.get("inDoubt") for delivery in view.get("deliveries", ()))


@dataclass(frozen=True)
class CallbackVerdict:
    """Signed callbacks against what the histories say should have been told."""

    wanted: int = 0
    missing: Sequence[str] = ()
    repeated: int = 0  # allowed: at least once
    forged: int = 0
    received: int = field(default=0)


def reconcile_callbacks(
    views: Mapping[str, View], callbacks: Sequence[Sequence[str]], statuses: frozenset[str], forged: int
) -> CallbackVerdict:
    """Whether each status that happened and was subscribed to was called back, by webhook-id."""
    told = Counter(callback[0] for callback in callbacks)
    wanted = {
        f"{each}.{entry['channel']}.{entry['status'].upper()}"
        for each, view in views.items()
        for entry in view.get("history", ())
        if entry["status"].upper() in statuses
    }
    return CallbackVerdict(
        wanted=len(wanted),
        missing=sorted(wanted - told.keys()),
        repeated=sum(count > 1 for count in told.values()),
        forged=forged,
        received=len(callbacks),
    )
