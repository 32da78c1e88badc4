"""The campaign's report: one line for each scenario on the way, then JSON and a page of Markdown."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from bench.faults.ledger import Line
from bench.faults.play import Played

_COLUMNS = (
    "accepted",
    "final",
    "in flight",
    "lost",
    "internal duplicates",
    "repeated in doubt",
    "retried",
    "unasked",
    "callbacks",
    "missing",
    "repeated",
    "bad signatures",
    "calls",
)


@dataclass(frozen=True)
class Caught:
    """A broken build, and whether its scenario saw it."""

    defect: str
    scenario: str
    is_caught: bool
    findings: Sequence[str]
    seconds: float
    seed: int


def numbers(line: Line) -> dict[str, int]:
    """A line's columns."""
    values = (
        line.accepted,
        line.final,
        line.in_flight,
        len(line.lost),
        len(line.duplicates),
        line.repeated_in_doubt,
        line.retried,
        len(line.unasked),
        line.callbacks,
        len(line.callbacks_missing),
        line.callbacks_repeated,
        line.bad_signatures,
        line.calls,
    )
    return dict(zip(_COLUMNS, values, strict=True))


def ledger_line(played: Played) -> str:
    """What is printed when a scenario is over."""
    told = ", ".join(f"{name} {value}" for name, value in numbers(played.line).items())
    verdict = "ok    " if played.is_clean else "BROKEN"
    lines = [f"{verdict} {played.name} (seed {played.seed}, {played.seconds:.0f} s): {told}"]
    lines += [f"         {finding}" for finding in played.findings]
    return "\n".join(lines)


def caught_line(caught: Caught) -> str:
    verdict = "caught" if caught.is_caught else "MISSED"
    seen = caught.findings[0] if caught.findings else "nothing was found"
    return f"{verdict} broken build '{caught.defect}' by {caught.scenario} ({caught.seconds:.0f} s): {seen}"


def machine() -> dict[str, Any]:
    """Where it ran."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
        "load average": [round(each, 1) for each in os.getloadavg()],
    }


def document(played: Sequence[Played], caught: Sequence[Caught], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, as JSON."""
    return {
        "about": dict(about),
        "scenarios": [
            {
                "name": each.name,
                "proves": each.proves,
                "seed": each.seed,
                "seconds": each.seconds,
                "ledger": numbers(each.line),
                "broken": each.findings,
                "facts": each.facts,
            }
            for each in played
        ],
        "broken_builds": [asdict(each) for each in caught],
    }


def page(report: Mapping[str, Any]) -> str:
    """The same for people."""
    about = ", ".join(f"{name} {value}" for name, value in report["about"].items())
    lines = ["# Fault campaign", "", about, ""]
    if report["scenarios"]:
        lines += ["| scenario | " + " | ".join(_COLUMNS) + " | s | |", "|---" * (len(_COLUMNS) + 3) + "|"]
        lines += [_row(each) for each in report["scenarios"]]
        lines += ["", "## What each scenario saw", ""]
        lines += [_story(each) for each in report["scenarios"]]
    if report["broken_builds"]:
        lines += ["", "## Builds broken on purpose", "", "| defect | scenario | | what was seen |", "|---|---|---|---|"]
        lines += [
            f"| {each['defect']} | {each['scenario']} | {'caught' if each['is_caught'] else 'MISSED'} "
            f"| {'; '.join(each['findings'])[:160]} |"
            for each in report["broken_builds"]
        ]
    return "\n".join(lines) + "\n"


def _row(scenario: Mapping[str, Any]) -> str:
    cells = " | ".join(str(scenario["ledger"][name]) for name in _COLUMNS)
    verdict = "BROKEN" if scenario["broken"] else "ok"
    return f"| {scenario['name']} | {cells} | {scenario['seconds']:.0f} | {verdict} |"


def _story(scenario: Mapping[str, Any]) -> str:
    facts = "; ".join(f"{name}: {value}" for name, value in scenario["facts"].items())
    broken = "".join(f" **{finding}**." for finding in scenario["broken"])
    return f"- **{scenario['name']}** (seed {scenario['seed']}) {scenario['proves']}.{broken} {facts}"


def write(report: Mapping[str, Any], folder: Path) -> None:
    """``faults.json`` and ``faults.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "faults.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    (folder / "faults.md").write_text(page(report))
