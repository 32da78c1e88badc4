"""Which lanes take new work, judged by how late their deliveries are: low closes first, then normal, high never.

A lane closes when its deliveries start too late. A higher lane that is late closes the lower ones as well, since they
compete for the same provider and the same processes. What closed opens again at half of what closed it, so that it does
not flap. Pure; lags are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.notification import Lane

# From accept to the provider's call, with nothing else to do (requirement S3-03).
TARGET_SECONDS = {Lane.HIGH: 1.0, Lane.NORMAL: 5.0, Lane.LOW: 30.0}
_OPEN_AGAIN_AT = 0.5  # of what closed it
_LOW_GIVES_WAY_AT = 0.5  # of what closes normal
_LOW_SHEDS_BEFORE = 0.4  # of the lateness of high that closes normal
_SHED_ORDER = (Lane.LOW, Lane.NORMAL)


@dataclass(frozen=True, slots=True)
class LagLimits:
    """How late a lane's deliveries may start before new work is refused. ``high`` is what closes the lanes below."""

    high: timedelta = timedelta(seconds=5)
    normal: timedelta = timedelta(seconds=60)
    low: timedelta = timedelta(seconds=300)


def lateness(lane: Lane, lags: Mapping[Lane, float], limits: LagLimits) -> float:
    """How near a lane is to closing: 1 and more closes it. High never closes."""
    late_high = lags.get(Lane.HIGH, 0.0) / limits.high.total_seconds()
    late_normal = lags.get(Lane.NORMAL, 0.0) / limits.normal.total_seconds()
    if lane is Lane.NORMAL:
        return max(late_normal, late_high)
    if lane is Lane.LOW:
        own = lags.get(Lane.LOW, 0.0) / limits.low.total_seconds()
        return max(own, late_normal / _LOW_GIVES_WAY_AT, late_high / _LOW_SHEDS_BEFORE)
    return 0.0


def is_closed(lane: Lane, lags: Mapping[Lane, float], limits: LagLimits, *, was_closed: bool) -> bool:
    """Whether a lane takes no new work now."""
    return lateness(lane, lags, limits) >= (_OPEN_AGAIN_AT if was_closed else 1.0)


def seconds_to_open(lane: Lane, lags: Mapping[Lane, float], limits: LagLimits) -> float:
    """An estimate of when a closed lane may open: what is behind is worked off as fast as it came, or slower."""
    excess = 1.0 - _OPEN_AGAIN_AT / max(lateness(lane, lags, limits), _OPEN_AGAIN_AT)
    return excess * max(lags.values(), default=0.0)
