"""All processes know the same about a provider, within a second, for next to nothing; and one of them probes."""

import asyncio
import random
from datetime import datetime, timedelta

import pytest

from shared.adapters.cosmos_provider_health import CosmosProviderHealth
from shared.domain.breaker import BreakerPolicy, Evidence, Standing
from shared.domain.identifiers import AttemptId
from shared.domain.notification import Attempt
from shared.domain.routing import PassedOver
from shared.domain.status import DeliveryStatus
from shared.domain.verdict import Verdict
from shared.pipeline.provider_health import FRESH_SECONDS, ProviderHealth
from tests.fakes.fleet import Latency, LoopClock
from tests.fakes.in_memory_cosmos import InMemoryDatabase
from tests.fakes.virtual_time import run_virtually

POST = "fakepost"
POLICY = BreakerPolicy()


class Machines:
    """Processes that share a store."""

    def __init__(self, count: int) -> None:
        self.clock = LoopClock()
        self.database = InMemoryDatabase()
        self.latency = Latency(random.Random(count))
        self.database.steps = self.latency
        self.each = [
            ProviderHealth(CosmosProviderHealth(self.database), self.clock, {POST: POLICY})  # type: ignore[arg-type]
            for _ in range(count)
        ]

    @property
    def store_calls(self) -> int:
        return len(self.latency.names)

    def verdict(self, outcome: str, *, paced: float | None = None, began: datetime | None = None) -> Verdict:
        at = began or self.clock.now()
        attempt = Attempt(AttemptId("t.id.email.1"), 1, at, provider=POST, outcome=outcome, finished_at=at)
        until = self.clock.now() + timedelta(seconds=paced) if paced else None
        return Verdict(DeliveryStatus.RETRYING, attempt, paced_until=until)

    async def make_ill(self, health: ProviderHealth) -> None:
        for _ in range(POLICY.failures_in_a_row):
            health.observe(POST, [self.verdict("transient")])
        await health.settled()

    async def at(self, seconds: float) -> None:
        await asyncio.sleep(seconds - asyncio.get_running_loop().time())


async def _standing(health: ProviderHealth) -> Standing | None:
    return (await health.standings([POST])).get(POST)


def test_what_one_process_finds_all_know_within_a_second() -> None:
    async def scene() -> None:
        machines = Machines(3)
        for health in machines.each:
            assert await _standing(health) is None

        await machines.make_ill(machines.each[0])

        ill = await _standing(machines.each[0])
        assert ill is not None
        assert ill.away is PassedOver.BREAKER_OPEN
        await asyncio.sleep(FRESH_SECONDS)
        for health in machines.each[1:]:
            known = await _standing(health)
            assert known is not None
            assert known.until == pytest.approx(ill.until)

    run_virtually(scene())


def test_rejections_and_throttling_never_make_a_provider_ill() -> None:
    async def scene() -> None:
        machines = Machines(1)
        [health] = machines.each
        for _ in range(100):
            health.observe(POST, [machines.verdict("throttled"), machines.verdict("rejected")])
        await health.settled()

        assert await _standing(health) is None

    run_virtually(scene())


def test_a_call_that_carried_many_counts_once() -> None:
    async def scene() -> None:
        machines = Machines(1)
        [health] = machines.each
        for _ in range(POLICY.failures_in_a_row - 1):
            health.observe(POST, [machines.verdict("transient")] * 50)
        await health.settled()

        assert await _standing(health) is None

    run_virtually(scene())


def test_a_provider_of_many_far_sides_is_always_well() -> None:
    async def scene() -> None:
        machines = Machines(1)
        [health] = machines.each
        for _ in range(100):
            health.observe("webhook", [machines.verdict("transient")])

        assert await health.standings(["webhook"]) == {}
        assert machines.store_calls == 0

    run_virtually(scene())


@pytest.mark.parametrize("workers", [2, 20, 100])
def test_of_all_who_wait_exactly_one_probes(workers: int) -> None:
    async def scene() -> None:
        machines = Machines(workers)
        await machines.make_ill(machines.each[0])
        await asyncio.gather(*map(_standing, machines.each))
        await machines.at(61)

        async def look(health: ProviderHealth) -> bool:
            standing = await _standing(health)
            return standing is not None and standing.may_probe and await health.try_probe(POST) is not None

        probes = await asyncio.gather(*(look(health) for _ in range(3) for health in machines.each))

        assert sum(probes) == 1
        for health in machines.each:
            standing = await _standing(health)
            assert standing is not None
            assert not standing.may_probe

    run_virtually(scene())


@pytest.mark.parametrize(("evidence", "is_well"), [(Evidence.WELL, True), (Evidence.ILL, False)])
def test_what_the_probe_finds_all_know(evidence: Evidence, is_well: bool) -> None:
    async def scene() -> None:
        machines = Machines(2)
        first, second = machines.each
        await machines.make_ill(first)
        await machines.at(61)
        await _standing(second)
        probe = await second.try_probe(POST)
        assert probe is not None

        outcome = "sent" if is_well else "transient"
        second.observe(POST, [machines.verdict(outcome)], probe)
        await second.settled()
        await asyncio.sleep(FRESH_SECONDS)

        for health in machines.each:
            assert (await _standing(health) is None) is is_well

    run_virtually(scene())


def test_a_probe_that_came_to_nothing_is_the_next_ones() -> None:
    async def scene() -> None:
        machines = Machines(2)
        first, second = machines.each
        await machines.make_ill(first)
        await machines.at(61)
        await _standing(first)
        probe = await first.try_probe(POST)
        assert probe is not None

        first.end_probe(probe, Evidence.NONE)
        await first.settled()

        await _standing(second)
        assert await second.try_probe(POST) is not None

    run_virtually(scene())


def test_a_prober_that_died_is_replaced_after_its_time() -> None:
    async def scene() -> None:
        machines = Machines(2)
        first, second = machines.each
        await machines.make_ill(first)
        await machines.at(61)
        await _standing(first)
        assert await first.try_probe(POST) is not None

        await machines.at(61 + POLICY.probe_seconds - 1)
        await _standing(second)
        assert await second.try_probe(POST) is None
        await machines.at(62 + POLICY.probe_seconds)
        await _standing(second)
        assert await second.try_probe(POST) is not None

    run_virtually(scene())


def test_a_pause_that_one_was_asked_for_all_keep() -> None:
    async def scene() -> None:
        machines = Machines(2)
        first, second = machines.each
        await _standing(second)
        for _ in range(200):
            first.observe(POST, [machines.verdict("throttled", paced=30)])
        await first.settled()
        await asyncio.sleep(FRESH_SECONDS)

        for health in machines.each:
            standing = await _standing(health)
            assert standing is not None
            assert standing.away is PassedOver.THROTTLED
            assert standing.until - machines.clock.now().timestamp() == pytest.approx(29, abs=0.5)
        assert machines.store_calls < 10  # two hundred answers are one finding

    run_virtually(scene())


def test_calls_from_before_a_recovery_say_nothing_about_what_came_after() -> None:
    async def scene() -> None:
        machines = Machines(1)
        [health] = machines.each
        began = machines.clock.now()
        await machines.make_ill(health)
        await machines.at(61)
        await _standing(health)
        probe = await health.try_probe(POST)
        health.observe(POST, [machines.verdict("sent")], probe)
        await health.settled()

        for _ in range(50):  # timeouts of calls that had left long ago
            health.observe(POST, [machines.verdict("indoubt", began=began)])
        await health.settled()

        assert await _standing(health) is None

    run_virtually(scene())


def test_while_all_is_well_the_store_is_asked_once_a_second_whatever_there_is_to_do() -> None:
    async def scene() -> None:
        machines = Machines(1)
        [health] = machines.each
        for _ in range(10):
            for _ in range(200):
                await asyncio.gather(*(_standing(health) for _ in range(5)))
                health.observe(POST, [machines.verdict("sent")])
            await asyncio.sleep(1)

        assert machines.store_calls <= 11

    run_virtually(scene())


def test_without_a_store_what_was_last_known_holds() -> None:
    async def scene() -> None:
        machines = Machines(2)
        first, second = machines.each
        await machines.make_ill(first)
        await _standing(second)
        machines.database.away = True

        await machines.at(30)
        for health in machines.each:
            standing = await _standing(health)
            assert standing is not None
            assert standing.away is PassedOver.BREAKER_OPEN
        await machines.at(61)
        await _standing(first)
        assert await first.try_probe(POST) is None  # nobody can say that nobody else does

    run_virtually(scene())


def test_a_process_that_can_tell_nobody_still_spares_the_provider_for_a_second() -> None:
    async def scene() -> None:
        machines = Machines(1)
        [health] = machines.each
        machines.database.away = True

        await machines.make_ill(health)

        standing = await _standing(health)
        assert standing is not None
        assert standing.away is PassedOver.BREAKER_OPEN

    run_virtually(scene())
