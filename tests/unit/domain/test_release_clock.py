import random
from itertools import pairwise

import pytest

from shared.domain.notification import Lane
from shared.domain.release_clock import HEAD_START_SECONDS, ReleaseClock, give_out

BACK_AT = 1_000.0


def _times(wishes: list[tuple[Lane, int]], per_second: float = 10.0) -> list[float]:
    clock, times = ReleaseClock(), []
    for lane, count in wishes:
        time, clock = give_out(clock, lane, count, earliest=BACK_AT, per_second=per_second)
        times.append(time)
    return times


def test_the_first_comes_as_soon_as_it_may_and_the_others_after_its_head_start_at_the_rate() -> None:
    times = _times([(Lane.NORMAL, 1)] * 4)

    assert times == pytest.approx([BACK_AT, BACK_AT + HEAD_START_SECONDS, BACK_AT + 1.1, BACK_AT + 1.2])


def test_a_chunk_takes_the_time_of_all_its_deliveries() -> None:
    assert _times([(Lane.NORMAL, 50), (Lane.NORMAL, 1)]) == [BACK_AT, BACK_AT + 5]


def test_urgent_ones_come_before_those_who_wait_longer_only_if_those_have_no_time_yet() -> None:
    high, normal, low = _times([(Lane.HIGH, 20), (Lane.NORMAL, 20), (Lane.LOW, 20)])

    assert (high, normal, low) == (BACK_AT, BACK_AT + 2, BACK_AT + 4)
    assert _times([(Lane.LOW, 50), (Lane.HIGH, 1)]) == [BACK_AT, BACK_AT]


def test_time_that_has_passed_is_not_given_out() -> None:
    clock = ReleaseClock(normal=BACK_AT - 100)

    assert give_out(clock, Lane.NORMAL, 1, earliest=BACK_AT, per_second=10)[0] == BACK_AT


@pytest.mark.parametrize("seed", range(5))
def test_no_lane_ever_has_more_than_its_rate(seed: int) -> None:
    chance = random.Random(seed)
    clock, earliest = ReleaseClock(), BACK_AT
    given: dict[Lane, list[tuple[float, int]]] = {lane: [] for lane in Lane}
    for _ in range(500):
        earliest += chance.choice([0.0, 0.0, 0.5])
        lane, count = chance.choice(list(Lane)), chance.randint(1, 50)
        time, clock = give_out(clock, lane, count, earliest=earliest, per_second=20)
        assert time >= earliest
        given[lane].append((time, count))

    for times in given.values():
        for (time, count), (following, _) in pairwise(times):
            assert following >= time + count / 20 - 1e-6
