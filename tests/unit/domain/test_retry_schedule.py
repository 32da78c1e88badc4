from datetime import timedelta

import pytest

from shared.domain.retry_schedule import BACKOFF_SECONDS, JITTER, pause_before


@pytest.mark.parametrize("attempt", range(2, 12))
def test_pauses_double_up_to_sixteen_seconds_and_are_stretched_by_a_quarter_at_most(attempt: int) -> None:
    base = BACKOFF_SECONDS[min(attempt - 2, 4)]
    pauses = [pause_before(attempt, f"delivery-{n}").total_seconds() for n in range(300)]

    assert base <= min(pauses) < base * (1 + JITTER * 0.1)
    assert base * (1 + JITTER * 0.9) < max(pauses) <= base * (1 + JITTER)


def test_the_same_delivery_always_waits_as_long() -> None:
    assert pause_before(3, "a") == pause_before(3, "a") != pause_before(3, "b")


def test_the_providers_own_wish_wins_when_it_is_longer() -> None:
    assert pause_before(2, "a", timedelta(seconds=30)) == timedelta(seconds=30)
    assert pause_before(6, "a", timedelta(seconds=1)) == pause_before(6, "a")
