import json
from xml.etree import ElementTree as ET

import pytest

from bench.figures import Figure, Section, at_least, at_most
from bench.reconcile import Reconciliation
from bench.reporting import report
from bench.reporting.svg import bar_chart, line_chart, nice_ceiling, stacked_chart

_ABOUT = {
    "date": "2026-11-24T23:35:00+00:00",
    "seed": 7,
    "quick": True,
    "machine": "2 cores",
    "system": "Linux",
    "python": "3.11.7",
    "packages": {"pydantic": "2.14.4"},
    "sources": "abc",
    "not_measured": ["backlog: it did not start"],
}


def _section():
    section = Section("Singles", load_before=(0.1, 0, 0), load_after=(1.9, 0, 0), others=0.034)
    section.add("app CPU", "s", [2.0, 4.0, 2.5], at_most(3.0))
    section.add("rate", "1/s", [200.0], at_least(250))
    section.add("p50", "ms", [1.0])
    section.add("p99", "ms", [9.0], in_summary=True)
    section.add("never measured", "s", [], at_most(1))
    section.tables["By process"] = {"app": {"CPU": 2.0}, "host": {"PSS": 50.0}}
    section.charts["chart.svg"] = bar_chart("Chart <1>", {"a": {"p50": 1.0}}, "ms")
    return section


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [(at_most(3), 3.0, True), (at_most(3), 3.1, False), (at_least(250), 250, True), (at_least(250), 249, False)],
)
def test_a_target_is_met_at_its_limit(target, value, met):
    assert target.is_met_by(value) is met


def test_the_median_counts_against_the_target():
    assert Figure("CPU", "s", [1.0, 9.0, 2.0], at_most(3)).is_met
    assert Figure("CPU", "s", [1.0]).is_met is None


def test_the_markdown_gives_each_figure_with_range_target_and_verdict():
    text = report.markdown(_ABOUT, [_section()], Reconciliation(3, 3), {"503 away": 2})

    assert "| app CPU | 2.5 | 2 to 4 | 3 | s | ≤ 3 | met |" in text
    assert "| rate | 200 |  | 1 | 1/s | ≥ 250 | NOT met |" in text
    assert "| p50 | 1 |  | 1 | ms |  |  |" in text
    assert "never measured" not in text
    assert "load average 0.10 before, 1.90 after; up to 3% of the machine used by others" in text
    assert "seed 7, quick" in text
    assert "pydantic 2.14.4" in text
    assert "- refused: 503 away: 2" in text
    assert "- not measured: backlog: it did not start" in text
    assert "| host |  | 50 |" in text
    assert "![chart.svg](chart.svg)" in text


def test_the_summary_holds_the_figures_with_targets_the_chosen_ones_and_the_books():
    text = report.summary([_section()], Reconciliation(3, 2, lost=["A"]), {})

    lines = text.splitlines()
    assert [line.split("  ")[0] for line in lines[1:4]] == ["app CPU", "rate", "p99"]
    assert "accepted 3, reached the provider 2, lost 1" in lines[-1]


def test_the_report_is_written_as_json_markdown_and_charts(tmp_path):
    report.write(tmp_path / "report", _ABOUT, [_section()], Reconciliation(2, 1, lost=["A"]), {})

    document = json.loads((tmp_path / "report/report.json").read_text())
    assert document["books"]["lost"] == ["A"]
    assert document["sections"][0]["figures"][0]["met"] is True
    assert document["sections"][0]["figures"][0]["samples"] == [2.0, 4.0, 2.5]
    assert (tmp_path / "report/report.md").read_text().startswith("# Bench report")
    assert (tmp_path / "report/chart.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.01234, "0.0123"), (2.5, "2.5"), (99.96, "100"), (1234.6, "1,235")]
)
def test_numbers_have_three_digits_and_no_exponent(value, text):
    assert report.number(value) == text


@pytest.mark.parametrize(
    "svg",
    [
        bar_chart("a < b & c", {"x": {"p50": 1.0, "p95": 2.0}, "y": {"p50": 3.0}}, "ms"),
        bar_chart("empty", {}, "ms"),
        stacked_chart("stacked", {"single": {"app": 2.0, "host": 1.0}}, "s"),
        line_chart("lines", {"one": [(1, 1.0), (10, 2.0)], "two": [(1, 0.5)]}, x="n", y="s", log_x=True, log_y=True),
        line_chart("flat", {"one": [(1, 1.0)]}, x="n", y="s", log_y=True),
        line_chart("empty", {}, x="n", y="s"),
    ],
)
def test_charts_are_well_formed(svg):
    assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own text


def test_a_stacked_bar_is_as_high_as_its_sum():
    root = ET.fromstring(stacked_chart("s", {"a": {"x": 1.0, "y": 1.0}}, "s"))  # noqa: S314 - our own text
    bars = [each for each in root.iter() if each.tag.endswith("rect") and len(each)]
    heights = [float(bar.get("height")) for bar in bars if "a, " in bar[0].text]

    assert heights[0] == pytest.approx(heights[1])


@pytest.mark.parametrize(("value", "expected"), [(0, 1), (0.7, 1), (1, 1), (1.2, 2), (2.3, 2.5), (480, 500)])
def test_an_axis_ends_at_a_round_number(value, expected):
    assert nice_ceiling(value) == pytest.approx(expected)
