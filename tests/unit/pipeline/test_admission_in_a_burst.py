"""Acceptance 10 in virtual time: one process of a fleet for 2,000 a second, while 20,000 a second come.

The process is modelled as what it is: one event loop, first come first served. Every request costs it something, also
a refused one; accepting goes through the loop a dozen times, with the store and the broker in between. Admission is the
real one. Costs are those of docs/cost-model.md.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from shared.domain.errors import Overloaded
from shared.domain.notification import Lane
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.admission import Admission, Wanted
from shared.pipeline.fair_share import FairShare
from shared.pipeline.lane_board import LaneBoard
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import TENANT

PROCESSES = 12
BURST = 20_000 / PROCESSES  # requests a second of normal and low
HIGH = 420 / PROCESSES
SECONDS = 5.0
_ARRIVE_SECONDS = 0.00025  # of CPU for any request, also a refused one
_ACCEPT_SECONDS = 0.0017  # of CPU more for an accepted one
_TURNS = 12
_WAIT_SECONDS = 0.002  # for store or broker, between two turns


@dataclass
class Process:
    """``seconds`` by lane of what was accepted, and how often each lane was refused or asked for."""

    admission: Admission | None
    chance: random.Random
    lasts: float = SECONDS
    seconds: dict[Lane, list[float]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    refused: Counter[Lane] = field(default_factory=Counter)
    asked: Counter[Lane] = field(default_factory=Counter)
    loop_turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    most_under_way: int = 0
    under_way: int = 0

    async def _work(self, seconds: float) -> None:
        async with self.loop_turn:
            await asyncio.sleep(seconds)

    async def take(self, lane: Lane) -> None:
        started = asyncio.get_running_loop().time()
        self.asked[lane] += 1
        await self._work(_ARRIVE_SECONDS)
        try:
            if self.admission:
                with self.admission.under_way():
                    await self.admission.admit(TENANT, Wanted(1, frozenset({lane}), {}), TenantPolicy())
                    await self._accept()
            else:
                await self._accept()
        except Overloaded:
            self.refused[lane] += 1
            return
        self.seconds[lane].append(asyncio.get_running_loop().time() - started)

    async def _accept(self) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        for _ in range(_TURNS):
            await asyncio.sleep(self.chance.expovariate(1 / _WAIT_SECONDS))
            await self._work(_ACCEPT_SECONDS / _TURNS)
        self.under_way -= 1

    async def live_through(self, rates: dict[Lane, float]) -> None:
        tasks = {asyncio.create_task(self._stream(lane, rate)) for lane, rate in rates.items()}
        await asyncio.gather(*tasks)

    async def _stream(self, lane: Lane, rate: float) -> None:
        clock, tasks = asyncio.get_running_loop().time, set[asyncio.Task[None]]()
        while clock() < self.lasts:
            await asyncio.sleep(self.chance.expovariate(rate))
            tasks.add(asyncio.create_task(self.take(lane)))
        await asyncio.gather(*tasks)

    def percentile(self, lane: Lane, share: float) -> float:
        seconds = sorted(self.seconds[lane])
        return seconds[int(len(seconds) * share)]


def _burst(*, with_admission: bool, lasts: float = SECONDS) -> Process:
    async def scene() -> Process:
        clock = asyncio.get_running_loop().time
        admission = Admission(LaneBoard(), FairShare(LaneBoard(), None), monotonic=clock) if with_admission else None
        process = Process(admission, random.Random(1), lasts)
        await process.live_through({Lane.HIGH: HIGH, Lane.NORMAL: BURST / 2, Lane.LOW: BURST / 2})
        return process

    return run_virtually(scene())


@pytest.fixture(scope="module")
def burst() -> Process:
    return _burst(with_admission=True)


def test_no_high_is_refused_and_it_is_accepted_within_half_a_second(burst: Process) -> None:
    assert burst.refused[Lane.HIGH] == 0
    assert burst.percentile(Lane.HIGH, 0.99) < 0.5


def test_low_is_shed_before_normal(burst: Process) -> None:
    shed = {lane: burst.refused[lane] / burst.asked[lane] for lane in (Lane.NORMAL, Lane.LOW)}

    assert shed[Lane.LOW] > shed[Lane.NORMAL] > 0.5


def test_what_can_be_accepted_is(burst: Process) -> None:
    """Half of what is left of the process after it said no to the rest."""
    accepted = sum(len(seconds) for seconds in burst.seconds.values()) / SECONDS
    left = 1 - (BURST + HIGH) * _ARRIVE_SECONDS

    assert accepted >= 0.5 * left / _ACCEPT_SECONDS


def test_what_is_under_way_is_bounded(burst: Process) -> None:
    assert burst.most_under_way <= 160


def test_without_admission_the_model_shows_what_it_is_for() -> None:
    process = _burst(with_admission=False, lasts=2.0)

    assert process.percentile(Lane.HIGH, 0.99) > 2
    assert process.most_under_way > 1000
