"""``make simulate``: runs the day and the spikes, prices the month, checks the seeds' tables and the model itself.

Writes bench/report/simulation.{md,json} and charts. Same seed, same report. Exit status 1 when a notification is
unaccounted for in any run.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench.simulate import scenarios
from bench.simulate.calibration import REPORT, Costs, load_costs
from bench.simulate.local_machine import Comparison, compare
from bench.simulate.money import Bill, monthly_bill
from bench.simulate.outcome import Outcome
from bench.simulate.prices import load_prices
from bench.simulate.report import Results, write
from bench.simulate.run import simulate
from bench.simulate.seed_lines import seed_lines
from bench.simulate.sizing import provisioned

_TOLERANCE = 1e-6  # of the offered


def main() -> int:
    parser = scenarios.parser()
    parser.add_argument("--costs", type=Path, default=REPORT, help="report.json of the load bench")
    parser.add_argument("--report", type=Path, default=REPORT.parent, help="folder of the report")
    options = parser.parse_args()
    started = time.monotonic()
    costs, prices = load_costs(options.costs), load_prices()
    if options.audit_ru is not None:
        costs = replace(costs, audit_ru=options.audit_ru)
    try:
        days, cases = scenarios.day_scenarios(options), scenarios.spike_cases(options)
    except ValueError as error:
        parser.error(str(error))
    results = Results(costs, prices, comparisons=_compared(options.costs))
    for day in days:
        scenario = provisioned(day, costs)
        outcome = _run(scenario.name, scenario, costs)
        results.days.append((scenario, outcome))
        results.bills.append((scenario.name, monthly_bill(scenario, outcome, costs, prices)))
    for case in cases:
        scenario = provisioned(case.scenario, costs)
        results.spikes.append((case.policy, scenario, _run(f"{scenario.name}, {case.policy}", scenario, costs)))
    results.seed_lines = seed_lines(prices, _replacing(results.bills))
    summary = write(options.report, results)
    print(f"\n{summary}\n{time.monotonic() - started:.0f} s; {options.report / 'simulation.md'}")
    return 0 if all(_is_balanced(outcome) for outcome in results.outcomes) else 1


def _run(name: str, scenario: scenarios.Scenario, costs: Costs) -> Outcome:
    started = time.monotonic()
    outcome = simulate(scenario, costs)
    print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)
    return outcome


def _compared(path: Path) -> list[Comparison]:
    return compare(json.loads(path.read_text())) if path.exists() else []


def _replacing(bills: list[tuple[str, Bill]]) -> dict[str, float]:
    """Our bills by the names of the seeds' statements; only for the volumes that the seeds speak of."""
    replaced = {}
    for name, bill in bills:
        volume = name.partition(" ")[0]
        if volume not in {"50", "150"}:
            continue
        replaced[f"infrastructure at {volume} M/day"] = bill.total("Azure")
        replaced[f"total at {volume} M/day"] = bill.total()
        suffix = "" if volume == "50" else " at 150 M/day"
        replaced[f"total of the gateway proposal{suffix}"] = bill.total()
    return replaced


def _is_balanced(outcome: Outcome) -> bool:
    return abs(outcome.difference) <= _TOLERANCE * outcome.offered


if __name__ == "__main__":
    sys.exit(main())
