import pytest

from shared.domain.leased_schedule import LATENESS_SECONDS, USABLE_SHARE, Block, Limit, Timetable, horizon_seconds
from shared.domain.notification import Lane


def test_slots_whose_time_has_passed_are_lost() -> None:
    timetable = Timetable()
    timetable.add(Block(starts_at=10.0, calls=4, interval=1.0).slots())

    assert timetable.take(now=11.5, wanted=1) == [12.0]
    assert timetable.take(now=11.5, wanted=5) == [13.0]


def test_earliest_slots_go_first() -> None:
    timetable = Timetable()
    timetable.add([3.0, 1.0])
    timetable.add([2.0])

    assert timetable.take(now=0.0, wanted=2) == [1.0, 2.0]


@pytest.mark.parametrize(("rate", "shards"), [(1, 1), (49, 1), (100, 2), (2000, 32), (10_000, 32)])
def test_limit_is_spread_over_shards_that_keep_their_pace_together(rate: float, shards: int) -> None:
    limit = Limit("a", rate)

    assert limit.shards == shards
    assert limit.shards / limit.interval < rate


def test_slots_that_may_start_within_any_second_are_no_more_than_the_limit() -> None:
    for limit in (Limit("a", rate / 4) for rate in range(4, 12_000)):
        of_a_shard = int((1 + LATENESS_SECONDS) / limit.interval) + 1  # a window with a slot at both ends

        assert of_a_shard * limit.shards <= limit.calls_per_second, limit


def test_little_of_a_limit_in_whole_calls_is_left_unused() -> None:
    assert USABLE_SHARE > 0.9
    for limit in (Limit("a", float(rate)) for rate in range(1, 3_000)):
        assert 1 / limit.spacing >= 0.92 * limit.calls_per_second, limit


def test_more_urgent_lane_leases_further_ahead_than_any_other_can_have_moved_the_clock() -> None:
    block = Limit("a", 50).longest_block * Limit("a", 50).interval

    for claimed in (False, True):
        assert horizon_seconds(Lane.NORMAL) >= horizon_seconds(Lane.LOW, is_claimed=claimed) + block
        assert horizon_seconds(Lane.HIGH) >= horizon_seconds(Lane.NORMAL, is_claimed=claimed) + block
