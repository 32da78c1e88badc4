import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.domain.breaker import (
    CLEAR,
    PROBE_LOOK_SECONDS,
    BreakerPolicy,
    CallWindow,
    Circuit,
    Evidence,
    State,
    evidence_of,
    opened,
    paced,
    probed,
    probing,
    standing_of,
)
from shared.domain.identifiers import AttemptId
from shared.domain.notification import Attempt
from shared.domain.routing import PassedOver

POLICY = BreakerPolicy()
NOW = 1_000.0
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine proves nothing


def _first_alarm(window: CallWindow, calls: Iterable[tuple[float, bool]]) -> int | None:
    """The number of the call, from 1, at which the account looked ill."""
    return next((number for number, (at, failed) in enumerate(calls, 1) if window.note(at, failed=failed)), None)


def _attempt(outcome: str | None, reason: str | None = None, provider: str | None = "fakepost") -> Attempt:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return Attempt(AttemptId("t.id.email.1"), 1, at, provider=provider, outcome=outcome, reason=reason)


@pytest.mark.parametrize(
    ("outcome", "evidence"),
    [
        ("sent", Evidence.WELL),
        ("delivered", Evidence.WELL),
        ("transient", Evidence.ILL),
        ("indoubt", Evidence.ILL),
        ("misconfigured", Evidence.ILL),
        ("throttled", Evidence.ANSWERED),
        ("rejected", Evidence.ANSWERED),
        ("notcarried", Evidence.ANSWERED),
        ("held", Evidence.NONE),
        (None, Evidence.NONE),
    ],
)
def test_what_an_attempt_says_about_its_provider(outcome: str | None, evidence: Evidence) -> None:
    assert evidence_of(_attempt(outcome, "http_503")) is evidence


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("transient", "template_not_found"),
        ("rejected", "template_unusable"),
        ("throttled", "own_limit"),
        ("indoubt", "internal_error"),
    ],
)
def test_what_went_wrong_on_our_side_says_nothing(outcome: str, reason: str) -> None:
    assert evidence_of(_attempt(outcome, reason)) is Evidence.NONE


def test_five_failures_in_a_row_look_ill() -> None:
    assert _first_alarm(CallWindow(POLICY), [(NOW, True)] * 9) == 5
    assert _first_alarm(CallWindow(POLICY), [(NOW + 30 * n, True) for n in range(9)]) == 5


def test_a_success_in_between_starts_the_row_anew() -> None:
    calls = [(NOW + n, n % 5 != 4) for n in range(15)]

    assert _first_alarm(CallWindow(replace(POLICY, failure_rate=1.0)), calls) is None


def test_half_of_twenty_calls_failing_look_ill() -> None:
    calls = [(NOW + n / 10, n % 2 == 1) for n in range(40)]

    assert _first_alarm(CallWindow(POLICY), calls) == 20


def test_a_rate_over_few_calls_says_nothing() -> None:
    calls = [(NOW + n * 2, n % 2 == 1) for n in range(200)]

    assert _first_alarm(CallWindow(POLICY), calls) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_tenth_of_errors_in_heavy_traffic_never_looks_ill(seed: int) -> None:
    chance = random.Random(seed)
    calls = [(NOW + n / 1000, chance.random() < 0.1) for n in range(20_000)]

    assert _first_alarm(CallWindow(POLICY), calls) is None


def test_an_outage_in_heavy_traffic_is_seen_within_a_second() -> None:
    well = [(NOW + n / 1000, False) for n in range(5000)]
    ill = [(NOW + 5 + n / 1000, True) for n in range(2000)]

    alarm = _first_alarm(CallWindow(POLICY), well + ill)

    assert alarm is not None
    assert alarm - len(well) <= 1000


def test_forgotten_calls_no_longer_count() -> None:
    window = CallWindow(POLICY)
    for _ in range(4):
        window.note(NOW, failed=True)

    window.forget()

    assert _first_alarm(window, [(NOW, True)] * 9) == 5


def test_a_closed_circuit_is_clear() -> None:
    assert standing_of(Circuit(), NOW) is CLEAR


def test_an_open_circuit_is_closed_to_all_for_a_minute_and_then_to_all_but_one() -> None:
    circuit = opened(Circuit(), NOW, POLICY)

    early = standing_of(circuit, NOW + 59.9)
    later = standing_of(circuit, NOW + 60)
    assert (early.away, early.until, early.may_probe) == (PassedOver.BREAKER_OPEN, NOW + 60, False)
    assert (later.away, later.may_probe) == (PassedOver.BREAKER_OPEN, True)
    assert probing(circuit, NOW + 59.9, "a", POLICY) is circuit
    half = probing(circuit, NOW + 60, "a", POLICY)
    assert (half.state, half.probe) == (State.HALF_OPEN, "a")
    assert probing(half, NOW + 61, "b", POLICY) is half


def test_while_somebody_probes_the_others_look_again_soon() -> None:
    half = probing(opened(Circuit(), NOW, POLICY), NOW + 60, "a", POLICY)

    standing = standing_of(half, NOW + 61)

    assert (standing.away, standing.until) == (PassedOver.BREAKER_OPEN, NOW + 61 + PROBE_LOOK_SECONDS)


@pytest.mark.parametrize("evidence", [Evidence.WELL, Evidence.ANSWERED])
def test_any_answer_to_the_probe_closes_the_circuit(evidence: Evidence) -> None:
    half = probing(opened(Circuit(), NOW, POLICY), NOW + 60, "a", POLICY)

    closed = probed(half, NOW + 61, "a", evidence, POLICY)

    assert (closed.state, closed.since) == (State.CLOSED, NOW + 61)


def test_a_failed_probe_opens_it_for_another_minute_and_one_that_came_to_nothing_leaves_it_to_the_next() -> None:
    half = probing(opened(Circuit(), NOW, POLICY), NOW + 60, "a", POLICY)

    failed = probed(half, NOW + 61, "a", Evidence.ILL, POLICY)
    nothing = probed(half, NOW + 61, "a", Evidence.NONE, POLICY)

    assert standing_of(failed, NOW + 61).until == NOW + 121
    assert standing_of(nothing, NOW + 61).may_probe


def test_a_probe_that_died_is_replaced_and_not_heard_any_more() -> None:
    half = probing(opened(Circuit(), NOW, POLICY), NOW + 60, "a", POLICY)

    second = probing(half, NOW + 105, "b", POLICY)

    assert (second.state, second.probe) == (State.HALF_OPEN, "b")
    assert probed(second, NOW + 106, "a", Evidence.WELL, POLICY) is second


def test_a_pause_that_was_asked_for_holds_and_the_longest_wins() -> None:
    circuit = paced(paced(Circuit(), NOW + 30), NOW + 10)

    standing = standing_of(circuit, NOW)
    assert (standing.away, standing.until, standing.may_probe) == (PassedOver.THROTTLED, NOW + 30, False)
    assert standing_of(circuit, NOW + 30) is CLEAR


def test_nobody_probes_while_a_pause_lasts() -> None:
    circuit = paced(opened(Circuit(), NOW, POLICY), NOW + 90)

    standing = standing_of(circuit, NOW + 70)

    assert (standing.away, standing.until, standing.may_probe) == (PassedOver.BREAKER_OPEN, NOW + 90, False)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["open", "probe", "end", "pace", "wait"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(list(Evidence)),
        st.floats(0, 100),
    ),
    max_size=60,
)


@unhurried
@given(EVENTS)
def test_whatever_happens_there_is_one_prober_at_a_time_and_a_way_out(
    events: list[tuple[str, str, Evidence, float]],
) -> None:
    circuit, now, probers = Circuit(), NOW, dict[str, float]()
    for event, who, evidence, seconds in events:
        now += seconds if event == "wait" else 0.0
        probers = {name: until for name, until in probers.items() if until > now}
        before = circuit
        if event == "open":
            circuit = opened(circuit, now, POLICY)
        elif event == "pace":
            circuit = paced(circuit, now + seconds)
        elif event == "probe":
            circuit = probing(circuit, now, who, POLICY)
            if circuit is not before:
                assert not probers, "two probes at once"
                probers[who] = circuit.until
        elif event == "end":
            circuit = probed(circuit, now, who, evidence, POLICY)
            if circuit is not before:
                # Taken for dead or not: as long as nobody else probes, it is the one that is waited for.
                assert before.probe == who, "ended what it did not hold"
                probers.pop(who, None)
        assert (circuit.state is State.HALF_OPEN) == bool(circuit.probe)
        assert circuit.paced_until >= before.paced_until
        if circuit.state is State.CLOSED and before.state is not State.CLOSED:
            assert event == "end"
            assert evidence in {Evidence.WELL, Evidence.ANSWERED}
    wait = max(circuit.until, circuit.paced_until, now)
    assert standing_of(circuit, wait) is CLEAR or standing_of(circuit, wait).may_probe


@unhurried
@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=300))
def test_a_window_alarms_only_on_a_failure_and_only_with_cause(calls: list[tuple[float, bool]]) -> None:
    window, now, row, seen = CallWindow(POLICY), NOW, 0, list[tuple[float, bool]]()
    for pause, failed in calls:
        now += pause
        seen.append((now, failed))
        row = row + 1 if failed else 0
        recent = [was for at, was in seen if int(at) > int(now) - POLICY.window_seconds]
        is_high = len(recent) >= POLICY.minimum_calls and sum(recent) >= len(recent) * POLICY.failure_rate

        if window.note(now, failed=failed):
            assert failed
            assert row >= POLICY.failures_in_a_row or is_high
        elif failed:
            assert not is_high
