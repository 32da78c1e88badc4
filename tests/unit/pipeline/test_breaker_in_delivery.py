"""A provider that is ill, on the real path: who is called, who is spared, who waits."""

import random
from datetime import timedelta

import pytest

from shared.domain.breaker import BreakerPolicy
from shared.domain.errors import InDoubt, Rejected, Throttled, Transient
from shared.domain.status import DeliveryStatus
from shared.domain.tenant_policy import ProviderShare, TenantPolicy
from shared.pipeline.deliver import deliver
from shared.pipeline.notifications import read_status
from shared.pipeline.services import SUBMITTED
from shared.ports import Accepted
from tests.fakes.accepted_chunks import accept, accept_together, taken
from tests.fakes.fake_provider import Answer, FakeReceiptSource
from tests.fakes.fleet import Fleet, ProviderWithWeather, a_fleet_world
from tests.fakes.real_world import RealWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, TENANT, World

POLICY = BreakerPolicy()


def _world(*, alone: bool = False) -> tuple[World, FakeReceiptSource, FakeReceiptSource]:
    second = FakeReceiptSource("email", "second-email")
    world = World(breaker=POLICY, further={} if alone else {"email": [second]})
    return world, world.email, second


async def _make_ill(world: World, provider: FakeReceiptSource, error: Exception | None = None) -> None:
    """Five notifications in a row fail, each on its own."""
    provider.script = [error or Transient("http_503")] * POLICY.failures_in_a_row
    for _ in range(POLICY.failures_in_a_row):
        await deliver(await accept(world), world.services)
    provider.ledger.clear()


async def test_while_the_first_provider_is_ill_the_second_has_everything_at_once() -> None:
    world, first, second = _world()
    await _make_ill(world, first)

    await deliver(await accept(world), world.services)

    assert (len(first.ledger), len(second.ledger)) == (0, 1)
    attempt = world.delivery(index=-1).attempts[-1]
    assert (attempt.provider, attempt.routed_because) == ("second-email", "breaker_open")


async def test_doubt_makes_a_provider_ill_and_is_not_failed_over() -> None:
    world, first, second = _world()

    await _make_ill(world, first, InDoubt("no_answer"))

    assert [each.deliveries["email"].status for each in world.notifications] == [DeliveryStatus.IN_DOUBT] * 5
    await deliver(await accept(world), world.services)
    assert len(second.ledger) == 1
    assert {sent.attempt_id for sent in second.ledger}.isdisjoint(
        {each.deliveries["email"].attempts[0].id for each in world.notifications[:5]}
    )


async def test_with_nobody_else_deliveries_wait_on_the_bus_and_spend_nothing() -> None:
    world, first, _ = _world(alone=True)
    await _make_ill(world, first)
    chunk = await accept_together(world, 20)

    await deliver(chunk, world.services)

    [message] = world.publisher.published[SUBMITTED]
    assert message.due_at is not None
    assert timedelta(seconds=60) <= message.due_at - world.clock.now() <= timedelta(seconds=70)
    assert first.ledger == []
    waiting = [each.deliveries["email"] for each in world.notifications[5:]]
    assert {(each.status, each.attempt) for each in waiting} == {(DeliveryStatus.QUEUED, 0)}
    held = taken(world)
    assert held.items == chunk.items
    assert held.wanted_at == message.due_at  # an outage is no lag that new requests would be refused for


async def test_answers_say_that_a_delivery_is_held_and_for_how_long() -> None:
    world, first, _ = _world(alone=True)
    before = await accept(world)
    [view] = (await read_status(before.items[0].tracking_id, CALLER, world.services)).deliveries
    assert (view.held_because, view.held_until) == (None, None)

    await _make_ill(world, first)

    [view] = (await read_status(before.items[0].tracking_id, CALLER, world.services)).deliveries
    assert (view.status, view.held_because) == ("queued", "breaker_open")
    assert view.held_until == world.clock.now() + timedelta(seconds=60)


async def test_where_another_provider_is_well_nothing_is_held() -> None:
    world, first, _ = _world()
    await _make_ill(world, first)
    waiting = await accept(world)

    [view] = (await read_status(waiting.items[0].tracking_id, CALLER, world.services)).deliveries

    assert view.held_because is None


async def test_what_has_expired_is_told_so_although_nobody_can_be_called() -> None:
    world, first, _ = _world(alone=True)
    await _make_ill(world, first)
    chunk = await accept(world, expiresAt="2026-11-24T12:00:30Z")
    await deliver(chunk, world.services)
    [message] = world.publisher.published[SUBMITTED]
    assert message.due_at == world.clock.now() + timedelta(seconds=30)

    world.clock.advance(30)
    await deliver(taken(world), world.services)

    assert world.delivery(index=-1).status is DeliveryStatus.EXPIRED
    assert first.ledger == []


async def test_a_minute_later_one_delivery_of_a_chunk_is_the_probe_and_the_others_wait_for_it() -> None:
    world, first, _ = _world(alone=True)
    await _make_ill(world, first)
    chunk = await accept_together(world, 20)
    world.clock.advance(61)

    await deliver(chunk, world.services)

    assert len(first.ledger) == 1
    held = taken(world)
    assert len(held.items) == 19
    world.clock.advance(2)
    await deliver(held, world.services)
    assert len(first.ledger) == 20


async def test_a_probe_that_fails_costs_one_call_and_another_minute() -> None:
    world, first, _ = _world(alone=True)
    await _make_ill(world, first)
    first.otherwise = Transient("http_503")
    world.clock.advance(61)

    for _ in range(3):
        await deliver(await accept_together(world, 5), world.services)
        world.publisher.take(SUBMITTED)
        world.clock.advance(2)

    assert len(first.ledger) == 1
    world.clock.advance(60)
    await deliver(await accept_together(world, 5), world.services)
    assert len(first.ledger) == 2


async def test_a_probe_that_was_somebody_elses_attempt_is_given_back() -> None:
    world, first, _ = _world(alone=True)
    await _make_ill(world, first)
    chunk = await accept(world)
    world.clock.advance(61)

    await deliver(chunk, world.services)
    first.ledger.clear()
    world.clock.advance(120)
    await _make_ill(world, first)
    world.clock.advance(61)
    await deliver(chunk, world.services)  # a copy: its claim is refused, so nobody is called
    assert first.ledger == []

    await deliver(await accept(world), world.services)
    assert len(first.ledger) == 1


@pytest.mark.parametrize("answer", [Rejected("invalid_address"), Throttled("429"), Accepted("m")])
async def test_any_answer_to_the_probe_ends_the_outage(answer: Answer) -> None:
    world, first, _ = _world(alone=True)
    await _make_ill(world, first)
    world.clock.advance(61)
    first.script = [answer]
    await deliver(await accept(world), world.services)
    world.clock.advance(2)

    await deliver(await accept_together(world, 3), world.services)

    assert len(first.ledger) == 4


async def test_a_long_pause_goes_by_way_of_the_second_provider_and_a_short_one_is_waited_for() -> None:
    for seconds, calls in ((60, 1), (5, 0)):
        world, first, second = _world()
        first.script = [Throttled("429", retry_after=timedelta(seconds=seconds))]
        await deliver(await accept(world), world.services)
        assert len(first.ledger) == 1

        await deliver(await accept(world), world.services)

        assert len(first.ledger) == 1
        assert len(second.ledger) == calls
        if calls:
            assert world.delivery(index=-1).attempts[-1].routed_because == "throttled"
        else:
            [message] = world.publisher.published[SUBMITTED]
            assert message.due_at is not None
            assert message.due_at >= world.clock.now() + timedelta(seconds=5)


async def test_a_delivery_that_only_an_ill_provider_could_still_carry_is_put_off_without_burning_an_attempt() -> None:
    world, first, second = _world()
    world.policies.decide(TENANT, TenantPolicy(providers={"email": (ProviderShare("second-email"),)}))
    await _make_ill(world, second)
    world.policies.decide(TENANT, TenantPolicy())
    first.otherwise = Rejected("country_not_enabled", elsewhere=True)
    world.publisher.published.clear()
    chunk = await accept(world)

    async def scene() -> None:
        await deliver(chunk, world.services)
        await RealWorld(world, receipts=None).quiesce()

    await scene()

    attempts = world.delivery(index=-1).attempts
    assert [(each.provider, each.outcome, each.reason) for each in attempts[:2]] == [
        ("fake-email", "notcarried", "country_not_enabled"),
        (None, "held", "breaker_open"),
    ]
    assert (world.delivery(index=-1).status, attempts[-1].provider) == (DeliveryStatus.SENT, "second-email")
    assert attempts[-1].claimed_at - attempts[0].claimed_at >= timedelta(seconds=60)


@pytest.mark.parametrize("processes", [4, 100])
def test_of_a_whole_fleet_with_work_one_makes_one_call_to_a_provider_that_may_be_well_again(processes: int) -> None:
    async def scene() -> tuple[list[float], bool]:
        def weather(now: float) -> Answer:
            return Transient("http_503") if now < 62 else Accepted("m")

        provider = ProviderWithWeather("email", "fake-email", weather)
        provider.call_seconds = provider.ill_seconds = 3.0
        world = a_fleet_world(random.Random(processes), provider, breaker=POLICY)
        async with Fleet(world, processes).working() as fleet:
            for _ in range(2 * processes + 8):
                await world.submit()
            settled = await fleet.settled(within=300)
        return [at for at, _ in provider.calls], settled

    calls, settled = run_virtually(scene())

    assert settled
    first_probe = min(at for at in calls if at > 55)
    assert sum(first_probe <= at < first_probe + 3 for at in calls) == 1
