"""Command line: ``python -m bench.peers [--quick]`` measures two peers and CNS; writes bench/report/peers.{json,md}.

Installs what the peers need on the first run. Exit status: 0 when measured (targets met or not), 2 when it could not.
"""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from bench.peers import machine
from bench.peers.comparison import medians, ratios, samples_by_subject
from bench.peers.installation import CannotInstall, ensure_python, ensure_servers
from bench.peers.report import NOT_COMPARABLE, markdown
from bench.peers.rounds import CNS_BATCH, CNS_SINGLE, WITH_TARGETS, Sizes, run_round
from bench.peers.subject import Outcome

_REPORT = Path(__file__).parents[1] / "report"
_QUICK, _FULL = Sizes(singles=400, batches=4), Sizes(singles=3000, batches=20)


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    try:
        ensure_servers()
        python = ensure_python()
    except CannotInstall as refusal:
        print(refusal, file=sys.stderr)
        return 2
    sizes = _QUICK if options.quick else _FULL
    before = machine.now()
    rounds = [run_round(sizes, python, _sayer(number + 1)) for number in range(options.rounds)]
    facts = _facts(sizes, options.rounds, before, machine.now())
    _write(rounds, facts)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Compare CNS with two other pipelines.")
    parser.add_argument("--quick", action="store_true", help="small numbers: does it run; not figures to quote")
    parser.add_argument("--rounds", type=int, default=1, help="repetitions of everything; medians are compared")
    return parser.parse_args()


def _sayer(number: int) -> Callable[[str], None]:
    return lambda line: print(f"round {number}: {line}", flush=True)


def _facts(sizes: Sizes, rounds: int, before: machine.Moment, after: machine.Moment) -> dict[str, Any]:
    seconds = after.clock - before.clock
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}",
        "other programs used": machine.describe(after.others_since(before)),
        "sizes": f"{sizes.singles:,} singles, {sizes.batches} batches of 1,000, {rounds} round(s), {seconds:.0f} s",
        "load": "closed loop, 8 connections (batches: 2)",
        "notification": "one email, order-confirmation in English, the same provider and body for all",
    }


def _write(rounds: list[list[Outcome]], facts: dict[str, Any]) -> None:
    found = medians(rounds)
    peers = [name for name in found if name not in (CNS_SINGLE, CNS_BATCH)]
    compared = {peer: ratios(found, peer, CNS_SINGLE, CNS_BATCH, has_targets=peer in WITH_TARGETS) for peer in peers}
    text = markdown(found, compared, facts)
    document = {
        "facts": facts,
        "median": found,
        "samples": samples_by_subject(rounds),
        "ratios": {
            peer: [
                {"what": each.what, "ratio": each.value, "target": str(each.target or ""), "met": each.is_met}
                for each in listed
            ]
            for peer, listed in compared.items()
        },
        "not_comparable": NOT_COMPARABLE,
    }
    _REPORT.mkdir(exist_ok=True)
    (_REPORT / "peers.md").write_text(text, encoding="utf-8")
    (_REPORT / "peers.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    print(text)


if __name__ == "__main__":
    sys.exit(main())
