"""When a callback is tried again (Standard Webhooks, "Deliverability and reliability", ten tries over 75 hours)."""

from datetime import timedelta

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
