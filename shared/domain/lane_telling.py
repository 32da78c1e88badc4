"""What processes tell each other about their lanes."""

from dataclasses import dataclass

from shared.domain.notification import Lane

LaneKey = tuple[str, Lane]  # channel and lane


@dataclass(frozen=True, slots=True)
class LaneEntry:
    """What the document says of one lane. All but the two lags only ever grow.

    Attributes:
        lag: how many seconds after they were wanted its deliveries start, as last told.
        felt: the same for tenants that don't dominate the lane.
        tellings: how often that was told.
        started: deliveries that were claimed, while anybody counted.
        asked: deliveries that were submitted, accepted or not, while anybody counted.
    """

    lag: float = 0.0
    felt: float = 0.0
    tellings: int = 0
    started: int = 0
    asked: int = 0


@dataclass(slots=True)
class Telling:
    """What one process adds about one lane. ``lag`` is None when it only counts."""

    lag: float | None = None
    felt: float = 0.0
    started: int = 0
    asked: int = 0
