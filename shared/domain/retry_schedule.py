"""When the next attempt of a delivery is due, and when there is none."""

import hashlib
from datetime import timedelta

BACKOFF_SECONDS = (1, 2, 4, 8, 16)  # S0-21: exponential, first to last pause between attempts
JITTER = 0.25  # each pause is stretched by up to a quarter, so that a burst of failures does not come back as a burst


def pause_before(attempt: int, identity: str, retry_after: timedelta | None = None) -> timedelta:
    """How long to wait before attempt number ``attempt`` (2 or more).

    The jitter comes from ``identity``, so a replayed orchestration computes the same pause. A provider's own
    Retry-After wins when it is longer.
    """
    seconds = BACKOFF_SECONDS[min(attempt - 2, len(BACKOFF_SECONDS) - 1)]
    fraction = int.from_bytes(hashlib.sha256(f"{identity}\n{attempt}".encode()).digest()[:4]) / 2**32
    pause = timedelta(seconds=seconds * (1 + JITTER * fraction))
    return max(pause, retry_after) if retry_after else pause
