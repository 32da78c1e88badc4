"""The report: simulation.md, simulation.json and the charts."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.simulate import charts, tables
from bench.simulate.assumptions import Scenario
from bench.simulate.calibration import Costs
from bench.simulate.local_machine import Comparison
from bench.simulate.money import Bill
from bench.simulate.outcome import Outcome
from bench.simulate.prices import PriceList
from bench.simulate.scenarios import AS_BUILT
from bench.simulate.seed_lines import SeedLine
from bench.simulate.sizing import Requirement, requirement

_RATES = (579.0, 2000.0, 6000.0, 20_000.0)
_BATCH_SHARES = (0.0, 0.6, 0.95)

_COMPARED = """CPU a notification is the bench's; rates and latencies are predicted from it. Alone: had the machine done
nothing else. As loaded: with the share of the machine that others used meanwhile, or, where the bench did not measure
that, with the load average just before as competitors for its cores.

"""


@dataclass
class Results:
    """Everything a report tells."""

    costs: Costs
    prices: PriceList
    comparisons: list[Comparison]
    days: list[tuple[Scenario, Outcome]] = field(default_factory=list)
    bills: list[tuple[str, Bill]] = field(default_factory=list)
    spikes: list[tuple[str, Scenario, Outcome]] = field(default_factory=list)
    seed_lines: list[SeedLine] = field(default_factory=list)

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome in self.days] + [outcome for _, _, outcome in self.spikes]

    def runs(self) -> list[tuple[str, str, Outcome]]:
        """Name, policy, outcome."""
        days = [(scenario.name, AS_BUILT, outcome) for scenario, outcome in self.days]
        return days + [(scenario.name, policy, outcome) for policy, scenario, outcome in self.spikes]

    def needs(self) -> list[tuple[str, Requirement]]:
        """Closed forms for some rates and mixes."""
        scenario = self.days[0][0]
        found = []
        for rate in _RATES:
            for share in _BATCH_SHARES:
                shares = dict.fromkeys(("high", "normal", "low"), share)
                found.append(
                    (f"{rate:,.0f}/s, {share:.0%} in batches", requirement(scenario, self.costs, rate, shares))
                )
        return found


def write(folder: Path, results: Results) -> str:
    """Gives the summary for the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = _charts(results)
    for name, svg in drawn.items():
        (folder / name).write_text(svg)
    (folder / "simulation.md").write_text("\n".join(_markdown(results, list(drawn))))
    (folder / "simulation.json").write_text(json.dumps(_document(results), indent=1, ensure_ascii=False) + "\n")
    return "\n".join(_summary(results))


def _charts(results: Results) -> dict[str, str]:
    drawn = charts.bill_chart(results.bills)
    for scenario, outcome in results.days:
        drawn |= charts.day_charts(scenario.name, outcome)
    by_spike: dict[str, list[tuple[str, Outcome]]] = {}
    for policy, scenario, outcome in results.spikes:
        by_spike.setdefault(scenario.name, []).append((policy, outcome))
    for number, (name, runs) in enumerate(by_spike.items(), start=1):
        drawn |= charts.spike_charts(str(number), name, runs)
    return drawn


def _markdown(results: Results, drawn: list[str]) -> Iterator[str]:
    yield "# Capacity and cost, simulated\n"
    yield "What is assumed, how it is computed and what is left out: docs/cost-model.md. Nothing here ran on Azure.\n"
    yield "## A day\n\n" + tables.day_table(results.days)
    yield "## A spike at the busiest hour\n\n" + tables.spike_table(results.spikes) if results.spikes else ""
    yield "## Service levels (from submission to the provider)\n\n" + tables.service_table(results.runs())
    yield "## A month's bill\n\n" + tables.bill_table(results.bills)
    yield "## What a steady rate needs (closed form, headroom apart)\n\n" + tables.sizing_table(results.needs())
    if results.comparisons:
        yield "## The model against the measured machine\n\n" + _COMPARED + tables.comparison_table(results.comparisons)
    else:
        yield "## The model against the measured machine\n\nNo report of the load bench: run `make bench` first.\n"
    yield "## The source documents' figures\n\n≠ marks where a document contradicts its own assumptions.\n"
    yield tables.seed_table(results.seed_lines)
    yield "## Costs used\n\n" + tables.costs_table(results.costs)
    yield f"## Prices used (read {results.prices.read})\n\n" + tables.price_table(results.prices)
    for scenario, outcome in results.days:
        yield f"## {scenario.name}, hour by hour\n\n" + tables.timeline_table(outcome)
    for policy, scenario, outcome in results.spikes:
        if policy == AS_BUILT:
            yield f"## {scenario.name}, {policy}, over time\n\n" + tables.timeline_table(outcome)
    yield "## Charts\n"
    yield from (f"![{name}]({name})\n" for name in drawn)


def _document(results: Results) -> dict[str, object]:
    return {
        "prices_read": results.prices.read,
        "costs": asdict(results.costs),
        "days": [{"scenario": asdict(scenario), "outcome": out.to_json()} for scenario, out in results.days],
        "spikes": [
            {"policy": policy, "scenario": asdict(scenario), "outcome": out.to_json()}
            for policy, scenario, out in results.spikes
        ],
        "bills": {name: [asdict(line) for line in bill.lines] for name, bill in results.bills},
        "needs": {name: asdict(need) | {"instances": need.instances} for name, need in results.needs()},
        "seed_lines": [asdict(line) | {"contradicts_itself": line.contradicts_itself} for line in results.seed_lines],
        "local_machine": [asdict(row) | {"errors_percent": row.errors} for row in results.comparisons],
    }


def _summary(results: Results) -> Iterator[str]:
    yield tables.day_table(results.days)
    if results.spikes:
        yield tables.spike_table(results.spikes)
    for name, bill in results.bills:
        yield f"{name}: providers ${bill.total('providers'):,.0f}, Azure ${bill.total('Azure'):,.0f} a month"
    if results.comparisons:
        rates = [row for row in results.comparisons if row.unit == "1/s"]
        worst = max(min(abs(error) for error in row.errors) for row in rates)
        within = sum(row.is_between for row in rates)
        yield (
            f"rates on the measured machine: {within} of {len(rates)} lie between the predictions for a free and for a"
            f" loaded machine; the nearer one is off by {worst:.0f} % at most"
        )
    wrong = sum(line.contradicts_itself for line in results.seed_lines)
    yield f"{len(results.seed_lines)} figures of the source documents, {wrong} contradict their own assumptions"
