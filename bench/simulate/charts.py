"""Charts of the runs: rates, backlogs, latencies, resources over time; the bill."""

from collections.abc import Callable, Sequence

from bench.reporting.svg import line_chart, stacked_chart
from bench.simulate.assumptions import LANES
from bench.simulate.money import Bill
from bench.simulate.outcome import Outcome, Sample

_POINTS = 80


def _points(out: Outcome, value: Callable[[Sample], float | None], scale: float) -> list[tuple[float, float]]:
    """Over hours of the day, or minutes since the run began."""
    step = max(1, len(out.samples) // _POINTS)
    found = [((sample.at - out.from_second) / scale, value(sample)) for sample in out.samples[::step]]
    return [(at, each) for at, each in found if each is not None]


def day_charts(name: str, out: Outcome) -> dict[str, str]:
    hour = 3600.0
    rates = {
        "offered": _points(out, lambda sample: sample.offered, hour),
        "sent": _points(out, lambda sample: sample.sent, hour),
        "refused": _points(out, lambda sample: sample.refused, hour),
    }
    units = {"RU/s, thousands": _points(out, lambda sample: sample.request_units / 1000, hour)}
    instances = {"instances": _points(out, lambda sample: float(sample.instances), hour)}
    slug = name.partition(" ")[0]
    return {
        f"simulation-day-{slug}m.svg": line_chart(f"{name}: notifications a second", rates, x="hour", y="1/s"),
        f"simulation-day-{slug}m-ru.svg": line_chart(f"{name}: request units", units, x="hour", y="thousand RU/s"),
        f"simulation-day-{slug}m-instances.svg": line_chart(f"{name}: instances", instances, x="hour", y="instances"),
    }


def spike_charts(slug: str, name: str, by_policy: Sequence[tuple[str, Outcome]]) -> dict[str, str]:
    """Backlog of all lanes and latency of the high lane, a line for each policy; rates of the first."""
    minute = 60.0
    backlog = {
        policy: _points(out, lambda sample: sum(sample.backlog.values()) / 1e6, minute) for policy, out in by_policy
    }
    high = {policy: _points(out, lambda sample: sample.p95["high"], minute) for policy, out in by_policy}
    _, first = by_policy[0]
    lanes = {lane: _points(first, lambda sample, lane=lane: sample.backlog[lane] / 1e6, minute) for lane in LANES}
    x = "minutes (the spike begins at 10)"
    return {
        f"simulation-spike-{slug}-backlog.svg": line_chart(f"{name}: waiting", backlog, x=x, y="millions"),
        f"simulation-spike-{slug}-lanes.svg": line_chart(
            f"{name}: waiting by lane, {by_policy[0][0]}", lanes, x=x, y="millions"
        ),
        f"simulation-spike-{slug}-high.svg": line_chart(
            f"{name}: high lane, p95 to the provider", high, x=x, y="seconds", log_y=True
        ),
    }


def bill_chart(bills: Sequence[tuple[str, Bill]]) -> dict[str, str]:
    """Azure only: beside the providers it would not be seen."""
    rows = {
        name: {line.name: line.dollars / 1000 for line in bill.lines if line.group == "Azure"} for name, bill in bills
    }
    return {"simulation-azure-bill.svg": stacked_chart("Azure, a month", rows, "thousand $")}
