"""The load bench: `make bench`, or ``python -m bench [--quick] [--only accept delivery …]``.

Starts the stand-in on a folder and ports of its own, drives the public API from a separate process, and writes
bench/report/. Exit status 1 when a notification was lost or doubled, never because the machine is slow; 2 when a
measurement could not be made (the report has the others).
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.measurements import accept, backlog, callbacks, delivery, lanes, operations, stages, wait, workers
from bench.observation import Bench
from bench.provider_client import running_provider
from bench.reporting import machine, report
from bench.stack import Stack, StackFailed, StackOptions, free_port_offset, running_stack

_REPORT = Path(__file__).parent / "report"
_ON_ONE_STACK: dict[str, Callable[[Bench, Stack], None]] = {
    "delivery": delivery.measure,
    "lanes": lanes.measure,
    "wait": wait.measure,
    "callbacks": callbacks.measure,
}
_ON_THEIR_OWN: dict[str, Callable[[Bench, StackOptions], None]] = {
    "accept": accept.measure,
    "operations": operations.measure,
    "workers": workers.measure,
}
_ALL = (*_ON_THEIR_OWN, *_ON_ONE_STACK, "backlog")


# The stand-in away or ill, the generator ended by something, or nothing accepted and so nothing to divide by.
_FAILURES = (StackFailed, OSError, subprocess.SubprocessError, ValueError, ArithmeticError)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short loads, no repetitions: under 3 minutes")
    parser.add_argument("--only", nargs="+", choices=_ALL, default=_ALL, help="these measurements")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--port-offset", type=int, help="added to every default port (default: a free one)")
    parser.add_argument("--report", type=Path, default=_REPORT, help="folder of the report (default bench/report)")
    return parser.parse_args()


def _measure(bench: Bench, only: list[str], options: StackOptions) -> list[str]:
    """What could not be measured, with the reason."""
    failures = []
    jobs = {name: _ON_THEIR_OWN[name] for name in _ON_THEIR_OWN if name in only}
    if shared := [measure for name, measure in _ON_ONE_STACK.items() if name in only]:
        jobs["delivery"] = partial(_on_one_stack, shared)
    if "backlog" in only:
        jobs["backlog"] = partial(_on_one_stack, [backlog.measure])
    for name, job in jobs.items():
        try:
            job(bench, replace(options, data=options.data / name))
        except _FAILURES as failure:
            failures.append(f"{name}: {failure}")
            bench.say(f"FAILED: {failures[-1]}")
    stages.conclude(bench)
    return failures


def _on_one_stack(measurements: list[Callable[[Bench, Stack], None]], bench: Bench, options: StackOptions) -> None:
    with running_stack(options) as stack:
        delivery.warm_up(bench, stack)
        for measure in measurements:
            measure(bench, stack)


def main() -> int:
    options = _options()
    started = time.monotonic()
    about = machine.describe_run(options.seed, is_quick=options.quick)
    print(f"{about['machine']}, load average {about['load_average'][0]:.2f}, seed {options.seed}", flush=True)
    data = Path(tempfile.mkdtemp(prefix="cns-bench-"))
    offset = options.port_offset or free_port_offset()
    with running_provider() as provider:
        bench = Bench(provider, data, options.seed, options.quick, lambda line: print(line, flush=True))
        failures = _measure(bench, list(options.only), StackOptions(data, provider, offset))
    about["not_measured"] = failures
    report.write(options.report, about, bench.sections, bench.verdict, bench.refused)
    print(f"\n{report.summary(bench.sections, bench.verdict, bench.refused)}")
    print(f"{time.monotonic() - started:.0f} s; {options.report / 'report.md'}")
    if bench.verdict.is_clean and not failures:
        shutil.rmtree(data)
        return 0
    print(f"the stand-in's logs and data: {data}")
    if not bench.verdict.is_clean:
        print("LOST OR DOUBLED")
        return 1
    return 2


if __name__ == "__main__":
    sys.exit(main())
