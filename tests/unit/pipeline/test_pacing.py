"""What a chunk does with the limits on it: of its provider, and of its tenant."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.call_start import call_may_start
from shared.domain.chunk import Chunk
from shared.domain.errors import Throttled
from shared.domain.leased_schedule import Limit
from shared.domain.notification import Lane
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.deliver import deliver
from shared.pipeline.pacing import reserve_turns
from shared.pipeline.recover import sweep
from shared.pipeline.services import SUBMITTED, Patience
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.accepted_chunks import accept_together, taken
from tests.fakes.limited_fleet import most_in_a_second
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body

ACCOUNT = "fake-email"


def held_back(world: World) -> list[tuple[Chunk, timedelta]]:
    """The chunks that were sent to wait, and for how long."""
    return [
        (NotificationSubmitted.model_validate_json(message.body).to_chunk(), message.due_at - world.clock.now())
        for message in world.publisher.take(SUBMITTED)
        if message.due_at
    ]


def with_tenant_limit(world: World, a_second: float) -> World:
    world.policies.decide(TENANT, TenantPolicy(sends_per_second=a_second))
    return world


def test_chunk_that_nothing_limits_asks_nobody() -> None:
    async def scene() -> tuple[int, int]:
        world = World()
        chunk = await accept_together(world, 3)
        before = len(world.database.steps.names)
        wanted, pace = await reserve_turns(chunk, chunk.items, ACCOUNT, world.services)
        await pace.turn()
        await call_may_start()
        return len(wanted), len(world.database.steps.names) - before

    assert run_virtually(scene()) == (3, 0)


@pytest.mark.parametrize("by_tenant", [False, True])
def test_what_has_no_turn_soon_is_on_the_bus_for_later_and_unclaimed(by_tenant: bool) -> None:
    async def scene() -> World:
        world = World(calls_per_second={} if by_tenant else {ACCOUNT: 2.0})
        if by_tenant:
            with_tenant_limit(world, 2.0)
        chunks = [await accept_together(world, 12) for _ in range(2)]
        await asyncio.gather(*(deliver(chunk, world.services) for chunk in chunks))
        return world

    world = run_virtually(scene())

    (first, soon), (second, later) = sorted(held_back(world), key=lambda held: held[1])
    account = f"tenant:{TENANT}" if by_tenant else ACCOUNT
    assert first.waited_for == second.waited_for == frozenset({account})
    assert len(world.email.ledger) + len(first.items) + len(second.items) == 24
    assert soon < later < timedelta(seconds=15)
    assert all(each.deliveries["email"].attempt in {0, 1} for each in world.notifications)
    assert sum(each.deliveries["email"].attempt for each in world.notifications) == len(world.email.ledger)


def test_what_has_waited_goes_on_in_its_turn() -> None:
    async def scene() -> World:
        world = World(calls_per_second={ACCOUNT: 5.0})
        await deliver(await accept_together(world, 50), world.services)
        while chunks := held_back(world):
            for chunk, wait in chunks:
                await asyncio.sleep(wait.total_seconds())
                await deliver(chunk, world.services)
        return world

    world = run_virtually(scene())

    assert len(world.email.ledger) == 50


def test_tenants_limit_holds_while_no_provider_is_limited() -> None:
    async def scene() -> list[float]:
        world = with_tenant_limit(World(), 5.0)
        calls: list[float] = []

        async def call(items: int) -> None:
            chunk = await accept_together(world, items)
            wanted, pace = await reserve_turns(chunk, chunk.items, ACCOUNT, world.services)
            for _ in wanted:
                await pace.turn()
                await call_may_start()
                calls.append(asyncio.get_running_loop().time())

        await call(10)
        await call(5)
        return calls

    calls = run_virtually(scene())

    assert len(calls) >= 10
    assert most_in_a_second(calls) <= 5


def test_call_that_is_late_takes_another_turn_and_further_calls_take_their_own() -> None:
    async def scene() -> list[float]:
        world = World(calls_per_second={ACCOUNT: 4.0})
        loop = asyncio.get_running_loop()
        chunk = await accept_together(world, 1)
        _, pace = await reserve_turns(chunk, chunk.items, ACCOUNT, world.services)
        await pace.turn()
        at = [loop.time()]
        await asyncio.sleep(0.7)  # the handshake took long, or the process was busy elsewhere
        for _ in range(3):
            await call_may_start()
            at.append(loop.time())
        return at

    turn, first, second, third = run_virtually(scene())

    assert turn < 0.1
    assert first >= 0.7
    assert second - first >= 0.2
    assert third - second >= 0.2


def test_attempt_that_gets_no_turn_after_all_is_put_off_and_not_burned() -> None:
    async def scene() -> None:
        world = World(calls_per_second={ACCOUNT: 4.0})
        chunk = await accept_together(world, 1)
        _, pace = await reserve_turns(chunk, chunk.items, ACCOUNT, world.services)
        pace.keep(0)
        await world.services.limits.turn(Limit(ACCOUNT, 4.0), Lane.NORMAL)
        world.database.container("rate-limits").documents[ACCOUNT, "clock-0"]["givenUntil"] = 1e12
        await pace.turn()

    with pytest.raises(Throttled, match="own_limit"):
        run_virtually(scene())


def test_store_that_is_away_puts_an_attempt_off_and_leaves_no_doubt() -> None:
    async def scene() -> None:
        world = World(calls_per_second={ACCOUNT: 4.0})
        chunk = await accept_together(world, 2)
        _, pace = await reserve_turns(chunk, chunk.items, ACCOUNT, world.services)
        pace.keep(0)
        await asyncio.sleep(1)
        world.database.away = True
        await pace.turn()

    with pytest.raises(Throttled, match="own_limit"):
        run_virtually(scene())


def test_sweeper_leaves_alone_what_waits_for_its_turn() -> None:
    async def scene() -> tuple[int, list[str], int]:
        world = World(calls_per_second={ACCOUNT: 1.0}, patience=Patience(publish=timedelta(seconds=3)))
        chunks = [await accept_together(world, 20) for _ in range(2)]
        await asyncio.gather(*(deliver(chunk, world.services) for chunk in chunks))
        world.publisher.take(SUBMITTED)
        world.clock.advance(4)
        await sweep(world.services)
        too_early = len(world.publisher.take(SUBMITTED))
        woken = {each.deliveries["email"].status.value for each in world.notifications}
        world.clock.advance(60)
        await sweep(world.services)
        return too_early, sorted(woken), len(world.publisher.take(SUBMITTED))

    too_early, statuses, later = run_virtually(scene())

    assert too_early == 0
    assert "queued" in statuses
    assert later > 0  # by then every turn is over, so a message must have been lost


def test_what_expires_before_its_turn_comes_back_then_and_needs_none() -> None:
    async def scene() -> tuple[list[timedelta], dict[str, int]]:
        world = World(calls_per_second={ACCOUNT: 1.0})
        expires_at = (world.clock.now() + timedelta(seconds=7)).isoformat()
        bodies = [a_body(expiresAt=expires_at) for _ in range(20)]
        await submit_batch(a_batch(bodies), CALLER, world.services)
        await deliver(taken(world), world.services)
        held = held_back(world)
        world.clock.advance(10)
        for chunk, _ in held:
            await deliver(chunk, world.services)
        return [wait for _, wait in held], Counter(
            each.deliveries["email"].status.value for each in world.notifications
        )

    waits, statuses = run_virtually(scene())

    assert max(waits) <= timedelta(seconds=7)
    assert statuses["expired"] >= 10
    assert set(statuses) == {"expired", "sent"}
