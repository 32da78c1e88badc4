import math
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.brakes import WINDOW, BrakeLimits, Tally, judge, window_of
from shared.domain.quarantine import Because

LIMITS = BrakeLimits()
DAY = int(timedelta(days=1) / WINDOW)
NOW = 2_000_000


def _known(**fields: float) -> Tally:
    return Tally(NOW, known_since=NOW - 30 * DAY, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tally", "because"),
    [
        (_known(deliveries=199, failures=199), None),
        (_known(deliveries=200, failures=200), Because.FAILURES),
        (_known(deliveries=1000, failures=200), None),
        (_known(deliveries=1000, failures=260), Because.FAILURES),
        (_known(deliveries=0, failures=250), Because.FAILURES),
        (_known(deliveries=2900), None),
        (_known(deliveries=3100), Because.SPIKE),
        (_known(deliveries=9_900, peak=1000.0), None),
        (_known(deliveries=10_100, peak=1000.0), Because.SPIKE),
        (_known(deliveries=10_100, peak=10.0, previous=5000), None),
        (Tally(NOW, deliveries=299_000, known_since=NOW), None),
        (Tally(NOW, deliveries=301_000, known_since=NOW), Because.SPIKE),
    ],
)
def test_what_brakes_and_what_does_not(tally: Tally, because: Because | None) -> None:
    assert judge(tally, LIMITS) is because


def test_failures_must_surely_be_too_many() -> None:
    """A fifth of 200 by chance is no reason yet."""
    by_chance = _known(deliveries=200, failures=45)
    surely = _known(deliveries=200, failures=58)

    assert judge(by_chance, LIMITS) is None
    assert judge(surely, LIMITS) is Because.FAILURES


def test_the_highest_window_is_remembered_and_fades_over_weeks() -> None:
    tally = Tally(NOW, deliveries=800, known_since=NOW)
    following = tally.rolled(NOW + 1)
    later = tally.rolled(NOW + 14 * DAY)

    assert (following.previous, following.peak) == (800, 0)
    assert following.rolled(NOW + 2).peak == pytest.approx(800, rel=0.01)
    assert (later.previous, later.peak) == (0, 400)
    assert later.known_since == NOW


def test_windows_are_five_minutes() -> None:
    noon = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    assert window_of(noon + timedelta(minutes=4, seconds=59)) == window_of(noon) == window_of(noon + WINDOW) - 1
    assert math.isclose(window_of(noon) * WINDOW.total_seconds(), noon.timestamp())
