import pytest

from shared.domain.lane_pressure import LagLimits, is_closed, seconds_to_open
from shared.domain.notification import Lane

HIGH, NORMAL, LOW = Lane.HIGH, Lane.NORMAL, Lane.LOW
LIMITS = LagLimits()


def _closed(lags: dict[Lane, float], was_closed: frozenset[Lane] = frozenset()) -> set[Lane]:
    return {lane for lane in Lane if is_closed(lane, lags, LIMITS, was_closed=lane in was_closed)}


@pytest.mark.parametrize(
    ("lags", "closed"),
    [
        ({}, set()),
        ({NORMAL: 29}, set()),
        ({LOW: 299}, set()),
        ({LOW: 300}, {LOW}),
        ({LOW: 10_000}, {LOW}),
        ({NORMAL: 30}, {LOW}),
        ({NORMAL: 60}, {NORMAL, LOW}),
        ({HIGH: 1.9}, set()),
        ({HIGH: 2}, {LOW}),
        ({HIGH: 5}, {NORMAL, LOW}),
        ({HIGH: 10_000, NORMAL: 10_000, LOW: 10_000}, {NORMAL, LOW}),
    ],
)
def test_low_closes_before_normal_and_high_never(lags: dict[Lane, float], closed: set[Lane]) -> None:
    assert _closed(lags) == closed


@pytest.mark.parametrize("lane", [NORMAL, LOW])
def test_what_closed_opens_at_half_of_it(lane: Lane) -> None:
    both = frozenset({NORMAL, LOW})
    limit = {NORMAL: 60.0, LOW: 300.0}[lane]

    assert lane in _closed({lane: limit / 2}, both)
    assert lane not in _closed({lane: limit / 2 - 0.1}, both)
    assert lane not in _closed({lane: limit / 2})


def test_what_is_slowly_worked_off_is_estimated_by_what_is_too_much() -> None:
    assert seconds_to_open(NORMAL, {NORMAL: 60.0}, LIMITS) == pytest.approx(30)
    assert seconds_to_open(LOW, {LOW: 450.0}, LIMITS) == pytest.approx(300)
    assert seconds_to_open(NORMAL, {}, LIMITS) == 0
