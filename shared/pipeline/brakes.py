"""Brakes: counts what each tenant and each of its templates sends and how much of it fails, and says what to hold.

Counting is in memory. What one process counted is told to the store only when it is worth telling: when much of it
fails, when there is much of it, or when a window is over. So all processes together see a spike or a wave of failures
within seconds, and ordinary traffic costs a write for each subject and five minutes.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.brakes import WINDOW, BrakeLimits, Tally, judge, window_of
from shared.domain.errors import StoreUnavailable
from shared.domain.notification import Notification
from shared.domain.outcome import Outcome
from shared.domain.quarantine import Because, Quarantine, Subject
from shared.domain.status import DeliveryStatus
from shared.pipeline.quarantine_store import BrakeStore

logger = logging.getLogger(__name__)

OPENED_BY = "brakes"
_LOOK_EVERY_SECONDS = 1.0
_TELL_EVERY_SECONDS = 5.0  # of one subject
_TOLD_AT_ONCE = 5  # subjects
_WORTH_FAILURES, _WORTH_FAILURE_SHARE = 5, 0.1  # half of what brakes
_WORTH_DELIVERIES = 500  # in a window and process
_WORTH_AT_END = 20
_MOST_SUBJECTS = 10_000
_WENT_OUT = {DeliveryStatus.SENT, DeliveryStatus.DELIVERED}
_REJECTED = "rejected"  # the outcome of an attempt that failed for good, by a provider or for its template


@dataclass(slots=True)
class _Count:
    """What this process counted of one subject in one window, and how much of it is told."""

    window: int
    deliveries: int = 0
    failures: int = 0
    told_deliveries: int = 0
    told_failures: int = 0
    told_at: float = float("-inf")

    def is_worth_telling(self, window: int, now: float) -> bool:
        """Whether it can't wait, or is complete."""
        if (self.told_deliveries, self.told_failures) == (self.deliveries, self.failures):
            return False
        if self.window < window:
            return self.deliveries >= _WORTH_AT_END or self.failures > 0
        if now - self.told_at < _TELL_EVERY_SECONDS:
            return False
        fails = self.failures >= _WORTH_FAILURES and self.failures >= _WORTH_FAILURE_SHARE * self.deliveries
        return fails or self.deliveries >= _WORTH_DELIVERIES


class Brakes:
    """Counts of this process. Without a store nothing ever brakes."""

    def __init__(
        self,
        store: BrakeStore | None = None,
        limits: BrakeLimits | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._limits = limits or BrakeLimits()
        self._monotonic = monotonic
        self._counts: dict[Subject, _Count] = {}
        self._over: list[tuple[Subject, _Count]] = []
        self._looked_at = float("-inf")

    def note_outcomes(self, results: Iterable[tuple[Notification, Outcome]], now: datetime) -> None:
        """What attempts came to. What a provider could not take for now, or may have taken, says nothing."""
        window = window_of(now)
        for notification, outcome in results:
            failed = outcome.status is DeliveryStatus.FAILED and outcome.attempt.outcome == _REJECTED
            if failed or outcome.status in _WENT_OUT:
                template = notification.template.id if notification.template else None
                self._add(Subject(notification.tenant_id), window, 1, int(failed))
                if template:
                    self._add(Subject(notification.tenant_id, template), window, 1, int(failed))

    def note_bounces(self, tenant: str, count: int, now: datetime) -> None:
        """What receipts tell of deliveries that had gone out; of which template is not known."""
        if count:
            self._add(Subject(tenant), window_of(now), 0, count)

    def _add(self, subject: Subject, window: int, deliveries: int, failures: int) -> None:
        count = self._counts.get(subject)
        if count is None or count.window < window:
            if count is not None:
                self._over.append((subject, count))
            if len(self._counts) >= _MOST_SUBJECTS:
                self._counts.clear()
            count = self._counts[subject] = _Count(window)
        count.deliveries += deliveries
        count.failures += failures

    async def to_hold(self, now: datetime) -> list[Quarantine]:
        """What should be held from now on. Looks once a second at most. Never raises."""
        instant = self._monotonic()
        if self._store is None or instant - self._looked_at < _LOOK_EVERY_SECONDS:
            return []
        self._looked_at = instant
        window, found = window_of(now), []
        for subject, count in self._worth_telling(window, instant)[:_TOLD_AT_ONCE]:
            count.told_at = instant
            tally = await _tell(self._store, subject, count)
            because = judge(tally, self._limits) if tally and tally.window == window else None
            if tally and because:
                found.append(_quarantine(subject, because, tally, now))
        return found

    def _worth_telling(self, window: int, instant: float) -> list[tuple[Subject, _Count]]:
        self._over = [each for each in self._over if each[1].is_worth_telling(window, instant)]
        current = [each for each in self._counts.items() if each[1].is_worth_telling(window, instant)]
        return current + self._over


async def _tell(store: BrakeStore, subject: Subject, count: _Count) -> Tally | None:
    """What all processes told of the subject so far; None while the store is away."""
    deliveries, failures = count.deliveries - count.told_deliveries, count.failures - count.told_failures
    try:
        tally = await store.tell(subject, count.window, deliveries, failures)
    except StoreUnavailable as error:
        logger.info("Brakes not told", extra={"cause": type(error).__name__})
        return None
    count.told_deliveries += deliveries
    count.told_failures += failures
    return tally


def _quarantine(subject: Subject, because: Because, tally: Tally, now: datetime) -> Quarantine:
    evidence = {
        "deliveries": tally.deliveries,
        "failures": tally.failures,
        "highestBefore": round(max(tally.peak, tally.previous)),
        "windowSeconds": WINDOW.total_seconds(),
    }
    return Quarantine(subject, now, because, OPENED_BY, evidence=evidence)
