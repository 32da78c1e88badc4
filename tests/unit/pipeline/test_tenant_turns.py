"""A flooding tenant's turns: spaced by its share, the same for all processes, for few writes."""

from datetime import timedelta

import pytest

from shared.domain.errors import RateExceeded
from shared.domain.identifiers import TenantId
from shared.domain.notification import Lane
from shared.pipeline.tenant_turns import TenantTurns
from tests.fakes.lane_board import InMemoryLeases, Seconds

KEY = ("email", Lane.NORMAL)
SHOP = TenantId("shop")
HORIZON = timedelta(seconds=30)


class Fleet:
    def __init__(self, processes: int = 1) -> None:
        self.seconds = Seconds()
        self.leases = InMemoryLeases(self.seconds)
        self.processes = [TenantTurns(self.leases) for _ in range(processes)]

    async def turns(
        self, count: int = 1, per_second: float = 10, process: int = 0, tenant: TenantId = SHOP
    ) -> list[float]:
        """Seconds from now."""
        instants = await self.processes[process].lease(KEY, tenant, count, per_second, HORIZON)
        return [each.timestamp() - self.seconds() for each in instants]


async def test_singles_of_all_processes_are_spaced_by_the_share() -> None:
    fleet = Fleet(processes=3)

    given = sorted([each for number in range(30) for each in await fleet.turns(process=number % 3)])

    assert given == pytest.approx([number / 10 for number in range(30)])
    assert fleet.leases.writes == 6


async def test_what_travels_in_one_message_has_one_turn() -> None:
    fleet = Fleet()

    assert await fleet.turns(count=120, per_second=50) == pytest.approx([0, 1, 2])
    assert await fleet.turns(per_second=50) == pytest.approx([2.4])


async def test_turns_beyond_the_horizon_are_refused_without_asking_again_and_again() -> None:
    fleet = Fleet()
    await fleet.turns(count=310)
    writes = fleet.leases.writes
    for _ in range(50):
        with pytest.raises(RateExceeded) as refusal:
            await fleet.turns()

    assert fleet.leases.writes == writes + 1
    assert 10 < refusal.value.retry_after.total_seconds() < 20
    fleet.seconds.advance(2)
    assert await fleet.turns() == pytest.approx([29])


async def test_a_request_larger_than_the_horizon_is_let_in_when_its_first_turn_is_near() -> None:
    assert len(await Fleet().turns(count=1000)) == 20


async def test_turns_that_were_not_used_are_lost() -> None:
    fleet = Fleet()
    await fleet.turns()
    fleet.seconds.advance(60)

    assert await fleet.turns() == pytest.approx([0])


async def test_tenants_have_clocks_of_their_own() -> None:
    fleet = Fleet()
    await fleet.turns(count=100)

    assert await fleet.turns(tenant=TenantId("bank")) == pytest.approx([0])


async def test_a_turn_that_begins_soon_is_known() -> None:
    fleet = Fleet()
    turns = fleet.processes[0]
    [turn] = await turns.lease(KEY, SHOP, 1, 10, HORIZON)

    assert await turns.is_now(turn, 0.5)
    assert not await turns.is_now(turn + timedelta(seconds=1), 0.5)
