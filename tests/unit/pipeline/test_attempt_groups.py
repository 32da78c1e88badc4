"""A provider that can carry many attempts in one call gets a chunk's together: few calls, each attempt in just one."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.chunk import Chunk
from shared.domain.errors import InDoubt, Rejected, Throttled
from shared.domain.leased_schedule import Limit
from shared.domain.status import DeliveryStatus
from shared.pipeline.call_limits import CallLimits
from shared.pipeline.deliver import deliver
from shared.pipeline.recover import sweep
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from shared.ports import Accepted, OutboundMessage
from tests.fakes.fake_provider import FakeGroupProvider
from tests.fakes.real_world import RealWorld
from tests.fakes.steps import Crash, Fault, FaultsAt, StepsThrough
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, World, a_batch, a_body


def a_world(group_limit: int = 1000) -> World:
    return World(providers={"email": FakeGroupProvider("email", "fake-email", group_limit)})


def groups(world: World) -> list[list[OutboundMessage]]:
    provider = world.email
    assert isinstance(provider, FakeGroupProvider)
    return provider.groups


def mailbox(number: int) -> str:
    return f"user{number}@example.com"


async def accept_many(world: World, count: int, **changes: object) -> list[Chunk]:
    bodies = [
        a_body(recipient={"email": mailbox(number)}, reference=f"item-{number}", **changes) for number in range(count)
    ]
    await submit_batch(a_batch(bodies), CALLER, world.services)
    messages = world.publisher.take(SUBMITTED)
    return [NotificationSubmitted.model_validate_json(message.body).to_chunk() for message in messages]


def refuse(world: World, *numbers: int) -> None:
    provider = world.email
    assert isinstance(provider, FakeGroupProvider)
    provider.refusals |= {mailbox(number): Rejected("invalid_address") for number in numbers}


def statuses(world: World) -> dict[str | None, DeliveryStatus]:
    return {each.reference: each.deliveries["email"].status for each in world.notifications}


async def test_a_chunk_is_one_call_and_every_attempt_is_recorded_as_its_own() -> None:
    world = a_world()
    [chunk] = await accept_many(world, 50)

    await deliver(chunk, world.services)

    [group] = groups(world)
    assert len({message.attempt_id for message in group}) == 50
    for notification in world.notifications:
        delivery = notification.deliveries["email"]
        assert (delivery.status, delivery.provider_message_id) == (DeliveryStatus.SENT, "message-1")
        assert delivery.attempts[0].id in {message.attempt_id for message in group}


async def test_no_call_carries_more_than_the_provider_can() -> None:
    world = a_world(group_limit=20)
    [chunk] = await accept_many(world, 50)

    await deliver(chunk, world.services)

    assert sorted(map(len, groups(world))) == [10, 20, 20]


async def test_what_cannot_be_sent_takes_no_part_in_the_call() -> None:
    world = a_world()
    bodies = [a_body(recipient={"email": mailbox(number)}) for number in range(3)]
    bodies[1] |= {"expiresAt": "2026-11-24T13:00:00Z"}
    await submit_batch(a_batch(bodies), CALLER, world.services)
    chunks = [NotificationSubmitted.model_validate_json(m.body).to_chunk() for m in world.publisher.take(SUBMITTED)]
    world.clock.advance(3 * 60 * 60)

    for chunk in chunks:
        await deliver(chunk, world.services)

    assert sorted(len(group) for group in groups(world)) == [2]
    assert Counter(each.deliveries["email"].status for each in world.notifications) == {
        DeliveryStatus.SENT: 2,
        DeliveryStatus.EXPIRED: 1,
    }


async def test_an_answer_that_never_came_leaves_all_of_the_call_in_doubt() -> None:
    world = a_world()
    world.email.script = [InDoubt("no_answer")]
    [chunk] = await accept_many(world, 5)

    await deliver(chunk, world.services)

    assert set(statuses(world).values()) == {DeliveryStatus.IN_DOUBT}


async def test_a_call_refused_for_one_is_told_apart_from_the_others_which_cost_no_attempt() -> None:
    world = a_world()
    refuse(world, 2)
    [chunk] = await accept_many(world, 5)

    await deliver(chunk, world.services)

    told = statuses(world)
    assert told.pop("item-2") is DeliveryStatus.FAILED
    assert set(told.values()) == {DeliveryStatus.RETRYING}
    for notification in world.notifications:
        delivery = notification.deliveries["email"]
        if delivery.status is DeliveryStatus.RETRYING:
            assert (delivery.reason, delivery.attempts[0].outcome) == ("refused_with_others", "untried")
            assert delivery.due_at is not None
            assert delivery.due_at <= world.clock.now()


@pytest.mark.parametrize("refused", [(2,), (0, 1, 4), (0, 1, 2, 3, 4)])
def test_the_others_go_again_alone_under_attempts_of_their_own(refused: Sequence[int]) -> None:
    async def live() -> World:
        world = a_world()
        refuse(world, *refused)
        chunks = await accept_many(world, 5)
        for chunk in chunks:
            await deliver(chunk, world.services)
        await RealWorld(world, receipts=None).quiesce()
        return world

    world = run_virtually(live())

    sent, failed = DeliveryStatus.SENT, DeliveryStatus.FAILED
    assert statuses(world) == {f"item-{n}": failed if n in refused else sent for n in range(5)}
    assert max(Counter(world.email.attempt_ids).values()) == 1
    assert [len(group) for group in groups(world)] == [5] + [1] * (5 - len(refused))


async def test_who_was_refused_for_anothers_sake_once_is_not_put_at_that_risk_again() -> None:
    world = a_world()
    refuse(world, 0)
    [chunk] = await accept_many(world, 4)
    await deliver(chunk, world.services)
    world.clock.advance(91)
    await sweep(world.services)  # the retries were forgotten; they come back in one chunk
    [message] = world.publisher.take(SUBMITTED)
    chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()

    await deliver(chunk, world.services)

    assert [len(group) for group in groups(world)] == [4, 1, 1, 1]


async def test_a_fault_in_dividing_costs_nobody_the_message() -> None:
    class Undecided(FakeGroupProvider):
        def divide(self, messages: Sequence[OutboundMessage]) -> Sequence[Sequence[int]]:
            raise LookupError("a fault of ours")

    world = World(providers={"email": Undecided("email", "fake-email")})
    [chunk] = await accept_many(world, 3)

    await deliver(chunk, world.services)

    assert set(statuses(world).values()) == {DeliveryStatus.SENT}


async def test_an_answer_that_leaves_someone_out_leaves_all_in_doubt() -> None:
    class Forgetful(FakeGroupProvider):
        async def send_group(self, messages: Sequence[OutboundMessage]) -> list[Accepted]:
            return [Accepted()] * (len(messages) - 1)

    world = World(providers={"email": Forgetful("email", "fake-email")})
    [chunk] = await accept_many(world, 3)

    await deliver(chunk, world.services)

    assert set(statuses(world).values()) == {DeliveryStatus.IN_DOUBT}


LIMIT = Limit("fake-email", 49.0)  # a single clock


class CountingLeases:
    """A clock that gives so many turns and no more."""

    def __init__(self, turns: int) -> None:
        self.left = turns

    async def now(self) -> float:
        return asyncio.get_running_loop().time()

    def error(self) -> float:
        return 0.0

    async def lease(self, account: str, shard: int, seconds: float, earliest: float, latest: float) -> float | None:
        turns = round(seconds / LIMIT.interval)
        if turns > self.left:
            return None
        self.left -= turns
        return earliest

    async def given_until(self, account: str, shard: int) -> float:
        return float("inf")

    async def queue(self, account: str, lane: str, seconds: float, now: float) -> float:
        return now

    async def queued_until(self, account: str, lane: str) -> float:
        return 0.0


@pytest.mark.parametrize(("group_limit", "calls"), [(1000, 1), (50, 1), (20, 3), (10, 5)])
def test_a_call_is_one_turn_of_the_limit(group_limit: int, calls: int) -> None:
    world, leases = a_world(group_limit), CountingLeases(calls)

    async def live() -> None:
        world.with_(limits=CallLimits(leases, {LIMIT.account: LIMIT.calls_per_second}))
        [chunk] = await accept_many(world, 50)
        await deliver(chunk, world.services)

    run_virtually(live())

    assert leases.left == 0
    assert (len(groups(world)), sum(map(len, groups(world)))) == (calls, 50)


def test_without_a_turn_for_a_further_call_its_attempts_wait_and_cost_nothing() -> None:
    world = run_virtually(_one_turn_for_two_calls())

    outcomes = Counter(each.deliveries["email"].attempts[0].outcome for each in world.notifications)
    assert outcomes == {"sent": 1, Throttled.__name__.lower(): 1}


async def _one_turn_for_two_calls() -> World:
    world = a_world()
    world.with_(limits=CallLimits(CountingLeases(1), {LIMIT.account: LIMIT.calls_per_second}))
    bodies = [a_body(recipient={"email": mailbox(1)}) for _ in range(2)]  # one address: two calls
    await submit_batch(a_batch(bodies), CALLER, world.services)
    [message] = world.publisher.take(SUBMITTED)

    await deliver(NotificationSubmitted.model_validate_json(message.body).to_chunk(), world.services)
    return world


async def _deliver_all(world: World, chunks: Sequence[Chunk], workers: int) -> None:
    """Every chunk handed to several of the workers at once, each a process of its own."""
    copies = [(chunk, world.fresh_process()) for chunk in chunks for _ in range(workers // len(chunks))]
    await asyncio.gather(*(deliver(chunk, services) for chunk, services in copies))


async def test_250_items_over_20_workers_are_five_calls_and_each_item_is_in_exactly_one() -> None:
    world = a_world()
    chunks = await accept_many(world, 250)

    await _deliver_all(world, chunks, workers=20)

    assert [len(group) for group in groups(world)] == [50] * 5
    assert set(Counter(world.email.attempt_ids).values()) == {1}
    assert len(world.email.attempt_ids) == 250
    assert set(statuses(world).values()) == {DeliveryStatus.SENT}


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_a_holder_that_is_killed_at_any_step_loses_and_doubles_no_item(fault: Fault) -> None:
    async def live(steps: StepsThrough) -> World:
        world = a_world()
        world.patience = replace(world.patience, store=timedelta(seconds=5))
        world.restart()
        chunks = await accept_many(world, 100)
        world.watch(steps)
        for chunk in chunks:
            try:
                await deliver(chunk, world.services)
            except Crash:
                await asyncio.sleep(0)
                world.restart()
                await deliver(chunk, world.services)  # the broker hands it to another
        await RealWorld(world, receipts=None).quiesce()
        return world

    counted = StepsThrough()
    run_virtually(live(counted))
    for index in range(len(counted.names)):
        world = run_virtually(live(FaultsAt({index: fault})))

        assert set(statuses(world).values()) == {DeliveryStatus.SENT}
        assert max(Counter(world.email.attempt_ids).values()) == 1
        again = {
            message.attempt_id.rsplit(".", 2)[0] for message in world.email.ledger if message.attempt_id.endswith(".2")
        }
        in_doubt = {f"{n.tenant_id}.{n.tracking_id}" for n in world.notifications if n.deliveries["email"].was_in_doubt}
        assert again <= in_doubt
