from datetime import timedelta

from shared.domain.callback_schedule import pause_after


def test_ten_tries_over_seventy_five_hours() -> None:
    pauses = [pause_after(attempt) for attempt in range(1, 10)]

    assert pauses == [
        timedelta(seconds=5), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=5),
        timedelta(hours=10), timedelta(hours=14), timedelta(hours=20), timedelta(hours=24),
    ]  # fmt: skip
    assert pause_after(10) is None
    assert pause_after(11) is None
