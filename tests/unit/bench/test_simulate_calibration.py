"""Costs from the load bench's report, the model of the measured machine, the report's files, the command line."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.simulate.calibration import Costs, costs_from, load_costs
from bench.simulate.local_machine import Machine, compare, predict
from bench.simulate.money import monthly_bill
from bench.simulate.prices import load_prices
from bench.simulate.report import Results, write
from bench.simulate.run import simulate
from bench.simulate.scenarios import AS_BUILT, day_scenarios, parser, spike_cases
from bench.simulate.seed_lines import seed_lines
from bench.simulate.shared_cores import Job, SharedCores
from bench.simulate.sizing import provisioned

_PROCESSES = {"app": 2.7, "host": 1.3, "Service Bus": 0.25, "Cosmos DB": 0.7, "provider": 0.03, "load generator": 0.05}


def _figure(name: str, median: float) -> dict:
    return {"name": name, "median": median}


def _report() -> dict:
    by_process = {name: {"CPU s for 1,000": value} for name, value in _PROCESSES.items()}
    single = {
        "create notification-tracking": {"RU": 5.7},
        "patch notification-tracking": {"RU": 20.8},
        "replace leases": {"RU": 1.9},
    }
    return {
        "about": {"quick": True, "date": "2026-11-24T23:05:27+00:00", "sources": "abc", "load_average": [9.0, 1, 1]},
        "sections": [
            {
                "title": "Singles, end to end",
                "load_average_before": [1.0, 1, 1],
                "figures": [
                    _figure("delivered a second, single", 280.0),
                    _figure("app CPU for 1,000 delivered, single", 2.7),
                    _figure("answer p50, single", 100.0),
                    _figure("answer p95, single", 160.0),
                ],
                "tables": {"By process": by_process, "Cosmos DB, a notification": single},
            },
            {
                "title": "Batches of 1,000, end to end",
                "load_average_before": [1.0, 1, 1],
                "figures": [
                    _figure("delivered a second, batch", 1000.0),
                    _figure("app CPU for 1,000 delivered, batch", 0.56),
                ],
                "tables": {
                    "By process": {name: {"CPU s for 1,000": value / 5} for name, value in _PROCESSES.items()},
                    "Cosmos DB, a notification": {"batch notification-tracking": {"RU": 26.5}},
                },
            },
        ],
    }


def test_without_a_report_the_documents_costs_are_used(tmp_path) -> None:
    assert load_costs(tmp_path / "report.json") == Costs()


def test_measured_costs_replace_the_defaults_and_say_so(tmp_path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(_report()))

    costs = load_costs(path)

    assert costs.deliver_cpu["single"] == pytest.approx(2.7 - costs.accept_cpu["single"])
    assert costs.accept_ru == {"single": 5.7, "batch": pytest.approx(26.5 * 5.7 / 26.5)}
    assert costs.feed_ru["single"] == 1.9
    assert costs.status_ru == pytest.approx(10.4)
    assert costs.track_cpu == Costs().track_cpu
    assert costs.sources["deliver_cpu"] == "make bench (quick), 2026-11-24, abc"
    assert not any("accept_ru," in name for name in costs.sources)


def test_stages_measured_apart_are_taken_as_they_are() -> None:
    report = _report()
    stages = {"single": {"accept": 1.1, "deliver": 1.5}, "batch": {"accept": 0.1, "deliver": 0.3}}
    report["sections"].append({"title": "App CPU by stage", "figures": [], "tables": {"CPU seconds for 1,000": stages}})

    costs = costs_from(report)

    assert costs.accept_cpu == {"single": 1.1, "batch": 0.1}
    assert costs.deliver_cpu == {"single": 1.5, "batch": 0.3}


def test_every_cost_has_a_source() -> None:
    for costs in (Costs(), costs_from(_report())):
        named = {name for names in costs.sources for name in names.split(", ")}
        assert named >= set(vars(costs)) - {"sources", "key_ru", "feed_ru"}


def test_one_process_does_what_one_core_can() -> None:
    machine, done = SharedCores(2, 0, 1, seed=1), []
    for _ in range(1000):
        machine.start(Job([("app", 0.001)], done.append))
    machine.run()

    assert len(done) == 1000
    assert max(done) == pytest.approx(1.0, rel=0.05)


def test_three_processes_share_two_cores_and_others_take_their_part() -> None:
    ends = []
    for background in (0, 3):
        machine, done = SharedCores(2, background, 1, seed=1), []
        for name in ("a", "b", "c"):
            for _ in range(1000):
                machine.start(Job([(name, 0.001)], done.append))
        machine.run()
        ends.append(max(done))

    assert ends[0] == pytest.approx(1.5, rel=0.05)
    assert ends[1] == pytest.approx(3.0, rel=0.05)


def test_the_busiest_process_bounds_the_rate() -> None:
    cpu = {name: value / 1000 for name, value in _PROCESSES.items()}

    alone, loaded = (predict(cpu, 0.001, 2.0, machine).rate for machine in (Machine(), Machine(background=2.0)))

    assert loaded < alone <= 1 / 0.0027 * 1.02


def test_predictions_stand_beside_what_was_measured() -> None:
    rows = {row.what: row for row in compare(_report())}

    assert set(rows) == {
        "singles, end to end", "singles, answer p50", "singles, answer p95", "batches of 1,000, end to end",
    }  # fmt: skip
    row = rows["singles, end to end"]
    assert row.errors == pytest.approx(((row.alone / 280 - 1) * 100, (row.loaded / 280 - 1) * 100))
    assert row.loaded < row.alone


def test_what_others_used_is_taken_from_the_cores() -> None:
    report = _report()
    for section in report["sections"]:
        section["used_by_others"] = 0.5

    row = compare(report)[0]

    assert row.loaded == pytest.approx(row.alone / 2, rel=0.3)


def test_a_report_without_singles_is_not_compared() -> None:
    assert compare(_report() | {"sections": []}) == []


def test_the_report_has_its_tables_and_wellformed_charts(tmp_path) -> None:
    options = parser().parse_args(["--daily", "2e6", "--spike", "500:20"])
    costs, prices = Costs(), load_prices()
    results = Results(costs, prices, compare(_report()), seed_lines=seed_lines(prices))
    for day in day_scenarios(options):
        scenario = provisioned(replace(day, step_seconds=120.0), costs)
        outcome = simulate(scenario, costs)
        results.days.append((scenario, outcome))
        results.bills.append((scenario.name, monthly_bill(scenario, outcome, costs, prices)))
    case = spike_cases(options)[0]
    results.spikes.append((case.policy, provisioned(case.scenario, costs), simulate(case.scenario, costs)))

    summary = write(tmp_path, results)

    text = (tmp_path / "simulation.md").read_text()
    for rows in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count(" | ") for line in rows.splitlines()}) == 1, rows
    assert case.policy == AS_BUILT
    assert "2 M a day" in summary
    assert "| providers at 50 M/day | $/month | 82,115 | 82,115 |" in text
    assert "500/s for 20 s" in text
    assert json.loads((tmp_path / "simulation.json").read_text())["days"]
    charts = list(tmp_path.glob("*.svg"))
    assert len(charts) >= 7
    for chart in charts:
        ET.fromstring(chart.read_text())  # noqa: S314 - our own file
        assert f"({chart.name})" in text


def test_what_ifs_reach_the_scenario() -> None:
    options = parser().parse_args(
        [
            *("--daily=80e6", "--peak=3000", "--sms-share=0.1", "--batch-share=0.2", "--mu=8", "--cosmos-ru-max=9000"),
            *("--provider-latency=2", "--instances-max=7", "--limit=sms=100", "--limit-sharing=high-first"),
        ]
    )

    [scenario] = day_scenarios(options)

    assert (scenario.load.daily, scenario.load.peak, scenario.load.sms_share) == (80e6, 3000, 0.1)
    assert (scenario.platform.messaging_units, scenario.platform.cosmos_ru_max) == (8, 9000)
    assert (scenario.platform.instances_max, scenario.providers.latency_seconds) == (7, 2.0)
    assert scenario.providers.calls_per_second["sms"] == 100
    assert scenario.providers.limit_sharing == "high-first"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--sms-share", "0.9"], "shares add up to more than 1"),
        (["--limit", "fax=3"], "no such channel"),
        (["--peak", "3"], "can't be drawn"),
    ],
)
def test_impossible_what_ifs_are_refused(arguments, says) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "bench.simulate", *arguments], cwd=root, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert says in done.stderr
