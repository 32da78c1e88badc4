"""A stretch of time in which something is counted, so that no such stretch holds more than its cap.

Time is cut into buckets and a count is kept for each. What is counted at a moment is the bucket of that moment and all
those of which a part lies within the window before it. So the cap holds for every window, however it lies; what was
counted leaves the count up to one bucket later than it would have to.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """``buckets`` of ``bucket_seconds`` each."""

    bucket_seconds: int
    buckets: int

    @property
    def seconds(self) -> int:
        """How long the window is."""
        return self.bucket_seconds * self.buckets

    def bucket_at(self, now: float) -> int:
        """The number of the bucket that ``now`` (seconds since the epoch) lies in."""
        return int(now // self.bucket_seconds)

    def is_counted(self, bucket: int, current: int) -> bool:
        """Whether what was counted in ``bucket`` still counts while ``current`` is the bucket of now."""
        return bucket >= current - self.buckets

    def kept_seconds(self) -> int:
        """For how long a count has to be kept after it was last touched."""
        return self.seconds + 2 * self.bucket_seconds


@dataclass(frozen=True, slots=True)
class Count:
    """What is counted: an account (a tenant's, or a tenant's in one country), under a name, in a window."""

    account: str
    name: str
    window: Window


A_MINUTE = Window(bucket_seconds=10, buckets=6)
A_DAY = Window(bucket_seconds=3600, buckets=24)
A_CALENDAR_DAY = Window(bucket_seconds=24 * 3600, buckets=0)  # from midnight to midnight, UTC
