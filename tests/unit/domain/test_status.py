from itertools import permutations, product

import pytest

from shared.domain.receipt import ReceiptKind
from shared.domain.status import (
    WITHDRAWABLE,
    WORKING,
    DeliveryStatus,
    advance,
    is_outcome,
    outward,
    overtaken_by,
    roll_up,
    status_of_receipt,
)

OUTCOMES = tuple(status for status in DeliveryStatus if is_outcome(status))
S = DeliveryStatus

ALLOWED_WORKING_MOVES = {
    (S.QUEUED, S.SENDING),
    (S.SCHEDULED, S.QUEUED),
    (S.SCHEDULED, S.SENDING),
    (S.STANDBY, S.QUEUED),
    (S.SENDING, S.RETRYING),
    (S.SENDING, S.IN_DOUBT),
    (S.RETRYING, S.SENDING),
    (S.IN_DOUBT, S.RETRYING),
}


def _after(start: DeliveryStatus, events: tuple[DeliveryStatus, ...]) -> DeliveryStatus:
    for event in events:
        start = advance(start, event)
    return start


@pytest.mark.parametrize("start", sorted(WORKING))
@pytest.mark.parametrize("size", range(1, len(OUTCOMES) + 1))
def test_every_order_of_outcomes_ends_in_the_same_state(start: DeliveryStatus, size: int) -> None:
    by_set: dict[frozenset[DeliveryStatus], set[DeliveryStatus]] = {}
    for events in permutations(OUTCOMES, size):
        by_set.setdefault(frozenset(events), set()).add(_after(start, events))

    assert all(len(ends) == 1 for ends in by_set.values())


@pytest.mark.parametrize("start", sorted(WORKING))
def test_duplicates_change_nothing(start: DeliveryStatus) -> None:
    for size in range(2, 6):
        for events in product(OUTCOMES, repeat=size):
            assert _after(start, events) == _after(start, tuple(sorted(set(events))))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_never_goes_back_to_work(outcome: DeliveryStatus) -> None:
    assert {advance(outcome, event) for event in WORKING} == {outcome}


@pytest.mark.parametrize(("current", "event"), list(product(sorted(WORKING), sorted(WORKING))))
def test_working_moves_are_exactly_these(current: DeliveryStatus, event: DeliveryStatus) -> None:
    expected = event if (current, event) in ALLOWED_WORKING_MOVES else current

    assert advance(current, event) is expected


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (S.SENT, S.DELIVERED),
        (S.DELIVERED, S.BOUNCED),
        (S.FAILED, S.DELIVERED),
        (S.SENT, S.FAILED),
        (S.SUPPRESSED, S.DELIVERED),
        (S.CANCELLED, S.SENT),
    ],
)
def test_the_later_word_wins_whichever_comes_first(earlier: DeliveryStatus, later: DeliveryStatus) -> None:
    assert _after(S.SENDING, (earlier, later)) == _after(S.SENDING, (later, earlier)) == later


@pytest.mark.parametrize("event", OUTCOMES)
def test_overtaken_is_what_the_event_moves(event: DeliveryStatus) -> None:
    overtaken = overtaken_by(event)

    assert set(overtaken) >= (WITHDRAWABLE if event is S.CANCELLED else WORKING)
    assert event not in overtaken
    for status in DeliveryStatus:
        assert (status in overtaken) == (advance(status, event) is event and status is not event)


def test_engagement_is_no_status() -> None:
    engagement = {
        ReceiptKind.DEFERRED, ReceiptKind.OPENED, ReceiptKind.CLICKED,
        ReceiptKind.COMPLAINED, ReceiptKind.UNSUBSCRIBED, ReceiptKind.UNKNOWN,
    }  # fmt: skip

    assert {kind for kind in ReceiptKind if status_of_receipt(kind) is None} == engagement


@pytest.mark.parametrize("current", [S.SENDING, S.IN_DOUBT])
def test_what_may_be_with_the_provider_cant_be_cancelled(current: DeliveryStatus) -> None:
    assert advance(current, S.CANCELLED) is current


@pytest.mark.parametrize("current", sorted(WITHDRAWABLE))
def test_what_nobody_is_sending_can_be_decided_against(current: DeliveryStatus) -> None:
    assert advance(current, S.CANCELLED) is S.CANCELLED
    assert advance(current, S.SUPPRESSED) is S.SUPPRESSED


def test_outward_words_are_those_of_the_callback_contract() -> None:
    words = {outward(status, "opted_out") for status in DeliveryStatus}

    assert words == {"PENDING", "SENT", "DELIVERED", "FAILED", "BOUNCED", "UNSUBSCRIBED"}
    assert all((outward(status) == "PENDING") == (status in WORKING) for status in DeliveryStatus)


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("not_needed", None),
        ("earlier_in_doubt", None),
        ("shadow_mode", None),
        ("opted_out", "UNSUBSCRIBED"),
        ("deadline_passed", "FAILED"),
        ("frequency_cap", "FAILED"),
        (None, "FAILED"),
    ],
)
def test_a_suppression_is_told_by_its_reason(reason: str | None, word: str | None) -> None:
    assert outward(S.SUPPRESSED, reason) == word


def test_what_was_cancelled_counts_as_failed_outside() -> None:
    assert outward(S.CANCELLED, "cancelled") == "FAILED"


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        ([S.QUEUED, S.SCHEDULED], "accepted"),
        ([S.QUEUED, S.SENT], "sending"),
        ([S.RETRYING], "sending"),
        ([S.IN_DOUBT, S.DELIVERED], "sending"),
        ([S.FAILED, S.DELIVERED], "delivered"),
        ([S.SENT, S.BOUNCED], "sent"),
        ([S.BOUNCED, S.FAILED], "bounced"),
        ([S.FAILED, S.EXPIRED], "failed"),
        ([S.EXPIRED], "expired"),
        ([S.QUEUED, S.STANDBY], "accepted"),
        ([S.SENDING, S.STANDBY], "sending"),
        ([S.FAILED, S.STANDBY], "sending"),
        ([S.SENT, S.STANDBY], "sent"),
        ([S.DELIVERED, S.SUPPRESSED], "delivered"),
        ([S.FAILED, S.SUPPRESSED], "failed"),
        ([S.CANCELLED, S.SUPPRESSED], "cancelled"),
        ([S.CANCELLED, S.SENT], "sent"),
        ([S.SUPPRESSED], "suppressed"),
    ],
)
def test_a_notification_is_as_far_as_its_best_delivery(statuses: list[DeliveryStatus], word: str) -> None:
    assert roll_up(statuses) == word
