"""The circuit breaker of a provider account as a state machine (design 2.2, step 4; requirements S0-22, S2-02).

Two parts, both without input and output. A ``CallWindow`` watches the calls of one process and says when they look like
an outage. A ``Circuit`` is what all processes share about an account: closed, open until a time, or half-open with one
probe. Each transition takes a circuit and gives the next one, or the same object when it changes nothing; whoever
stores it does so on condition that it is still the one that was read.

What counts as a failure: the account did not take the call, or may have (transient, misconfigured, in doubt). To be
asked for a slower pace, or told that a message is unacceptable, is an answer of a healthy provider. Times are seconds.
"""

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum

from shared.domain.errors import InDoubt, Misconfigured, Rejected, Throttled, Transient, Untried
from shared.domain.notification import Attempt
from shared.domain.routing import NOT_CARRIED, PassedOver
from shared.domain.status import DeliveryStatus

PROBE_LOOK_SECONDS = 1.0  # how soon to look again while somebody's probe is on its way
_ACCEPTED = {DeliveryStatus.SENT.value, DeliveryStatus.DELIVERED.value}
_FAILURES = {error.__name__.lower() for error in (Transient, InDoubt, Misconfigured)}
_ANSWERS = {error.__name__.lower() for error in (Throttled, Rejected, Untried)} | {NOT_CARRIED}
# Reasons that come from this side, before any byte left or instead of one. They tell nothing about the provider.
_OUR_OWN = {
    "template_not_found",
    "template_unusable",
    "content_refused",
    "wrong_channel",
    "internal_error",
    "own_limit",
}


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When an account counts as ill, and how it gets well.

    Attributes:
        failures_in_a_row: so many open the circuit; a busy process needs as many as half a second's calls, so that a
            few per cent of errors in heavy traffic never look like an outage.
        failure_rate: this share of failures within the window opens it too.
        minimum_calls: below so many calls within the window the rate says nothing.
        window_seconds: how far back the rate looks.
        open_seconds: how long nobody calls; then one probe does.
        probe_seconds: after so long without an outcome a probe counts as dead; longer than any call may take.
    """

    failures_in_a_row: int = 5
    failure_rate: float = 0.5
    minimum_calls: int = 20
    window_seconds: int = 10
    open_seconds: float = 60.0
    probe_seconds: float = 45.0


class Evidence(StrEnum):
    """What an attempt says about its provider's health."""

    WELL = "well"
    ANSWERED = "answered"  # it said no, so somebody is there
    ILL = "ill"
    NONE = "none"


def evidence_of(attempt: Attempt) -> Evidence:
    """What a finished attempt says about its provider."""
    if attempt.provider is None or attempt.reason in _OUR_OWN:
        return Evidence.NONE
    if attempt.outcome in _ACCEPTED:
        return Evidence.WELL
    if attempt.outcome in _FAILURES:
        return Evidence.ILL
    return Evidence.ANSWERED if attempt.outcome in _ANSWERS else Evidence.NONE


@dataclass(slots=True)
class _Second:
    at: int
    calls: int = 0
    failures: int = 0


class CallWindow:
    """The recent calls of one process to one account."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._seconds: deque[_Second] = deque()
        self._in_a_row = 0

    def note(self, now: float, *, failed: bool) -> bool:
        """Takes one call in; whether the account now looks ill."""
        second = self._second(int(now))
        second.calls += 1
        if not failed:
            self._in_a_row = 0
            return False
        second.failures += 1
        self._in_a_row += 1
        return self._in_a_row >= self._needed_in_a_row() or self._rate_is_high()

    def forget(self) -> None:
        """Starts anew: what was before says nothing about what comes."""
        self._seconds.clear()
        self._in_a_row = 0

    def _second(self, at: int) -> _Second:
        if not self._seconds or self._seconds[-1].at < at:
            self._seconds.append(_Second(at))
            while self._seconds[0].at <= at - self._policy.window_seconds:
                self._seconds.popleft()
        return self._seconds[-1]

    def _needed_in_a_row(self) -> float:
        busiest = max(second.calls for second in list(self._seconds)[-2:])
        return max(self._policy.failures_in_a_row, busiest / 2)

    def _rate_is_high(self) -> bool:
        calls = sum(second.calls for second in self._seconds)
        failures = sum(second.failures for second in self._seconds)
        return calls >= self._policy.minimum_calls and failures >= calls * self._policy.failure_rate


class State(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Circuit:
    """What all processes know of an account.

    Attributes:
        state: whether calls pass.
        until: when an open circuit may be probed; when the probe of a half-open one counts as dead.
        since: when the state last changed. Calls that began before say nothing about the state after.
        probe: who probes.
        paced_until: until when the provider asked everybody to pause.
    """

    state: State = State.CLOSED
    until: float = 0.0
    since: float = 0.0
    probe: str = ""
    paced_until: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredCircuit:
    """A circuit and the version it has in the store; no version while it was never stored."""

    circuit: Circuit
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an account may be called now. ``away`` says why not, ``until`` for how long at least."""

    away: PassedOver | None = None
    until: float = 0.0
    may_probe: bool = False


CLEAR = Standing()


def standing_of(circuit: Circuit, now: float) -> Standing:
    """Whether the account may be called at ``now``."""
    if circuit.paced_until > now:
        until = max(circuit.paced_until, circuit.until if circuit.state is State.OPEN else 0.0)
        return Standing(PassedOver.THROTTLED if circuit.state is State.CLOSED else PassedOver.BREAKER_OPEN, until)
    if circuit.state is State.CLOSED:
        return CLEAR
    if circuit.until <= now:
        return Standing(PassedOver.BREAKER_OPEN, now, may_probe=True)
    until = circuit.until if circuit.state is State.OPEN else min(circuit.until, now + PROBE_LOOK_SECONDS)
    return Standing(PassedOver.BREAKER_OPEN, until)


def opened(circuit: Circuit, now: float, policy: BreakerPolicy) -> Circuit:
    """Somebody's window says that the account is ill. Changes only a closed circuit: the others know already."""
    if circuit.state is not State.CLOSED:
        return circuit
    return replace(circuit, state=State.OPEN, until=now + policy.open_seconds, since=now, probe="")


def probing(circuit: Circuit, now: float, prober: str, policy: BreakerPolicy) -> Circuit:
    """``prober`` alone may make one call, if nobody else does and the time has come."""
    if not standing_of(circuit, now).may_probe:
        return circuit
    return replace(circuit, state=State.HALF_OPEN, until=now + policy.probe_seconds, since=now, probe=prober)


def probed(circuit: Circuit, now: float, prober: str, evidence: Evidence, policy: BreakerPolicy) -> Circuit:
    """What the probe found: an answer closes the circuit, a failure opens it anew, nothing leaves it to the next probe.

    Only the probe that the circuit waits for is heard: one that was taken for dead is not.
    """
    if circuit.state is not State.HALF_OPEN or circuit.probe != prober:
        return circuit
    if evidence in {Evidence.WELL, Evidence.ANSWERED}:
        return replace(circuit, state=State.CLOSED, until=0.0, since=now, probe="")
    pause = policy.open_seconds if evidence is Evidence.ILL else 0.0
    return replace(circuit, state=State.OPEN, until=now + pause, since=now, probe="")


def paced(circuit: Circuit, until: float) -> Circuit:
    """The provider asked for a pause; the longest one holds."""
    return circuit if until <= circuit.paced_until else replace(circuit, paced_until=until)
