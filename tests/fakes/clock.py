"""A clock that stands until it is moved."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class FakeClock:
    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta | float) -> None:
        """Moves on by a duration, or by so many seconds."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)

    def advance_to(self, instant: datetime) -> None:
        self._now = max(self._now, instant)
