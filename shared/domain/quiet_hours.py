"""When a customer may be disturbed: the next allowed instant, in the customer's zone.

Local clocks jump: an hour may be missing (a window that ends in it ends when the clock goes on) or come twice (both
times count). So the question asked is always what the customer's clock shows, and the answer is found on the time line.
"""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.domain.preferences import QuietHours

_DAYS_LOOKED_AHEAD = 2  # a window ends within a day; a gap in the clock may hide one end


def is_quiet(instant: datetime, quiet: QuietHours, zone: ZoneInfo) -> bool:
    """Whether the customer's clock shows a quiet time at ``instant``."""
    return _covers(quiet, instant.astimezone(zone).time())


def next_allowed(instant: datetime, quiet: QuietHours, zone: ZoneInfo) -> datetime:
    """The first instant from ``instant`` on at which the customer's clock shows no quiet time, in UTC."""
    if not is_quiet(instant, quiet, zone):
        return instant.astimezone(UTC)
    day = instant.astimezone(zone).date()
    ends = []
    for ahead in range(-1, _DAYS_LOOKED_AHEAD + 1):
        local = datetime.combine(day + timedelta(days=ahead), quiet.end)
        ends += [_on_time_line(local, zone, fold) for fold in (0, 1)]
    # The clock can also leave the window without ever showing its end: when it jumps.
    candidates = sorted(end for end in [*ends, *_jumps(instant, zone)] if end > instant)
    return next((each for each in candidates if not is_quiet(each, quiet, zone)), instant).astimezone(UTC)


def _covers(quiet: QuietHours, shown: time) -> bool:
    if quiet.start < quiet.end:
        return quiet.start <= shown < quiet.end
    return shown >= quiet.start or shown < quiet.end


def _on_time_line(local: datetime, zone: ZoneInfo, fold: int) -> datetime:
    return local.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _jumps(instant: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants within the next days at which the zone's offset changes, to the second."""
    start = instant.astimezone(UTC).replace(microsecond=0)
    found = []
    for hour in range(24 * _DAYS_LOOKED_AHEAD):
        early, late = start + timedelta(hours=hour), start + timedelta(hours=hour + 1)
        if early.astimezone(zone).utcoffset() != late.astimezone(zone).utcoffset():
            found.append(_change_between(early, late, zone))
    return found


def _change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    before = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late
