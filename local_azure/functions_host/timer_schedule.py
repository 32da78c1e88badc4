"""Timer schedules: NCRONTAB with five or six fields, or a TimeSpan.

Takes the ``schedule`` of a timer trigger, gives the next due instant after another. UTC unless WEBSITE_TIME_ZONE (an
IANA name) is set, as on Linux plans.
Spec: https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer
"""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterError, croniter

from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.host_settings import parse_time_span


class TimerSchedule:
    """One schedule."""

    def __init__(self, expression: str, time_zone: str = "UTC") -> None:
        self._expression = expression.strip()
        self._interval: timedelta | None = None
        try:
            self._zone = ZoneInfo(time_zone or "UTC")
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise SettingsInvalid(f"WEBSITE_TIME_ZONE {time_zone!r} is not a known time zone") from error
        fields = self._expression.split()
        if len(fields) == 1:
            self._interval = self._read_interval()
        elif len(fields) not in (5, 6) or not self._is_cron(len(fields) == 6):
            raise SettingsInvalid(f"timer schedule {expression!r} is neither an NCRONTAB expression nor a time span")
        self._has_seconds = len(fields) == 6

    def _read_interval(self) -> timedelta:
        try:
            seconds = parse_time_span(self._expression)
        except ValueError as error:
            raise SettingsInvalid(f"timer schedule: {error}") from error
        if seconds <= 0:
            raise SettingsInvalid("timer schedule: the time span must be longer than zero")
        return timedelta(seconds=seconds)

    def _is_cron(self, has_seconds: bool) -> bool:
        try:
            croniter(self._expression, datetime.now(UTC), second_at_beginning=has_seconds)
        except (CroniterError, ValueError, KeyError):
            return False
        return True

    @property
    def adjusts_for_daylight_saving(self) -> bool:
        return self._interval is None

    def next_after(self, instant: datetime) -> datetime:
        """The first due instant strictly after ``instant`` (UTC)."""
        if self._interval is not None:
            return instant + self._interval
        local = instant.astimezone(self._zone)
        due: datetime = croniter(self._expression, local, second_at_beginning=self._has_seconds).get_next(datetime)
        return due.astimezone(UTC)
