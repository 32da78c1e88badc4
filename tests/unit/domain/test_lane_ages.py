from shared.domain.lane_ages import LaneAges


def _seen(*ages: tuple[float, str], at: float = 100.0) -> LaneAges:
    lane = LaneAges()
    for age, tenant in ages:
        lane.note(at, age, tenant)
    return lane


def test_a_lane_is_as_late_as_the_median_of_what_was_seen_lately() -> None:
    lane = _seen(*((age, "a") for age in (1, 2, 3, 50, 60)))

    assert lane.lag(now=101) == 3
    assert lane.lag(now=103) == 0


def test_a_few_say_nothing() -> None:
    assert _seen((70, "a"), (70, "a"), (70, "a"), (70, "a")).lag(now=100) == 0


def test_who_does_not_flood_may_feel_less() -> None:
    lane = _seen(*[(30, "flood")] * 20, (0.5, "small"), (0.7, "small"), (0.9, "other"))

    assert lane.lag(now=100) == 30
    assert lane.lag_of_others(now=105) == 0.7


def test_without_others_nothing_is_known_of_them() -> None:
    assert _seen(*[(30, "flood")] * 20).lag_of_others(now=100) is None
    assert _seen(*[(30, "flood")] * 20, (1, "small")).lag_of_others(now=100) is None


def test_when_nobody_floods_everybody_is_another() -> None:
    assert _seen(*[(8, "a")] * 5, *[(9, "b")] * 5).lag_of_others(now=100) == 8.5
