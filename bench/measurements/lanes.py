"""What each lane's notifications wait for while batches saturate the machine."""

from bench.figures import HIGH_LANE_P95, Section
from bench.load_plan import Stream
from bench.measurements.delivery import ITEMS
from bench.observation import Bench, Observation
from bench.quantiles import percentile
from bench.reporting.svg import line_chart
from bench.stack import Stack

HIGH_RATE = 20
_SHARES = [share / 100 for share in (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99)]


def background(seconds: float) -> list[Stream]:
    """Batches without a pause, in the two lower lanes."""
    base = {"seconds": seconds, "connections": 1, "batch_items": ITEMS}
    return [Stream("normal", lane="normal", **base), Stream("low", lane="low", **base)]


def measure(bench: Bench, stack: Stack) -> None:
    seconds = 4.0 if bench.is_quick else 12.0
    high = Stream("high", seconds=seconds, rate=HIGH_RATE, lane="high")
    with bench.section(f"Lanes: {HIGH_RATE} high singles a second") as section:
        idle = bench.observe(stack, high)
        _percentiles(section, "high, nothing else", [idle], "high")
        busy = [bench.observe(stack, high, *background(seconds)) for _ in range(bench.repeats(2))]
        for lane in ("high", "normal", "low"):
            _percentiles(section, f"{lane}, batches running", busy, lane)
        section.add("delivered a second meanwhile", "1/s", [each.delivered_per_second for each in busy])
        section.charts["lanes.svg"] = _chart(idle, busy[-1])


def _percentiles(section: Section, name: str, seen: list[Observation], lane: str) -> None:
    for label, share in (("p50", 0.5), ("p95", 0.95)):
        values = [percentile(each.seconds_to_provider(lane), share) for each in seen]
        target = HIGH_LANE_P95 if lane == "high" and label == "p95" else None
        section.add(f"submission to provider {label}, lane {name}", "s", values, target)


def _chart(idle: Observation, busy: Observation) -> str:
    lines = {"high, nothing else": idle.seconds_to_provider("high")}
    lines |= {f"{lane}, batches running": busy.seconds_to_provider(lane) for lane in ("high", "normal", "low")}
    points = {
        name: [(share * 100, percentile(values, share)) for share in _SHARES]
        for name, values in lines.items()
        if values
    }
    return line_chart("Submission to provider, by lane", points, x="percentile", y="seconds", log_y=True)
