"""A batch of several partitions, with every one of its steps failing once: the repeated request completes it, doubles
nothing, and every item is swept to its delivery function if need be."""

from collections import Counter
from functools import cache

import pytest

from shared.domain.errors import Conflict, StoreUnavailable
from shared.domain.status import DeliveryStatus
from shared.pipeline.submit_batch import SubmittedBatch, submit_batch
from shared.ports import Accepted
from tests.fakes.real_world import RealWorld
from tests.fakes.steps import Crash, Fault, FaultsAt
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, World, a_batch, a_body

ITEMS = 230


@cache
def _request():
    return a_batch([a_body(reference=f"item-{n}") for n in range(ITEMS)], key="batch-1")


async def _until_answered(world: World) -> SubmittedBatch:
    for _ in range(5):
        try:
            return await submit_batch(_request(), CALLER, world.services)
        except (StoreUnavailable, Conflict):
            world.clock.advance(10)
        except Crash:
            world.restart()
            world.clock.advance(10)
    raise AssertionError("never answered")


def _submit(faults: dict[int, Fault]) -> tuple[World, FaultsAt]:
    world, steps = World(), FaultsAt(faults)
    world.watch(steps)
    run_virtually(_until_answered(world))
    return world, steps


@pytest.mark.parametrize("fault", Fault)
def test_a_failure_at_any_step_of_a_batch_neither_loses_nor_doubles_an_item(fault: Fault) -> None:
    for index in range(len(_submit({})[1].names)):
        world, steps = _submit({index: fault})

        references = Counter(notification.reference for notification in world.notifications)
        assert len(references) == ITEMS, steps.names
        assert set(references.values()) == {1}, steps.names


@pytest.mark.parametrize("index", range(6))
def test_a_batch_that_crashed_is_delivered_item_by_item(index: int) -> None:
    async def live() -> World:
        world = World()
        world.email.otherwise = Accepted(delivered=True)
        world.watch(FaultsAt({index: Fault.CRASH_AFTER}))
        await _until_answered(world)
        await RealWorld(world, receipts=None).quiesce()
        return world

    world = run_virtually(live())

    assert Counter(world.email.attempt_ids).most_common(1)[0][1] == 1
    assert len(world.email.attempt_ids) == ITEMS
    assert {n.deliveries["email"].status for n in world.notifications} == {DeliveryStatus.DELIVERED}
