"""When a callback is tried again (Standard Webhooks, "Deliverability and reliability", ten tries over 75 hours)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
LONGEST_PAUSE = PAUSES[-1]
LONGEST_RETRY_AFTER = timedelta(hours=24)  # a consumer's wilder wish is cut to this


def pause_after(attempt: int, wish: timedelta | None = None) -> timedelta | None:
    """How long to wait after try number ``attempt`` (from 1) failed; None when it was the last.

    ``wish`` is the consumer's Retry-After: it may put a try off, for so long at most, and never hurries one.
    """
    if attempt > len(PAUSES):
        return None
    return max(PAUSES[attempt - 1], min(wish or timedelta(0), LONGEST_RETRY_AFTER))


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The consumer's wish in Retry-After (RFC 9110 10.2.3: seconds or a date); None without one that can be read."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return timedelta(seconds=min(int(text[:9]), int(LONGEST_RETRY_AFTER.total_seconds())))
    try:
        wished = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = wished if wished.tzinfo else wished.replace(tzinfo=UTC)
    return max(timedelta(0), aware - now)
