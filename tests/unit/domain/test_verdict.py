from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain import verdict
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId
from shared.domain.notification import Attempt
from shared.domain.status import DeliveryStatus
from shared.domain.verdict import EXHAUSTED, MAX_THROTTLED_ATTEMPTS, Situation

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MAX = 4


def _situation(number: int, earlier_outcomes: list[str]) -> Situation:
    earlier = tuple(
        Attempt(AttemptId(f"t.id.email.{n}"), n, NOW, outcome=outcome) for n, outcome in enumerate(earlier_outcomes, 1)
    )
    return Situation(
        attempt=Attempt(AttemptId(f"t.id.email.{number}"), number, NOW),
        earlier=earlier,
        max_attempts=MAX,
        provider="fakepost",
        now=NOW,
        retry_patience=timedelta(seconds=90),
        in_doubt_patience=timedelta(seconds=60),
    )


def _after_transients(count: int) -> Situation:
    return _situation(count + 1, ["transient"] * count)


@pytest.mark.parametrize("error", [Transient("down"), Misconfigured("bad key")])
@pytest.mark.parametrize("before", range(MAX + 2))
def test_what_may_pass_is_retried_until_the_attempts_are_used_up(error: ProviderError, before: int) -> None:
    result = verdict.failed(_after_transients(before), error)

    if before + 1 >= MAX:
        assert (result.status, result.reason) == (DeliveryStatus.FAILED, EXHAUSTED)
        assert result.attempt.reason == error.reason
        assert (result.due_at, result.wake_at) == (None, None)
    else:
        assert (result.status, result.reason) == (DeliveryStatus.RETRYING, error.reason)
        assert result.due_at is not None
        assert result.due_at > NOW
        assert result.wake_at == result.due_at + timedelta(seconds=90)


@pytest.mark.parametrize("before", range(MAX + 2))
def test_a_rejection_is_final_at_once(before: int) -> None:
    result = verdict.failed(_after_transients(before), Rejected("no_such_user"))

    assert (result.status, result.reason) == (DeliveryStatus.FAILED, "no_such_user")
    assert (result.due_at, result.wake_at) == (None, None)


@pytest.mark.parametrize("before", range(MAX + 2))
def test_doubt_waits_for_a_receipt_and_is_never_retried_here(before: int) -> None:
    result = verdict.failed(_after_transients(before), InDoubt("timeout"))

    assert (result.status, result.due_at) == (DeliveryStatus.IN_DOUBT, None)
    assert result.wake_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize("before", [0, MAX, MAX * 3, MAX_THROTTLED_ATTEMPTS - 2])
def test_being_asked_to_slow_down_burns_no_attempt(before: int) -> None:
    throttled = _situation(before + 1, ["throttled"] * before)

    assert verdict.failed(throttled, Throttled("429")).status is DeliveryStatus.RETRYING
    assert verdict.failed(throttled, Transient("down")).status is DeliveryStatus.RETRYING


def test_nobody_is_paced_for_ever() -> None:
    throttled = _situation(MAX_THROTTLED_ATTEMPTS, ["throttled"] * (MAX_THROTTLED_ATTEMPTS - 1))

    result = verdict.failed(throttled, Throttled("429"))

    assert (result.status, result.reason) == (DeliveryStatus.FAILED, EXHAUSTED)


def test_pacing_follows_the_providers_word_or_a_fixed_pause() -> None:
    situation = _situation(1, [])

    assert verdict.failed(situation, Throttled("429", retry_after=timedelta(seconds=30))).due_at == NOW + timedelta(
        seconds=30
    )
    assert verdict.failed(situation, Throttled("429")).due_at == NOW + timedelta(seconds=5)


def test_back_off_grows_with_burned_attempts_only() -> None:
    paced = _situation(6, ["throttled"] * 5)

    result = verdict.failed(paced, Transient("down"))

    assert result.due_at is not None
    assert timedelta(seconds=1) <= result.due_at - NOW <= timedelta(seconds=1.25)


@pytest.mark.parametrize(("delivered", "status"), [(False, DeliveryStatus.SENT), (True, DeliveryStatus.DELIVERED)])
def test_acceptance_ends_the_attempt(delivered: bool, status: DeliveryStatus) -> None:
    situation = _situation(1, [])

    result = verdict.accepted(situation, "provider-id", delivered=delivered)

    assert (result.status, result.wake_at) == (status, None)
    assert result.attempt == replace(
        situation.attempt,
        provider="fakepost",
        outcome=status.value,
        provider_message_id="provider-id",
        finished_at=NOW,
    )
