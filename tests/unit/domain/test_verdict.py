from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.domain import verdict
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId
from shared.domain.notification import Attempt
from shared.domain.routing import NOT_CARRIED, PassedOver
from shared.domain.status import DeliveryStatus
from shared.domain.verdict import EXHAUSTED, MAX_UNBURNED_ATTEMPTS, Situation

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


@pytest.mark.parametrize("before", [0, MAX, MAX * 3, MAX_UNBURNED_ATTEMPTS - 2])
def test_being_asked_to_slow_down_burns_no_attempt(before: int) -> None:
    throttled = _situation(before + 1, ["throttled"] * before)

    assert verdict.failed(throttled, Throttled("429")).status is DeliveryStatus.RETRYING
    assert verdict.failed(throttled, Transient("down")).status is DeliveryStatus.RETRYING


def test_nobody_is_paced_for_ever() -> None:
    throttled = _situation(MAX_UNBURNED_ATTEMPTS, ["throttled"] * (MAX_UNBURNED_ATTEMPTS - 1))

    result = verdict.failed(throttled, Throttled("429"))

    assert (result.status, result.reason) == (DeliveryStatus.FAILED, EXHAUSTED)


@pytest.mark.parametrize(
    ("asked", "least", "most"), [(30, 30, 37.5), (3600, 3600, 3610), (None, 5, 6.25)], ids=["said", "long", "unsaid"]
)
def test_pacing_follows_the_providers_word_or_a_fixed_pause_and_spreads_what_comes_after(
    asked: int | None, least: float, most: float
) -> None:
    error = Throttled("429", retry_after=timedelta(seconds=asked) if asked else None)

    pauses = [_pause_after(error, f"t.id-{number}.email.1") for number in range(50)]

    assert least <= min(pauses)
    assert max(pauses) <= most
    assert max(pauses) - min(pauses) > (most - least) / 2


def _pause_after(error: ProviderError, attempt_id: str) -> float:
    situation = _situation(1, [])
    situation = replace(situation, attempt=replace(situation.attempt, id=AttemptId(attempt_id)))
    due_at = verdict.failed(situation, error).due_at
    assert due_at is not None
    return (due_at - NOW).total_seconds()


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


TWO = ("fakepost", "otherpost")


def _with_another(number: int, earlier_outcomes: list[str], **more: Any) -> Situation:
    return replace(_situation(number, earlier_outcomes), order=TWO, **more)


def _tried_elsewhere(situation: Situation) -> Situation:
    other = tuple(
        Attempt(AttemptId(f"t.id.email.{n}"), n, NOW, provider="otherpost", outcome="transient") for n in range(MAX)
    )
    return replace(situation, earlier=(*situation.earlier, *other))


def test_each_provider_has_its_own_attempts_and_the_next_one_starts_at_once() -> None:
    last_of_its_share = _with_another(MAX, ["transient"] * (MAX - 1))

    result = verdict.failed(last_of_its_share, Transient("down"))

    assert (result.status, result.due_at) == (DeliveryStatus.RETRYING, NOW)


def test_when_every_provider_has_had_its_attempts_the_delivery_is_given_up() -> None:
    situation = _tried_elsewhere(_with_another(2 * MAX, ["transient"] * (MAX - 1)))

    assert verdict.failed(situation, Transient("down")).reason == EXHAUSTED


def test_while_a_share_lasts_the_schedule_is_kept_also_with_another_provider() -> None:
    result = verdict.failed(_with_another(1, []), Transient("down"))

    assert result.due_at is not None
    assert result.due_at >= NOW + timedelta(seconds=1)


def test_a_wrong_account_makes_it_the_next_providers_turn_at_once_and_its_own_by_the_schedule() -> None:
    assert verdict.failed(_with_another(1, []), Misconfigured("bad_key")).due_at == NOW
    alone = verdict.failed(_situation(1, []), Misconfigured("bad_key"))
    assert alone.due_at is not None
    assert alone.due_at >= NOW + timedelta(seconds=1)


def test_a_rejection_of_this_provider_alone_is_tried_elsewhere_at_once() -> None:
    result = verdict.failed(_with_another(1, []), Rejected("country_not_enabled", elsewhere=True))

    assert (result.status, result.due_at) == (DeliveryStatus.RETRYING, NOW)
    assert (result.attempt.outcome, result.attempt.reason) == (NOT_CARRIED, "country_not_enabled")


def test_a_rejection_of_this_provider_alone_is_final_where_there_is_no_other() -> None:
    result = verdict.failed(_situation(1, []), Rejected("country_not_enabled", elsewhere=True))

    assert (result.status, result.reason) == (DeliveryStatus.FAILED, "country_not_enabled")


def test_a_rejection_of_this_provider_alone_gives_up_what_the_others_failed_to_carry() -> None:
    situation = _tried_elsewhere(_with_another(MAX + 1, []))

    result = verdict.failed(situation, Rejected("country_not_enabled", elsewhere=True))

    assert (result.status, result.reason) == (DeliveryStatus.FAILED, EXHAUSTED)


def test_a_rejection_of_the_message_is_not_tried_elsewhere() -> None:
    assert verdict.failed(_with_another(1, []), Rejected("no_such_user")).status is DeliveryStatus.FAILED


def test_doubt_is_never_failed_over() -> None:
    result = verdict.failed(_with_another(MAX, ["transient"] * (MAX - 1)), InDoubt("timeout"))

    assert (result.status, result.due_at) == (DeliveryStatus.IN_DOUBT, None)


@pytest.mark.parametrize(("asked", "seconds"), [(8, 8), (11, 2), (3600, 2)])
def test_a_long_pause_is_left_to_the_other_provider_as_soon_as_everybody_knows_of_it(asked: int, seconds: int) -> None:
    result = verdict.failed(_with_another(1, []), Throttled("429", retry_after=timedelta(seconds=asked)))

    assert result.due_at is not None
    assert 0 <= (result.due_at - NOW).total_seconds() - seconds <= 2
    assert result.paced_until == NOW + timedelta(seconds=asked)


def test_what_would_come_too_late_has_expired_already() -> None:
    situation = replace(_situation(1, []), expires_at=NOW + timedelta(seconds=30))

    result = verdict.failed(situation, Throttled("429", retry_after=timedelta(seconds=30)))

    assert (result.status, result.reason, result.due_at) == (DeliveryStatus.EXPIRED, "429", None)
    assert result.attempt.outcome == "throttled"


def test_held_back_burns_nothing_and_says_why() -> None:
    due = NOW + timedelta(seconds=60)

    result = verdict.held(_with_another(3, []), PassedOver.BREAKER_OPEN, due)

    assert (result.status, result.reason, result.due_at) == (DeliveryStatus.RETRYING, "breaker_open", due)
    assert (result.attempt.outcome, result.attempt.provider) == ("held", None)


def test_held_back_ends_with_the_time_and_with_patience() -> None:
    due = NOW + timedelta(seconds=60)
    late = replace(_situation(1, []), expires_at=due)
    often = _situation(MAX_UNBURNED_ATTEMPTS, ["held"] * (MAX_UNBURNED_ATTEMPTS - 1))

    assert verdict.held(late, PassedOver.BREAKER_OPEN, due).status is DeliveryStatus.EXPIRED
    assert verdict.held(often, PassedOver.BREAKER_OPEN, due).reason == EXHAUSTED


@pytest.mark.parametrize(
    ("because", "reason"),
    [(PassedOver.USED_UP, EXHAUSTED), (PassedOver.NOT_CARRIED, "not_carried"), (None, EXHAUSTED)],
)
def test_given_up_without_a_call(because: PassedOver | None, reason: str) -> None:
    result = verdict.given_up(_situation(2, []), because)

    assert (result.status, result.reason, result.attempt.outcome) == (DeliveryStatus.FAILED, reason, "held")
