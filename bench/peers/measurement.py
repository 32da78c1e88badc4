"""The measurements, the same for every subject: accept, drain, both together.

CPU is read before the first request and after the subject has come to rest, so work that trails behind the provider's
answer (rows, acknowledgements, announcements) is counted.
"""

from collections.abc import Callable

from bench.peers.closed_loop import Answers, send
from bench.peers.subject import Accepting, Delivering, Subject

CONNECTIONS = 8
WARM_UP = 200


class NotDelivered(Exception):
    """The provider did not see everything that was accepted."""


class Numbers:
    """Numbers of the notifications of one subject: each is used once."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> range:
        first, self._next = self._next, self._next + count
        return range(first, self._next)


def load(subject: Subject, numbers: range, connections: int = CONNECTIONS) -> Answers:
    return send(subject.port, map(subject.request, iter(numbers)), connections)


def warm_up(subject: Subject, numbers: Numbers, count: int, *, items: int = 1) -> None:
    """Caches, pools and compiled templates as they are in steady state."""
    before = subject.provider.counts()["notifications"]
    load(subject, numbers.take(count))
    _arrive(subject, before + count * items)
    subject.settle()


def accept(subject: Subject, numbers: range) -> Accepting:
    """Accepting alone; the caller holds delivery."""
    before = subject.cpu()
    answers = load(subject, numbers)
    used = subject.cpu().since(before)
    return Accepting(
        rate=answers.rate,
        p50_ms=answers.milliseconds(0.5),
        p95_ms=answers.milliseconds(0.95),
        p99_ms=answers.milliseconds(0.99),
        cpu=used.per_thousand(len(numbers)),
    )


def drain(subject: Subject, resume: Callable[[], None], count: int) -> Delivering:
    """Delivering a backlog of ``count``; ``resume()`` lets it go."""
    ledger = subject.provider.counts()
    before = subject.cpu()
    resume()
    _arrive(subject, ledger["notifications"] + count)
    subject.settle()
    used = subject.cpu().since(before)
    arrivals = [at for _, at in subject.provider.calls_since(ledger["calls"])]
    return Delivering((len(arrivals) - 1) / (max(arrivals) - min(arrivals)), used.per_thousand(count))


def together(subject: Subject, numbers: range, *, items: int = 1, connections: int = CONNECTIONS) -> Delivering:
    """Accepting and delivering at once; the rate is from the first request to the last arrival."""
    ledger, count = subject.provider.counts(), len(numbers) * items
    before = subject.cpu()
    answers = load(subject, numbers, connections)
    _arrive(subject, ledger["notifications"] + count)
    subject.settle()
    used = subject.cpu().since(before)
    last = max(at for _, at in subject.provider.calls_since(ledger["calls"]))
    return Delivering(count / (last - answers.started), used.per_thousand(count))


def _arrive(subject: Subject, notifications: int) -> None:
    if not subject.provider.wait_for(notifications, stall_seconds=30):
        counts = subject.provider.counts()
        raise NotDelivered(f"{subject.name}: {counts['notifications']} of {notifications} arrived")
