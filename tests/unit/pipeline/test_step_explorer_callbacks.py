"""Every step from the change feed to the consumer fails once, and pairs of steps crash; each status is heard, under one
id however often it is posted."""

from collections import Counter
from itertools import product

import pytest

from shared.contracts.callback_payload import CallbackBatch
from shared.contracts.events import BusMessage
from shared.domain.errors import CnsError
from shared.pipeline.callbacks import fire_callbacks, send_callbacks
from shared.pipeline.services import CALLBACKS
from tests.fakes.callback_consumer import an_endpoint, marks_of
from tests.fakes.real_world import RealWorld
from tests.fakes.steps import Crash, Fault, FaultsAt, StepsThrough
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import TENANT, World

CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
MAX_ROUNDS = 30


async def _fire(world: World) -> None:
    """As the change feed: shown again until it is taken."""
    for _ in range(MAX_ROUNDS):
        try:
            await fire_callbacks(world.notifications, world.services)
        except CnsError:
            continue
        except Crash:
            world.restart()
            continue
        return
    raise AssertionError("never fired")


async def _send(world: World, message: BusMessage) -> None:
    """As the broker: delivered again until it is taken."""
    for _ in range(MAX_ROUNDS):
        world.clock.advance_to(message.due_at or world.clock.now())
        try:
            await send_callbacks(CallbackBatch.model_validate_json(message.body), world.services)
        except CnsError:
            continue
        except Crash:
            world.restart()
            continue
        return
    raise AssertionError("never sent")


async def _live(steps: StepsThrough) -> World:
    world = World()
    for number in range(2):
        await world.endpoints.save(an_endpoint(TENANT, f"ep{number}"))
    await world.submit()
    await RealWorld(world).quiesce()
    world.watch(steps)
    for _ in range(MAX_ROUNDS):
        await _fire(world)  # marking a callback is a change of its own, which the feed shows
        messages = world.publisher.take(CALLBACKS)
        if not messages:
            return world
        for message in messages:
            await _send(world, message)
    raise AssertionError("it never comes to rest")


def _explore(faults: dict[int, Fault]) -> list[str]:
    steps = FaultsAt(faults)
    world = run_virtually(_live(steps))
    [notification] = world.notifications
    wanted = {f"email-{status}-ep{number}" for status in ("SENT", "DELIVERED") for number in range(2)}
    heard = Counter((call.url, call.headers["webhook-id"]) for call in world.callback_client.calls)

    assert marks_of(notification) == dict.fromkeys(wanted, "delivered"), steps.names
    assert len(heard) == len(wanted), steps.names
    assert faults or set(heard.values()) == {1}
    return steps.names


@pytest.mark.parametrize("fault", Fault)
def test_a_failure_at_any_step_loses_no_callback(fault: Fault) -> None:
    for index in range(len(_explore({}))):
        _explore({index: fault})


@pytest.mark.parametrize("kinds", list(product(CRASHES, CRASHES)))
def test_two_crashes_at_any_two_steps_lose_no_callback(kinds: tuple[Fault, Fault]) -> None:
    for first in range(len(_explore({}))):
        for second in range(first + 1, len(_explore({first: kinds[0]}))):
            _explore({first: kinds[0], second: kinds[1]})
