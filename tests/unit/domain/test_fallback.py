"""When the next channel takes over: push, then SMS, then email; each case is one notification as somebody saw it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from shared.domain.address import PhoneNumber
from shared.domain.fallback import LOOK_AGAIN, WATCHED_FOR, is_settled, next_steps
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Category, Delivery, Fallback, Lane, Notification
from shared.domain.outcome import Step
from shared.domain.status import WITHDRAWABLE, WORKING, DeliveryStatus
from tests.fakes.clock import START

S = DeliveryStatus
ORDER = ("push", "sms", "email")
DEADLINE = timedelta(seconds=60)
PATIENCE = timedelta(seconds=60)
UNDER_WAY = (S.SENDING, S.IN_DOUBT)


def seen(*statuses: DeliveryStatus, deadline: timedelta | None = None, **changes: Any) -> Notification:
    """A notification whose channels stand like this; the first that stands by has its deadline."""
    deliveries = {}
    for channel, status in zip(ORDER, statuses, strict=False):
        is_next = status is S.STANDBY and not any(each.status is S.STANDBY for each in deliveries.values())
        deliveries[channel] = Delivery(
            channel,
            status,
            PhoneNumber("+4915112345678"),
            wake_at=START + timedelta(seconds=90) if status in WORKING else None,
            deadline_at=START + deadline if deadline and is_next else None,
        )
    notification = Notification(
        TrackingId("01M86PTPG0FM4ZR32P5GKMSV2T"),
        TenantId("shop"),
        PartitionKey("shop:0001"),
        START,
        Lane.NORMAL,
        Category.TRANSACTIONAL,
        deliveries,
        fallback=Fallback(ORDER[: len(statuses)], deadline),
    )
    return replace(notification, **changes)


def with_reason(notification: Notification, channel: str, reason: str) -> Notification:
    changed = replace(notification.deliveries[channel], reason=reason)
    return replace(notification, deliveries={**notification.deliveries, channel: changed})


def steps(notification: Notification, after: timedelta = timedelta(0)) -> Sequence[Step]:
    return next_steps(notification, START + after, PATIENCE)


def moves(notification: Notification, after: timedelta = timedelta(0)) -> list[tuple[str, DeliveryStatus, str | None]]:
    """Every change of status, in the order of the channels."""
    made = [move for step in steps(notification, after) for move in step.moves if move.status is not move.was]
    return [
        (move.channel, move.status, move.reason) for move in sorted(made, key=lambda move: ORDER.index(move.channel))
    ]


@pytest.mark.parametrize("ended", [S.FAILED, S.BOUNCED, S.EXPIRED, S.SUPPRESSED])
@pytest.mark.parametrize("deadline", [None, DEADLINE])
def test_the_next_takes_over_when_the_one_before_ended_badly(ended: S, deadline: timedelta | None) -> None:
    notification = seen(ended, S.STANDBY, S.STANDBY, deadline=deadline)

    assert moves(notification) == [("sms", S.QUEUED, "earlier_failed")]


def test_who_takes_over_is_woken_should_its_message_get_lost() -> None:
    [step] = steps(seen(S.FAILED, S.STANDBY))

    assert step.moves[0].wake_at == START + PATIENCE


def test_after_the_second_has_failed_the_third_takes_over() -> None:
    assert moves(seen(S.BOUNCED, S.FAILED, S.STANDBY)) == [("email", S.QUEUED, "earlier_failed")]


def test_when_all_have_failed_there_is_nothing_left() -> None:
    assert steps(seen(S.FAILED, S.BOUNCED, S.FAILED)) == ()


@pytest.mark.parametrize("earlier", [S.FAILED, S.BOUNCED, S.SENT])
@pytest.mark.parametrize("late", [timedelta(0), DEADLINE * 10])
@pytest.mark.parametrize("under_way", UNDER_WAY)
def test_nobody_takes_over_while_an_earlier_one_is_under_way(earlier: S, late: timedelta, under_way: S) -> None:
    assert moves(seen(under_way, S.STANDBY, deadline=DEADLINE), late) == []
    assert moves(seen(earlier, under_way, S.STANDBY, deadline=DEADLINE), late) == []
    assert moves(seen(under_way, earlier, S.STANDBY, deadline=DEADLINE), late) == []


def test_one_that_was_sent_has_until_its_deadline_to_be_confirmed() -> None:
    notification = seen(S.SENT, S.STANDBY, deadline=DEADLINE)

    assert moves(notification, DEADLINE - timedelta(milliseconds=1)) == []
    assert moves(notification, DEADLINE) == [("sms", S.QUEUED, "deadline_passed")]


@pytest.mark.parametrize("status", [S.QUEUED, S.SCHEDULED, S.RETRYING])
def test_what_was_not_even_sent_by_its_deadline_is_not_sent_any_more(status: S) -> None:
    notification = seen(status, S.STANDBY, deadline=DEADLINE)

    [step] = steps(notification, DEADLINE)

    assert moves(notification, DEADLINE) == [
        ("push", S.SUPPRESSED, "deadline_passed"),
        ("sms", S.QUEUED, "deadline_passed"),
    ]
    assert len(step.moves) == 2  # together, or both would be sent


def _put_off(status: DeliveryStatus, until: timedelta, reason: str | None = None) -> Notification:
    notification = seen(status, S.STANDBY, deadline=DEADLINE)
    waiting = replace(notification.deliveries["push"], due_at=START + until, reason=reason)
    return replace(notification, deliveries={**notification.deliveries, "push": waiting})


@pytest.mark.parametrize("status", [S.SCHEDULED, S.RETRYING])
def test_in_quiet_hours_the_deadline_counts_from_their_end(status: S) -> None:
    night = timedelta(hours=8)
    notification = _put_off(status, night, "put_off_by_customer")

    [step] = steps(notification)

    [move] = step.moves
    assert (move.channel, move.status) == ("sms", S.STANDBY)
    assert move.deadline_at == move.wake_at == START + night + DEADLINE


def test_what_is_scheduled_from_the_start_has_its_deadline_already() -> None:
    notification = _put_off(S.SCHEDULED, timedelta(0))

    assert steps(notification) == []


def test_a_provider_that_is_down_puts_no_deadline_off() -> None:
    notification = _put_off(S.RETRYING, DEADLINE * 2, "http_503")

    assert moves(notification, DEADLINE)[-1] == ("sms", S.QUEUED, "deadline_passed")


def test_who_takes_over_gives_the_one_behind_a_deadline_of_its_own() -> None:
    [step] = steps(seen(S.FAILED, S.STANDBY, S.STANDBY, deadline=DEADLINE), timedelta(seconds=7))

    behind = step.moves[1]
    assert (behind.channel, behind.status) == ("email", S.STANDBY)
    assert behind.deadline_at == behind.wake_at == START + timedelta(seconds=67)


@pytest.mark.parametrize("status", sorted(WITHDRAWABLE))
@pytest.mark.parametrize("confirmed", [0, 1])
def test_once_one_is_confirmed_what_is_not_sent_is_not_needed(status: S, confirmed: int) -> None:
    statuses = [S.SENT, S.SENT, status]
    statuses[confirmed] = S.DELIVERED

    assert moves(seen(*statuses, deadline=DEADLINE), DEADLINE * 2) == [("email", S.SUPPRESSED, "not_needed")]


def test_a_late_confirmation_stops_the_second_channel_that_waits_for_its_retry() -> None:
    assert moves(seen(S.DELIVERED, S.RETRYING, S.STANDBY)) == [
        ("sms", S.SUPPRESSED, "not_needed"),
        ("email", S.SUPPRESSED, "not_needed"),
    ]


def test_what_is_under_way_when_another_is_confirmed_is_left_alone() -> None:
    assert moves(seen(S.DELIVERED, S.SENDING)) == []
    assert moves(seen(S.DELIVERED, S.IN_DOUBT)) == []


def test_given_up_in_doubt_nobody_takes_over() -> None:
    """A category that would rather not be heard than twice: the first may have arrived."""
    notification = with_reason(seen(S.FAILED, S.STANDBY, S.STANDBY), "push", "dropped_in_doubt")

    assert moves(notification) == [
        ("sms", S.SUPPRESSED, "earlier_in_doubt"),
        ("email", S.SUPPRESSED, "earlier_in_doubt"),
    ]


@pytest.mark.parametrize("reason", ["shadow_mode", "not_needed", "earlier_in_doubt"])
def test_a_decision_about_the_notification_holds_for_those_behind(reason: str) -> None:
    notification = with_reason(seen(S.SUPPRESSED, S.STANDBY), "push", reason)

    assert moves(notification) == [("sms", S.SUPPRESSED, reason)]


@pytest.mark.parametrize("reason", ["opted_out", "frequency_cap", "deadline_passed"])
def test_a_decision_about_the_channel_lets_the_next_take_over(reason: str) -> None:
    notification = with_reason(seen(S.SUPPRESSED, S.STANDBY), "push", reason)

    assert moves(notification) == [("sms", S.QUEUED, "earlier_failed")]


def test_after_its_time_nobody_takes_over() -> None:
    expires_at = START + timedelta(seconds=30)

    assert moves(seen(S.FAILED, S.STANDBY, expires_at=expires_at), timedelta(seconds=30)) == [
        ("sms", S.EXPIRED, "expired")
    ]
    assert moves(seen(S.SENT, S.STANDBY, deadline=DEADLINE, expires_at=expires_at), DEADLINE) == [
        ("sms", S.SUPPRESSED, "not_needed")
    ]


def test_without_a_deadline_the_next_stands_by_for_a_day_in_case_it_bounces() -> None:
    notification = seen(S.SENT, S.STANDBY, S.STANDBY)

    assert moves(notification, WATCHED_FOR - timedelta(seconds=1)) == []
    assert moves(notification, WATCHED_FOR) == [
        ("sms", S.SUPPRESSED, "not_needed"),
        ("email", S.SUPPRESSED, "not_needed"),
    ]


def _looks_again(notification: Notification, after: timedelta) -> dict[str, timedelta]:
    """When the sweeper looks again, by channel, counted from the start."""
    return {
        move.channel: move.wake_at - START
        for step in steps(notification, after)
        for move in step.moves
        if move.status is move.was and move.wake_at
    }


def test_the_sweeper_looks_again_when_there_is_something_to_see() -> None:
    after = timedelta(seconds=100)

    assert _looks_again(seen(S.SENT, S.STANDBY), after) == {"sms": WATCHED_FOR}
    assert _looks_again(seen(S.QUEUED, S.STANDBY), after) == {"sms": after + LOOK_AGAIN}
    assert _looks_again(seen(S.SENDING, S.STANDBY), after) == {"sms": after + LOOK_AGAIN}
    assert _looks_again(seen(S.SENT, S.STANDBY, deadline=timedelta(hours=1)), after) == {"sms": timedelta(hours=1)}


def test_the_sweeper_looks_again_when_the_one_in_doubt_is_looked_at() -> None:
    notification = seen(S.IN_DOUBT, S.STANDBY)
    later = replace(notification.deliveries["push"], wake_at=START + timedelta(seconds=130))
    notification = replace(notification, deliveries={**notification.deliveries, "push": later})

    assert _looks_again(notification, timedelta(seconds=100)) == {"sms": timedelta(seconds=130)}


def test_before_its_wake_up_time_nothing_is_written() -> None:
    assert steps(seen(S.SENT, S.STANDBY)) == []
    assert steps(seen(S.SENDING, S.STANDBY, deadline=DEADLINE)) == []


def test_a_decision_rests_on_how_all_earlier_ones_were_seen() -> None:
    [step] = steps(seen(S.SENT, S.FAILED, S.STANDBY))

    assert step.given == {"push": S.SENT, "sms": S.FAILED}


@pytest.mark.parametrize("status", sorted(DeliveryStatus))
def test_what_is_cancelled_is_withdrawn_where_nobody_is_sending(status: S) -> None:
    notification = seen(status, S.STANDBY, cancelled_at=START)
    first = [("push", S.CANCELLED, "cancelled")] if status in WITHDRAWABLE else []

    assert moves(notification) == [*first, ("sms", S.CANCELLED, "cancelled")]


def test_the_last_channel_is_withdrawn_first_or_it_would_be_next() -> None:
    withdrawn = [step.moves[0].channel for step in steps(seen(S.QUEUED, S.STANDBY, S.STANDBY, cancelled_at=START))]

    assert withdrawn == ["email", "sms", "push"]


def test_channels_that_are_each_used_never_wait_for_one_another() -> None:
    for statuses in product(sorted(set(DeliveryStatus) - {S.STANDBY}), repeat=2):
        assert steps(seen(*statuses, fallback=None), DEADLINE * 9) == ()


@pytest.mark.parametrize("after", [timedelta(0), DEADLINE, WATCHED_FOR])
@pytest.mark.parametrize("deadline", [None, DEADLINE])
def test_whatever_is_seen_no_two_are_queued_and_nothing_under_way_is_touched(
    after: timedelta, deadline: timedelta | None
) -> None:
    for statuses in product(sorted(DeliveryStatus), repeat=3):
        if statuses[0] is S.STANDBY:
            continue
        made = [move for step in steps(seen(*statuses, deadline=deadline), after) for move in step.moves]

        assert sum(move.status is S.QUEUED for move in made) <= 1, statuses
        assert all(move.was in WITHDRAWABLE for move in made), statuses
        assert len({move.channel for move in made}) == len(made), statuses
        if set(statuses) & set(UNDER_WAY) and S.DELIVERED not in statuses:
            under_way = min(place for place, status in enumerate(statuses) if status in UNDER_WAY)
            assert not any(move.status is S.QUEUED and ORDER.index(move.channel) > under_way for move in made), statuses


@pytest.mark.parametrize(
    ("statuses", "deadline", "settled"),
    [
        ([S.QUEUED, S.STANDBY], None, False),
        ([S.FAILED, S.STANDBY], None, False),
        ([S.SENT, S.STANDBY], None, True),
        ([S.SENT, S.STANDBY], DEADLINE, False),
        ([S.DELIVERED, S.STANDBY], DEADLINE, True),
        ([S.DELIVERED, S.SENDING], DEADLINE, True),
        ([S.SENT, S.QUEUED], DEADLINE, False),
        ([S.IN_DOUBT, S.STANDBY], None, False),
        ([S.FAILED, S.SENT], DEADLINE, True),
        ([S.FAILED, S.FAILED], None, True),
        ([S.CANCELLED, S.CANCELLED], None, True),
    ],
)
def test_a_notification_as_a_whole_is_settled(statuses: list[S], deadline: timedelta | None, settled: bool) -> None:
    assert is_settled(seen(*statuses, deadline=deadline)) is settled
