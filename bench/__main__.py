"""The load bench: `make bench`, or ``python -m bench [--quick] [--only accept delivery …]``.

Starts the stand-in on a folder and ports of its own, drives the public API from a separate process, and writes
bench/report/. Exit status 1 when a notification was lost or doubled, never because the machine is slow.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.measurements import accept, backlog, callbacks, delivery, lanes, operations, stages, wait, workers
from bench.observation import Bench
from bench.provider_client import running_provider
from bench.reporting import machine, report
from bench.stack import PORT_OFFSET, Stack, StackOptions, running_stack

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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="short loads, no repetitions: under 3 minutes")
    parser.add_argument("--only", nargs="+", choices=_ALL, default=_ALL, help="these measurements")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--port-offset", type=int, default=PORT_OFFSET)
    parser.add_argument("--report", type=Path, default=_REPORT, help="folder of the report (default bench/report)")
    return parser.parse_args()


def _measure(bench: Bench, only: list[str], options: StackOptions) -> None:
    own = {name: bench.data / name for name in _ALL}
    for name in [name for name in _ON_THEIR_OWN if name in only]:
        _ON_THEIR_OWN[name](bench, _at(options, own[name]))
    shared = [name for name in _ON_ONE_STACK if name in only]
    if shared:
        with running_stack(_at(options, own["delivery"])) as stack:
            delivery.warm_up(bench, stack)
            for name in shared:
                _ON_ONE_STACK[name](bench, stack)
    if "backlog" in only:  # last, because it leaves the fullest store behind
        with running_stack(_at(options, own["backlog"])) as stack:
            delivery.warm_up(bench, stack)
            backlog.measure(bench, stack)
    stages.conclude(bench)


def _at(options: StackOptions, data: Path) -> StackOptions:
    return StackOptions(data=data, provider=options.provider, port_offset=options.port_offset)


def main() -> int:
    options = _options()
    started = time.monotonic()
    about = machine.describe_run(options.seed, is_quick=options.quick)
    print(f"{about['machine']}, load average {about['load_average'][0]:.2f}, seed {options.seed}", flush=True)
    data = Path(tempfile.mkdtemp(prefix="cns-bench-"))
    with running_provider() as provider:
        bench = Bench(provider, data, options.seed, options.quick, lambda line: print(line, flush=True))
        _measure(bench, list(options.only), StackOptions(data, provider, options.port_offset))
    report.write(options.report, about, bench.sections, bench.verdict, bench.refused)
    print(f"\n{report.summary(bench.sections, bench.verdict, bench.refused)}")
    print(f"{time.monotonic() - started:.0f} s; {options.report / 'report.md'}")
    if bench.verdict.is_clean:
        shutil.rmtree(data)
        return 0
    print(f"LOST OR DOUBLED; the stand-in's logs and data: {data}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
