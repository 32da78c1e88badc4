from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Rejected, Throttled, Transient
from shared.domain.identifiers import AttemptId
from shared.domain.notification import Attempt, TargetResult
from shared.domain.status import DeliveryStatus
from shared.domain.targets import (
    PARTLY_SENT,
    TargetAnswer,
    any_taken,
    attempt_of_target,
    judge,
    open_targets,
    target_id,
    with_reach,
)
from shared.domain.verdict import Situation, Verdict

NOW = datetime(2026, 11, 25, tzinfo=UTC)
ID = AttemptId("shop.01ARZ3NDEKTSV4RRFFQ69G5FAV.push.1")
TAKEN, GONE, BUSY = None, Rejected("device_unregistered"), Transient("provider_unavailable")
PACED, WRONG, LOST = Throttled("quota_exceeded"), Misconfigured("authentication_failed"), InDoubt("no_answer")
NOT_HERE = Rejected("platform_not_supported", elsewhere=True)
ERRORS = [GONE, BUSY, PACED, WRONG, LOST, NOT_HERE]


def situation(earlier: Sequence[Attempt] = (), max_attempts: int = 4) -> Situation:
    return Situation(
        attempt=Attempt(ID, len(earlier) + 1, NOW),
        earlier=tuple(earlier),
        max_attempts=max_attempts,
        provider="push-post",
        now=NOW,
        retry_patience=timedelta(seconds=90),
        in_doubt_patience=timedelta(seconds=60),
    )


def judged(*errors: ProviderError | None, earlier: Sequence[Attempt] = (), count: int | None = None) -> Verdict:
    answers = [TargetAnswer(number, error, None if error else f"m-{number}") for number, error in enumerate(errors)]
    return judge(situation(earlier), count or len(errors), answers)


def attempt(*outcomes: str, overall: str | None = None) -> Attempt:
    results = tuple(TargetResult(number, outcome) for number, outcome in enumerate(outcomes) if outcome)
    return Attempt(ID, 1, NOW, outcome=overall, targets=results)


@pytest.mark.parametrize(
    ("errors", "status", "reason"),
    [
        ((TAKEN, TAKEN), DeliveryStatus.SENT, None),
        ((TAKEN, GONE), DeliveryStatus.SENT, PARTLY_SENT),
        ((TAKEN, LOST), DeliveryStatus.SENT, PARTLY_SENT),
        ((TAKEN, BUSY), DeliveryStatus.RETRYING, "provider_unavailable"),
        ((TAKEN, GONE, LOST), DeliveryStatus.SENT, PARTLY_SENT),
        ((TAKEN, LOST, PACED), DeliveryStatus.RETRYING, "quota_exceeded"),
        ((GONE, GONE), DeliveryStatus.FAILED, "device_unregistered"),
        ((GONE, WRONG), DeliveryStatus.RETRYING, "authentication_failed"),
        ((BUSY, WRONG), DeliveryStatus.RETRYING, "provider_unavailable"),
        ((BUSY, PACED), DeliveryStatus.RETRYING, "quota_exceeded"),
        ((GONE, BUSY), DeliveryStatus.RETRYING, "provider_unavailable"),
        ((LOST, BUSY), DeliveryStatus.IN_DOUBT, "no_answer"),
        ((LOST, GONE), DeliveryStatus.IN_DOUBT, "no_answer"),
        ((LOST, PACED, WRONG, GONE, NOT_HERE), DeliveryStatus.IN_DOUBT, "no_answer"),
    ],
)
def test_what_several_targets_come_to(
    errors: tuple[ProviderError | None, ...], status: DeliveryStatus, reason: str | None
) -> None:
    for order in (errors, errors[::-1]):
        result = judged(*order)

        assert (result.status, result.reason) == (status, reason)
        assert len(result.attempt.targets) == len(errors)


def test_each_targets_result_is_on_the_attempt() -> None:
    [taken, gone, elsewhere] = judged(TAKEN, GONE, NOT_HERE).attempt.targets

    assert taken == TargetResult(0, "sent", None, "m-0")
    assert gone == TargetResult(1, "rejected", "device_unregistered")
    assert elsewhere == TargetResult(2, "notcarried", "platform_not_supported")


def test_a_target_that_acknowledged_is_delivered() -> None:
    result = judge(situation(), 2, [TargetAnswer(0, delivered=True), TargetAnswer(1, GONE)])

    assert result.status is DeliveryStatus.DELIVERED
    assert result.attempt.targets[0].outcome == "delivered"


def test_a_provider_that_carries_no_target_says_not_by_me() -> None:
    assert judged(NOT_HERE, GONE).attempt.reason == "platform_not_supported"


def test_a_second_attempt_completes_the_first() -> None:
    first = attempt("sent", "transient", overall="transient")

    result = judge(situation([first]), 2, [TargetAnswer(1, None, "m-1")])

    assert (result.status, result.reason) == (DeliveryStatus.SENT, None)


def test_an_attempt_that_reached_nobody_says_so_even_when_an_earlier_one_did() -> None:
    first = attempt("sent", "transient", overall="transient")

    result = with_reach(judge(situation([first]), 2, [TargetAnswer(1, GONE)]), [first])

    assert (result.status, result.reason) == (DeliveryStatus.SENT, PARTLY_SENT)
    assert (result.attempt.outcome, result.attempt.reason) == ("rejected", "device_unregistered")


def test_doubt_about_one_does_not_put_in_doubt_what_another_took_before() -> None:
    first = attempt("sent", "transient", overall="transient")

    result = with_reach(judge(situation([first]), 2, [TargetAnswer(1, LOST)]), [first])

    assert (result.status, result.reason) == (DeliveryStatus.SENT, PARTLY_SENT)


@pytest.mark.parametrize("ended", [DeliveryStatus.FAILED, DeliveryStatus.EXPIRED])
def test_what_some_target_took_does_not_end_as_unsent(ended: DeliveryStatus) -> None:
    end = Verdict(ended, Attempt(ID, 2, NOW), "attempts_exhausted")

    assert with_reach(end, [attempt("rejected", "sent")]).status is DeliveryStatus.SENT
    assert with_reach(end, [attempt("rejected", "transient")]) is end
    assert with_reach(end, []) is end


@pytest.mark.parametrize("status", [DeliveryStatus.RETRYING, DeliveryStatus.IN_DOUBT, DeliveryStatus.SENT])
def test_what_has_not_ended_goes_on(status: DeliveryStatus) -> None:
    verdict = Verdict(status, attempt("sent", "transient"))

    assert with_reach(verdict, []) is verdict


@pytest.mark.parametrize(
    ("earlier", "expected"),
    [
        ([], (0, 1, 2)),
        ([attempt("sent", "rejected", "transient", overall="transient")], (2,)),
        ([attempt("throttled", "misconfigured", "notcarried", overall="throttled")], (0, 1, 2)),
        ([attempt("delivered", "indoubt", "transient", overall="transient")], (2,)),
        ([attempt("rejected", "indoubt", "transient", overall="indoubt")], (1, 2)),
        ([attempt("sent", "transient", "transient", overall="transient"), Attempt(ID, 2, NOW)], (1, 2)),
        ([attempt("", "sent", "", overall="transient"), attempt("sent", "", "rejected")], ()),
    ],
)
def test_the_next_attempt_is_for_those_that_may_still_be_reached(
    earlier: list[Attempt], expected: tuple[int, ...]
) -> None:
    assert open_targets(3, earlier) == expected


def test_a_target_gets_a_name_of_its_own() -> None:
    names = [target_id(ID, number) for number in range(3)]

    assert names == [ID, f"{ID}~1", f"{ID}~2"]
    assert {attempt_of_target(name) for name in names} == {ID}


@given(st.lists(st.lists(st.sampled_from([TAKEN, *ERRORS]), min_size=3, max_size=3), min_size=1, max_size=6))
def test_through_any_story_no_target_takes_it_twice_and_what_one_took_ends_as_sent(
    story: list[list[ProviderError | None]],
) -> None:
    attempts: list[Attempt] = []
    taken: list[int] = []
    for errors in story:
        wanted = open_targets(3, attempts)
        answers = [TargetAnswer(number, errors[number]) for number in wanted]
        taken += [answer.number for answer in answers if answer.error is None]
        result = with_reach(judge(situation(attempts), 3, answers), attempts)
        attempts.append(result.attempt)
        if result.status not in {DeliveryStatus.RETRYING, DeliveryStatus.IN_DOUBT}:
            break

    assert len(taken) == len(set(taken))
    assert any_taken(attempts) == bool(taken)
    if result.status in {DeliveryStatus.FAILED, DeliveryStatus.IN_DOUBT}:
        assert not taken
