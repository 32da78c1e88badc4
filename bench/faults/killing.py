"""When who is killed: a plan that follows from the seed, and its execution."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from random import Random

from bench.faults.service import BROKER, HOST, STORE, Service

WORKER = "worker"
_PARTS = (HOST, BROKER, STORE)


@dataclass(frozen=True)
class Death:
    """After a pause, ``target`` dies; ``number`` says which of the workers."""

    pause: float
    target: str
    number: int = 0


@dataclass(frozen=True)
class Rhythm:
    """Seconds between deaths of workers, and between deaths of a part; each part comes round in turn."""

    workers: tuple[float, float] = (0.2, 2.0)
    parts: tuple[float, float] = (12.0, 18.0)


def deaths(random: Random, rhythm: Rhythm) -> Iterator[Death]:
    """An endless plan; the same seed gives the same one."""
    parts = list(_PARTS)
    random.shuffle(parts)
    to_next_part, turn = random.uniform(*rhythm.parts) / 2, 0
    while True:
        pause = random.uniform(*rhythm.workers)
        to_next_part -= pause
        if to_next_part > 0:
            yield Death(pause, WORKER, random.randrange(1000))
            continue
        yield Death(pause, parts[turn % len(parts)])
        to_next_part, turn = random.uniform(*rhythm.parts), turn + 1


async def _carry_out(service: Service, plan: Iterator[Death]) -> None:
    for death in plan:
        await asyncio.sleep(death.pause)
        if death.target == WORKER:
            await service.kill_worker(death.number)
        else:
            service.kill(death.target)


async def work_while_dying(
    work: Coroutine[None, None, None], service: Service, random: Random, rhythm: Rhythm, *, at_most_seconds: float
) -> float:
    """Processes die as long as ``work`` lasts, and no longer than told; then it may finish. The seconds of dying.

    The bound is there because a machine may be too busy to start processes as fast as they die.
    """
    started = time.monotonic()
    working = asyncio.ensure_future(work)
    killer = asyncio.create_task(_carry_out(service, deaths(random, rhythm)))
    await asyncio.wait({working, killer}, timeout=at_most_seconds, return_when=asyncio.FIRST_COMPLETED)
    seconds = time.monotonic() - started
    killer.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await killer
    await working
    return seconds
