"""When a Service Bus trigger receives and when it starts an invocation."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from local_azure.functions_host.servicebus_backlog import FOREVER, HeldMessage, MessageBacklog, PumpOptions


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def message(lock_seconds: float = 30.0) -> SimpleNamespace:
    return SimpleNamespace(locked_until_utc=datetime.now(UTC) + timedelta(seconds=lock_seconds))


def receive(backlog: MessageBacklog, count: int) -> None:
    for _ in range(count):
        backlog.open_credit()
        backlog.add(message())


def test_single_messages_start_at_once_up_to_the_limit():
    backlog = MessageBacklog(PumpOptions(max_concurrent=2, max_batch=1))
    receive(backlog, 4)

    assert len(backlog.next_batch(running=0)) == 1
    assert len(backlog.next_batch(running=1)) == 1
    assert backlog.next_batch(running=2) == []
    assert len(backlog.waiting) == 2


def test_announced_messages_are_taken_even_while_all_slots_are_busy():
    backlog = MessageBacklog(PumpOptions(max_concurrent=4, max_batch=1))
    receive(backlog, 3)

    assert backlog.wants_message(running=4), "the fourth of the announced four may come at any time"
    receive(backlog, 1)
    assert not backlog.wants_message(running=4)
    assert not backlog.wants_message(running=0), "four wait"


def test_a_batch_is_closed_by_a_gap_by_its_size_and_not_while_another_runs():
    clock = Clock()
    backlog = MessageBacklog(PumpOptions(max_concurrent=1, max_batch=3), clock)
    receive(backlog, 2)

    assert backlog.next_batch(running=0) == []
    assert 0 < backlog.seconds_to_next_batch(running=0) < 0.01
    clock.now += 0.01
    assert backlog.next_batch(running=1) == []
    assert len(backlog.next_batch(running=0)) == 2
    receive(backlog, 4)
    assert len(backlog.next_batch(running=0)) == 3
    assert not backlog.wants_message(running=1) or backlog.credit_left > 0


def test_a_small_batch_waits_for_company_until_its_time_is_up():
    clock = Clock()
    options = PumpOptions(max_concurrent=1, max_batch=10, min_batch=5, max_batch_wait_seconds=2.0)
    backlog = MessageBacklog(options, clock)
    receive(backlog, 1)
    clock.now += 1.0

    assert backlog.next_batch(running=0) == []
    assert backlog.seconds_to_next_batch(running=0) == pytest.approx(1.0)
    clock.now += 1.0
    assert len(backlog.next_batch(running=0)) == 1
    assert backlog.seconds_to_next_batch(running=0) == FOREVER


def test_a_lock_is_renewed_after_half_of_its_life():
    held = HeldMessage(message(lock_seconds=30.0), now=100.0)

    assert held.renew_at == pytest.approx(115.0, abs=0.5)
    assert HeldMessage(message(lock_seconds=-5.0), now=100.0).renew_at == pytest.approx(100.2)


@pytest.mark.parametrize(("options", "credit"), [((1, 1), 2), ((16, 1), 16), ((500, 1), 64), ((1, 10), 10)])
def test_credit_follows_the_limits(options, credit):
    assert PumpOptions(*options).credit == credit
