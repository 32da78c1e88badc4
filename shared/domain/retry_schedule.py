"""When the next attempt of a delivery is due, and when there is none."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

BACKOFF_SECONDS = (1, 2, 4, 8, 16)  # S0-21: exponential, first to last pause between attempts
JITTER = 0.25  # each pause is stretched by up to a quarter, so that a burst of failures does not come back as a burst
LONGEST_SPREAD = timedelta(seconds=10)  # by which a pause that a provider asked for is stretched at most


def pause_before(attempt: int, identity: str, retry_after: timedelta | None = None) -> timedelta:
    """How long to wait before attempt number ``attempt`` (2 or more).

    The jitter comes from ``identity``, so a replayed orchestration computes the same pause. A provider's own
    Retry-After wins when it is longer.
    """
    seconds = BACKOFF_SECONDS[min(attempt - 2, len(BACKOFF_SECONDS) - 1)]
    pause = timedelta(seconds=seconds * (1 + JITTER * _fraction(identity, attempt)))
    return max(pause, retry_after) if retry_after else pause


def pause_as_asked(asked: timedelta, identity: str) -> timedelta:
    """The pause that a provider asked for and a little more, by ``identity``: nobody comes early, nor all at once."""
    return asked + min(asked * JITTER, LONGEST_SPREAD) * _fraction(identity, 0)


def wait_asked_for(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The wait that ``Retry-After`` asks for (RFC 9110, 10.2.3: seconds or a date); None without one that can be read.

    It is as long as was asked for, and negative where the date is over: whoever heeds it sets the bounds.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return timedelta(seconds=int(value[:9]))
    try:
        return parsedate_to_datetime(value) - now
    except (ValueError, TypeError):
        return None


def _fraction(identity: str, number: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{identity}\n{number}".encode()).digest()[:4]) / 2**32
