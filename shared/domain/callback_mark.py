"""What came of one callback, as it stands on its notification: the newest word only, which is all there is to keep.

A mark is written where the callback's outcome is written down anyway, so that its details cost nothing more.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class CallbackState(StrEnum):
    """Where one callback stands."""

    WAITING = "waiting"  # its endpoint is being spared; it goes out after a probe got through
    RETRYING = "retrying"  # the last try failed, the next one has a time
    DELIVERED = "delivered"  # the consumer answered 2xx
    FAILED = "failed"  # given up


@dataclass(frozen=True, slots=True)
class CallbackMark:
    """One callback's state.

    ``at`` is when it came to stand so, ``attempt`` the number of tries, ``reason`` why it was not taken, ``due_at``
    when it is tried next. Marks of earlier versions have a state and a reason only.
    """

    state: CallbackState
    at: datetime | None = None
    attempt: int = 0
    reason: str | None = None
    http_status: int | None = None
    milliseconds: int | None = None
    due_at: datetime | None = None


def mark_key(channel: str, status: str, endpoint_id: str) -> str:
    """The name under which a callback's mark stands on its notification."""
    return f"{channel}-{status}-{endpoint_id}"
