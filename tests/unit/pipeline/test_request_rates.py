"""A tenant's limit, over all processes together."""

from datetime import timedelta

import pytest

from shared.domain.errors import RateExceeded
from shared.domain.identifiers import TenantId
from shared.pipeline.request_rates import RequestRates
from tests.fakes.lane_board import InMemoryLeases, Seconds

SHOP = TenantId("shop")


class Fleet:
    def __init__(self, processes: int = 1) -> None:
        self.seconds = Seconds()
        self.leases = InMemoryLeases(self.seconds)
        self.processes = [RequestRates(self.leases) for _ in range(processes)]
        self.refusals: list[RateExceeded] = []

    async def ask(self, process: int = 0, wanted: int = 1, per_second: float = 10, tenant: TenantId = SHOP) -> bool:
        try:
            await self.processes[process].grant(tenant, wanted, per_second)
        except RateExceeded as refusal:
            self.refusals.append(refusal)
            return False
        return True

    async def flood(self, seconds: float, *, rate: float, per_second: float = 10) -> int:
        """How many are granted of ``rate`` a second, spread over the processes."""
        granted = 0
        for number in range(int(seconds * rate)):
            granted += await self.ask(number % len(self.processes), per_second=per_second)
            self.seconds.advance(1 / rate)
        return granted


@pytest.mark.parametrize("processes", [1, 10])
@pytest.mark.parametrize("limit", [5, 50])
async def test_the_limit_holds_for_all_processes_together(limit: float, processes: int) -> None:
    fleet = Fleet(processes)

    granted = await fleet.flood(60, rate=limit * 10, per_second=limit)

    # A second's worth at once, and the trickle that each process grants of its own.
    assert 60 * limit * 0.9 <= granted <= 60 * limit * (1 + 0.011 * processes) + 2 * limit


async def test_within_the_limit_nobody_is_refused() -> None:
    fleet = Fleet(4)

    assert await fleet.flood(30, rate=9) == 270


async def test_a_flood_costs_a_few_writes_a_second_and_a_trickle_none() -> None:
    fleet = Fleet()
    await fleet.flood(60, rate=1000, per_second=10)
    in_flood = fleet.leases.writes
    await Fleet.flood(fleet, 1, rate=0.1)
    fleet.leases.writes = 0
    for _ in range(20):
        fleet.seconds.advance(60)
        await fleet.ask()

    assert in_flood <= 60 * 15
    assert fleet.leases.writes == 0


async def test_tenants_are_apart() -> None:
    fleet = Fleet()
    await fleet.flood(5, rate=100)

    assert await fleet.ask(tenant=TenantId("bank"))


async def test_a_batch_counts_by_its_items_and_is_followed_by_a_pause() -> None:
    fleet = Fleet()

    assert await fleet.ask(wanted=100)
    assert await fleet.ask()  # the process's own trickle
    assert not await fleet.ask()
    assert fleet.refusals[-1].retry_after == timedelta(seconds=9)
    fleet.seconds.advance(9.5)
    assert await fleet.ask()


async def test_a_refusal_names_the_limit_and_when_to_come_back() -> None:
    fleet = Fleet()
    await fleet.flood(3, rate=100)

    assert fleet.refusals[-1].per_second == 10
    assert fleet.refusals[-1].retry_after >= timedelta(seconds=1)


async def test_a_changed_limit_holds_at_once() -> None:
    fleet = Fleet()
    await fleet.flood(3, rate=100, per_second=10)

    assert await fleet.flood(10, rate=100, per_second=50) >= 400


async def test_while_the_store_is_away_nobody_is_refused_for_a_rate() -> None:
    fleet = Fleet()
    fleet.leases.away = True

    assert await fleet.flood(2, rate=100) == 200
