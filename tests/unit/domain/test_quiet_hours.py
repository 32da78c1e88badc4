"""Never disturbed in quiet hours, never later than need be, whatever the clock on the wall does."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.preferences import QuietHours
from shared.domain.quiet_hours import is_quiet, next_allowed

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7))
# With half-hour changes, changes at midnight, a skipped day and a change of half a day's sign.
ODD_ZONES = [
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Beirut",
    "Pacific/Apia",
    "Asia/Kathmandu",
    "America/St_Johns",
]

zones = st.sampled_from([*sorted(available_timezones()), *ODD_ZONES * 20]).map(ZoneInfo)
instants = st.integers(788_918_400, 2_145_830_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
windows = (
    st.tuples(st.times(), st.times())
    .map(lambda pair: QuietHours(*(each.replace(second=0, microsecond=0) for each in pair)))
    .filter(lambda quiet: quiet.start != quiet.end)
)


def _berlin(text: str, fold: int = 0) -> datetime:
    """In UTC: Python finds times of a repeated hour equal to nothing in another zone."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


@given(instants, windows, zones)
@example(datetime(2026, 3, 29, 0, 30, tzinfo=UTC), QuietHours(time(1), time(2, 30)), BERLIN)
@example(datetime(2026, 10, 25, 0, 10, tzinfo=UTC), QuietHours(time(1), time(2, 30)), BERLIN)
@example(datetime(2011, 12, 30, 8, tzinfo=UTC), NIGHT, ZoneInfo("Pacific/Apia"))
@example(datetime(2028, 2, 28, 23, tzinfo=UTC), NIGHT, ZoneInfo("UTC"))
def test_the_next_allowed_instant_is_not_quiet_and_not_before_it_was_asked_for(
    instant: datetime, quiet: QuietHours, zone: ZoneInfo
):
    allowed = next_allowed(instant, quiet, zone)

    assert allowed >= instant
    assert not is_quiet(allowed, quiet, zone)


@given(instants, windows, zones)
def test_no_earlier_minute_would_have_been_allowed(instant: datetime, quiet: QuietHours, zone: ZoneInfo):
    allowed = next_allowed(instant, quiet, zone)
    waited = int((allowed - instant).total_seconds() // 60)

    assert all(
        is_quiet(instant + timedelta(minutes=minute), quiet, zone)
        for minute in range(0, waited, max(1, waited // 60))
        if instant + timedelta(minutes=minute) < allowed
    )


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("2026-11-25 21:59", "2026-11-25 21:59"),
        ("2026-11-25 22:00", "2026-11-26 07:00"),
        ("2026-11-26 06:59", "2026-11-26 07:00"),
        ("2026-11-26 07:00", "2026-11-26 07:00"),
        ("2026-03-28 23:00", "2026-03-29 07:00"),
        ("2026-10-24 23:00", "2026-10-25 07:00"),
    ],
)
def test_the_night_ends_in_the_morning(asked: str, allowed: str):
    assert next_allowed(_berlin(asked), NIGHT, BERLIN) == _berlin(allowed)


def test_an_end_that_the_clock_skips_is_when_the_clock_goes_on():
    """On 29 March 2026 02:00 is followed by 03:00; a window to 02:30 ends at 03:00."""
    quiet = QuietHours(time(1), time(2, 30))

    assert next_allowed(_berlin("2026-03-29 01:30"), quiet, BERLIN) == _berlin("2026-03-29 03:00")


def test_an_hour_that_comes_twice_is_quiet_twice():
    """On 25 October 2026 03:00 is followed by 02:00; in the second 02:10 a window to 02:30 holds again."""
    quiet = QuietHours(time(2), time(2, 30))

    assert next_allowed(_berlin("2026-10-25 02:10", fold=1), quiet, BERLIN) == _berlin("2026-10-25 02:30", fold=1)
