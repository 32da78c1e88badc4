"""How often one customer was sent to on one channel, as the times of what was let through (S3-08).

The window slides with each send: at most so many lie within any stretch of its length. What is asked for again, by a
retry or by a copy of a message, is the same send and counts once.
"""

from collections.abc import Mapping

from shared.domain.notification import Category
from shared.domain.tenant_policy import FrequencyCap

CAPPED = frozenset({Category.MARKETING})  # what the customer needs to hear is never held back for being too much


def counted(sends: Mapping[str, float], identity: str, now: float, cap: FrequencyCap) -> dict[str, float] | None:
    """``sends`` (when, by identity) with one more at ``now``; None when that would be more than the cap allows.

    Times are seconds since the epoch. What has left the window is dropped.
    """
    within = {name: at for name, at in sends.items() if at > now - cap.per.total_seconds()}
    if identity in within:
        return within
    return None if len(within) >= cap.sends else within | {identity: now}
