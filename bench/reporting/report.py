"""The report: report.json, report.md with its charts, and the summary table for the terminal. Text making is pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.figures import Figure, Section
from bench.reconcile import Reconciliation

_VERDICTS = {True: "met", False: "NOT met", None: ""}
_SHOWN_IDS = 20


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _range(figure: Figure) -> str:
    return "" if len(figure.samples) == 1 else f"{number(min(figure.samples))} to {number(max(figure.samples))}"


def _target(figure: Figure) -> str:
    return str(figure.target) if figure.target else ""


def books_line(verdict: Reconciliation, refused: Mapping[str, int]) -> str:
    """The reconciliation in a sentence."""
    return (
        f"accepted {verdict.accepted:,}, reached the provider {verdict.called:,}, lost {len(verdict.lost)}, "
        f"attempts called twice {len(verdict.attempts_called_twice)}, notifications called twice "
        f"{len(verdict.called_twice)}, in doubt {len(verdict.in_doubt)}, requests refused {sum(refused.values())}"
    )


def summary(sections: Sequence[Section], verdict: Reconciliation, refused: Mapping[str, int]) -> str:
    """The figures that matter most, those with a target among them, and the books."""
    rows = [
        (figure.name, number(figure.median), _range(figure), figure.unit, _target(figure), _VERDICTS[figure.is_met])
        for section in sections
        for figure in section.figures
        if figure.in_summary
    ]
    head = ("figure", "median", "range", "unit", "target", "")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
    return "\n".join([*lines, "", books_line(verdict, refused)])


def markdown(
    about: Mapping[str, Any], sections: Sequence[Section], verdict: Reconciliation, refused: Mapping[str, int]
) -> str:
    """The whole report."""
    packages = ", ".join(f"{name} {version}" for name, version in about["packages"].items())
    lines = [
        "# Bench report",
        "",
        f"{about['date']}, seed {about['seed']}{', quick' if about['quick'] else ''}. {about['machine']}.",
        f"{about['system']}, Python {about['python']}. Sources {about['sources']}.",
        "",
        f"Packages: {packages}.",
        "",
        "Everything (load generator, provider, stand-in, app) shares this machine.",
        "Wall figures depend on what else it does; CPU figures and ratios much less.",
        "",
        f"Books: {books_line(verdict, refused)}.",
        *(f"- not measured: {failure}" for failure in about["not_measured"]),
        *(f"- refused: {answer}: {count}" for answer, count in refused.items()),
        "",
    ]
    for section in sections:
        lines.extend(_section(section))
    return "\n".join(lines)


def _section(section: Section) -> Iterator[str]:
    before, after = (f"{load[0]:.2f}" for load in (section.load_before, section.load_after))
    others = "" if section.others is None else f"; up to {section.others:.0%} of the machine used by others"
    yield from (f"## {section.title}", "")
    yield from (f"{section.seconds:.0f} s; load average {before} before, {after} after{others}.", "")
    if section.figures:
        yield "| figure | median | range | n | unit | target | |"
        yield "|---|---:|---|---:|---|---|---|"
        for figure in section.figures:
            note = f" ({figure.note})" if figure.note else ""
            yield (
                f"| {figure.name}{note} | {number(figure.median)} | {_range(figure)} | {len(figure.samples)} | "
                f"{figure.unit} | {_target(figure)} | {_VERDICTS[figure.is_met]} |"
            )
        yield ""
    for title, table in section.tables.items():
        yield from _table(title, table)
    for chart in section.charts:
        yield from (f"![{chart}]({chart})", "")


def _table(title: str, table: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    yield f"| {title} | {' | '.join(columns)} |"
    yield "|---|" + "---:|" * len(columns)
    for name, row in table.items():
        yield f"| {name} | {' | '.join(number(row[column]) if column in row else '' for column in columns)} |"
    yield ""


def write(
    folder: Path,
    about: Mapping[str, Any],
    sections: Sequence[Section],
    verdict: Reconciliation,
    refused: Mapping[str, int],
) -> None:
    """Replaces what the last run left in the folder under the same names."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "about": about,
        "books": {
            name: value[:_SHOWN_IDS] if isinstance(value, list) else value for name, value in asdict(verdict).items()
        },
        "refused": refused,
        "sections": [section.to_json() for section in sections],
    }
    (folder / "report.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    (folder / "report.md").write_text(markdown(about, sections, verdict, refused))
    for section in sections:
        for name, svg in section.charts.items():
            (folder / name).write_text(svg)
