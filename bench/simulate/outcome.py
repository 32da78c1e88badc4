"""What a run came to: the books, what was needed at most, latencies, and samples over time."""

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.simulate.assumptions import LANES
from bench.simulate.latencies import Latencies

SECONDS_AN_HOUR = 3600


@dataclass(frozen=True)
class Sample:
    """The state at one instant, and the latencies since the sample before."""

    at: float  # seconds of the day
    offered: float  # a second
    sent: float
    refused: float
    request_units: float  # a second
    bus_share: float  # of what the messaging units carry
    instances: int
    backlog: dict[str, float]  # by lane, wherever it waits
    p95: dict[str, float | None]  # by lane, seconds from submission to the provider


@dataclass
class Outcome:
    """Totals in notifications unless said otherwise."""

    name: str
    offered: float = 0.0
    refused: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LANES, 0.0))
    accepted: float = 0.0
    sent: float = 0.0
    failed: float = 0.0
    retried: float = 0.0
    backlog: float = 0.0  # accepted and neither sent nor failed, at the end
    waiting: float = 0.0  # at the door, at the end
    receipts: float = 0.0
    callbacks: float = 0.0
    executions: float = 0.0
    seconds: float = 0.0
    from_second: float = 0.0
    peak_ru: float = 0.0  # a second
    wanted_ru: float = 0.0  # a second, had there been no maximum
    ru: float = 0.0
    hourly_ru: dict[int, float] = field(default_factory=lambda: defaultdict(float))  # the highest in each hour
    throttled_seconds: float = 0.0
    bus_bytes: float = 0.0
    bus_messages: float = 0.0
    peak_bus_share: float = 0.0
    peak_bus_gigabytes: float = 0.0
    peak_unpublished: float = 0.0
    peak_backlog: float = 0.0
    sent_by_channel: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    instances: dict[str, int] = field(default_factory=dict)  # the most of each function
    peak_instances: int = 0
    instance_seconds: float = 0.0
    ready_seconds: float = 0.0  # of always-ready instances
    accept: dict[str, Latencies] = field(default_factory=lambda: {lane: Latencies() for lane in LANES})
    to_provider: dict[str, Latencies] = field(default_factory=lambda: {lane: Latencies() for lane in LANES})
    drained: dict[str, float | None] = field(default_factory=dict)  # by lane and channel: seconds after the spike
    samples: list[Sample] = field(default_factory=list)

    @property
    def total_refused(self) -> float:
        return sum(self.refused.values())

    @property
    def difference(self) -> float:
        """Offered and not accounted for: must be nothing but rounding."""
        return self.offered - self.total_refused - self.waiting - self.sent - self.failed - self.backlog

    def forget_latencies(self) -> None:
        """Those of a warm-up."""
        self.accept = {lane: Latencies() for lane in LANES}
        self.to_provider = {lane: Latencies() for lane in LANES}

    def latency_table(self) -> dict[str, dict[str, float]]:
        """By lane, seconds from submission to the provider."""
        table = {}
        for lane, latencies in self.to_provider.items():
            found = {f"p{share * 100:g}": latencies.percentile(share) for share in (0.5, 0.95, 0.99)}
            table[lane] = {name: value for name, value in found.items() if value is not None}
        return table

    def to_json(self) -> dict[str, Any]:
        plain = {name: value for name, value in vars(self).items() if name not in {"accept", "to_provider", "samples"}}
        return plain | {
            "difference": self.difference,
            "seconds_to_provider": self.latency_table(),
            "samples": [asdict(sample) for sample in self.samples],
        }
