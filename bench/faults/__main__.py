"""``make faults``: hurts the running service in every way we know, and reckons from the outside what came of it.

Real processes under the real supervisor, providers and consumers outside. Exit status 1 when something was lost,
doubled, sent unasked, not called back or badly signed, when a scenario's own promise broke, or when a broken build
passed. ``bench/report/faults.{json,md}`` has everything, with seeds.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.faults.broken_builds import DEFECTS, Defect, is_caught, plant, with_defect
from bench.faults.play import Played, Terms, play
from bench.faults.registry import SCENARIOS, named
from bench.faults.report import Caught, caught_line, document, ledger_line, machine, write
from bench.faults.scenario import Scenario, Size
from bench.faults.service import ROOT

_REPORT = ROOT / "bench" / "report"
_LANES, _QUICK_LANES = 4, 6
_IMPATIENCE_SECONDS = 20.0  # a broken build need not be waited for as long as a sound one


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, without broken builds")
    parser.add_argument("--full", action="store_true", help="100,000 messages while processes are killed")
    parser.add_argument("--only", action="append", metavar="NAME", help="scenarios or, with --broken-builds, defects")
    parser.add_argument("--broken-builds", action="store_true", help="only the builds that are broken on purpose")
    parser.add_argument("--seed", type=int, help="as printed by an earlier run")
    parser.add_argument("--lanes", type=int, help=f"light scenarios at a time (default {_LANES}, quick {_QUICK_LANES})")
    parser.add_argument("--list", action="store_true", help="name scenarios and defects")
    parser.add_argument("--keep-data", action="store_true", help="leave the data folders, with their logs, under /tmp")
    return parser.parse_args()


async def _play_all(scenarios: Sequence[Scenario], terms: Terms, lanes: int) -> list[Played]:
    gate = asyncio.Semaphore(lanes)

    async def one(scenario: Scenario) -> Played:
        async with gate:
            played = await play(scenario, terms)
            print(ledger_line(played), flush=True)
            return played

    alone = [each for each in scenarios if each.is_heavy and terms.size is not Size.QUICK]
    heavy = [await one(each) for each in alone]
    return heavy + list(await asyncio.gather(*(one(each) for each in scenarios if each not in alone)))


async def _catch_all(defects: Sequence[Defect], seed: int, lanes: int) -> list[Caught]:
    gate = asyncio.Semaphore(lanes)

    async def one(defect: Defect) -> Caught:
        async with gate:
            caught = await _catch(defect, seed)
            print(caught_line(caught), flush=True)
            return caught

    return list(await asyncio.gather(*map(one, defects)))


async def _catch(defect: Defect, seed: int) -> Caught:
    with tempfile.TemporaryDirectory(prefix="cns-broken-build-") as folder:
        app = plant(defect, Path(folder))
        terms = Terms(seed, Size.QUICK, app, stall_seconds=_IMPATIENCE_SECONDS)
        played = await play(named(defect.scenario), terms)
    return Caught(
        defect.name, defect.scenario, is_caught(defect, played.findings), played.findings, played.seconds, seed
    )


async def _run(options: argparse.Namespace, seed: int) -> int:
    started = time.monotonic()
    size = Size.QUICK if options.quick else Size.FULL if options.full else Size.DEFAULT
    wanted = options.only or []
    about = machine() | {"seed": seed, "size": size.value}
    scenarios = [each for each in SCENARIOS if not wanted or each.name in wanted]
    defects = [each for each in DEFECTS if not wanted or each.name in wanted]
    for defect in defects:  # an outdated one is told before the first scenario, not after the last
        with_defect((ROOT / defect.file).read_text(), defect)
    skip_defects = not options.broken_builds and (options.quick or bool(wanted))
    lanes = options.lanes or (_QUICK_LANES if options.quick else _LANES)
    terms = Terms(seed, size, keep_data=options.keep_data)
    played = [] if options.broken_builds else await _play_all(scenarios, terms, lanes)
    caught = [] if skip_defects else await _catch_all(defects, seed, lanes)
    about["seconds"] = round(time.monotonic() - started)
    write(document(played, caught, about), _REPORT)
    broken = [each.name for each in played if not each.is_clean]
    missed = [each.defect for each in caught if not each.is_caught]
    print(
        f"{len(played)} scenarios, broken: {broken or 'none'}; {len(caught)} broken builds, missed: {missed or 'none'}"
    )
    print(f"seed {seed}; {about['seconds']} s; bench/report/faults.md")
    return 1 if broken or missed or not (played or caught) else 0


def main() -> int:
    options = _options()
    if options.list:
        print("\n".join(f"{each.name:20} {each.proves}" for each in SCENARIOS))
        print("\n".join(f"{each.name:36} must be caught by {each.scenario}" for each in DEFECTS))
        return 0
    known = {each.name for each in (DEFECTS if options.broken_builds else SCENARIOS)}
    if unknown := set(options.only or ()) - known:
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}", file=sys.stderr)
        return 2
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    return asyncio.run(_run(options, seed))


if __name__ == "__main__":
    sys.exit(main())
