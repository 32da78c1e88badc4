from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.domain.identifiers import AttemptId
from shared.domain.notification import Attempt
from shared.domain.routing import (
    NOT_CARRIED,
    PassedOver,
    burned,
    cheapest_first,
    choose,
    is_used_up,
    order_of,
    others_with_a_share,
)
from shared.domain.tenant_policy import ProviderShare

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MAX = 3
ORDER = ("first", "second", "third")


def _made(*calls: tuple[str | None, str | None]) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(AttemptId(f"t.id.sms.{number}"), number, NOW, provider=provider, outcome=outcome)
        for number, (provider, outcome) in enumerate(calls, 1)
    )


def _choose(*calls: tuple[str | None, str | None], order: tuple[str, ...] = ORDER, **away: PassedOver) -> Any:
    return choose(order, _made(*calls), MAX, away=away)


def test_without_a_policy_the_order_is_that_of_registration() -> None:
    assert order_of(ORDER, (), "any") == ORDER


def test_a_policy_says_the_order_and_may_leave_providers_out() -> None:
    assert order_of(ORDER, (ProviderShare("third"), ProviderShare("first")), "any") == ("third", "first")


def test_a_policy_of_strangers_stops_nothing() -> None:
    assert order_of(ORDER, (ProviderShare("gone"),), "any") == ORDER
    assert order_of(ORDER, (ProviderShare("gone"), ProviderShare("second")), "any") == ("second",)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((ProviderShare("first", 90), ProviderShare("second", 10)), {"first": 90, "second": 10}),
        ((ProviderShare("first"), ProviderShare("second", 5)), {"first": 95, "second": 5}),
        ((ProviderShare("first", 1), ProviderShare("second", 3)), {"first": 25, "second": 75}),
        ((ProviderShare("first", 0), ProviderShare("second", 0)), {"first": 100}),
        ((ProviderShare("first"), ProviderShare("second"), ProviderShare("third", 20)), dict.fromkeys(ORDER[:2], 40)),
    ],
)
def test_weights_split_first_choices(shares: tuple[ProviderShare, ...], expected: dict[str, int]) -> None:
    firsts = Counter(order_of(ORDER, shares, f"id-{number}")[0] for number in range(4000))

    for name, percent in expected.items():
        assert firsts[name] / 40 == pytest.approx(percent, abs=3)


def test_a_split_is_the_same_every_time_and_keeps_the_others_behind() -> None:
    shares = (ProviderShare("first", 50), ProviderShare("second", 50), ProviderShare("third", 0))

    orders = {order_of(ORDER, shares, f"id-{number}") for number in range(100)}

    assert orders == {("first", "second", "third"), ("second", "first", "third")}
    assert len({order_of(ORDER, shares, "id-1") for _ in range(10)}) == 1


def test_the_cheapest_goes_first_and_equals_stay_in_order() -> None:
    prices = {"first": 7, "second": 5, "third": 5}

    assert cheapest_first(ORDER, prices.__getitem__) == ("second", "third", "first")


def test_the_most_preferred_is_chosen_without_a_reason() -> None:
    choice = _choose()

    assert (choice.provider, choice.because) == ("first", None)


@pytest.mark.parametrize("outcome", ["transient", "indoubt", None])
def test_a_provider_has_its_share_of_attempts_and_then_the_next_one_has(outcome: str | None) -> None:
    assert _choose(*[("first", outcome)] * (MAX - 1)).provider == "first"
    used_up = _choose(*[("first", outcome)] * MAX)
    assert (used_up.provider, used_up.because) == ("second", PassedOver.USED_UP)
    assert _choose(*[("first", outcome)] * MAX, *[("second", outcome)] * MAX).provider == "third"


def test_when_every_share_is_used_up_nobody_is_chosen_ever_again() -> None:
    choice = _choose(*[(name, "transient") for name in ORDER for _ in range(MAX)])

    assert (choice.provider, choice.is_final) == (None, True)


def test_being_throttled_or_held_uses_nothing_up() -> None:
    assert _choose(*[("first", "throttled")] * 20, *[(None, "held")] * 20).provider == "first"


def test_an_attempt_whose_worker_died_counts_for_everybody() -> None:
    dead = [(None, None)] * MAX

    assert _choose(*dead).is_final


def test_a_misconfigured_provider_goes_behind_the_others_and_is_the_last_resort() -> None:
    once = ("first", "misconfigured")

    assert (_choose(once).provider, _choose(once).because) == ("second", PassedOver.MISCONFIGURED)
    assert _choose(once, order=("first",)).provider == "first"
    assert _choose(*[once] * MAX, order=("first",)).is_final


def test_who_says_not_by_me_is_never_asked_again() -> None:
    refused = ("first", NOT_CARRIED)

    assert (_choose(refused).provider, _choose(refused).because) == ("second", PassedOver.NOT_CARRIED)
    alone = _choose(refused, order=("first",))
    assert (alone.provider, alone.because, alone.is_final) == (None, PassedOver.NOT_CARRIED, True)


def test_who_is_away_is_passed_over_but_not_given_up() -> None:
    assert _choose(first=PassedOver.BREAKER_OPEN).provider == "second"
    assert _choose(first=PassedOver.BREAKER_OPEN).because is PassedOver.BREAKER_OPEN
    nobody = _choose(first=PassedOver.THROTTLED, order=("first",))
    assert (nobody.provider, nobody.because, nobody.is_final) == (None, PassedOver.THROTTLED, False)


def test_who_was_away_has_the_next_attempt_when_the_stand_in_fails() -> None:
    assert _choose(*[("second", "transient")] * MAX, third=PassedOver.BREAKER_OPEN).provider == "first"


def test_a_misconfigured_provider_that_is_away_is_waited_for() -> None:
    choice = _choose(("first", "misconfigured"), order=("first",), first=PassedOver.BREAKER_OPEN)

    assert (choice.provider, choice.because, choice.is_final) == (None, PassedOver.BREAKER_OPEN, False)


def test_nobody_reaches_the_recipient() -> None:
    choice = _choose(order=())

    assert (choice.provider, choice.because, choice.is_final) == (None, PassedOver.NOT_CARRIED, True)


def test_others_with_a_share_are_those_who_may_go_at_once() -> None:
    made = _made(("first", "transient"), *[("second", "transient")] * MAX)

    assert others_with_a_share(ORDER, "first", made, MAX) == ("third",)
    assert not is_used_up(ORDER, made, MAX)
    assert is_used_up(("second",), made, MAX)


def test_burned_are_calls_that_failed_and_calls_that_may_have() -> None:
    outcomes = ["transient", "throttled", "held", NOT_CARRIED, "misconfigured", "indoubt", None]

    assert burned(_made(*[("first", outcome) for outcome in outcomes])) == 4
