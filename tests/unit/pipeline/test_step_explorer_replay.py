"""A replay dies at every step, in every way, and two replays of the same letters meet in every order: each is once."""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from itertools import product
from random import Random
from typing import Any

import pytest

from shared.domain.errors import StoreUnavailable
from shared.pipeline.replay_steps import make_step
from shared.pipeline.replays import read_replay
from tests.fakes.dead_world import REJECTING, REPLAYER, DeadWorld
from tests.fakes.steps import Crash, Fault, FaultsAt, StepsThrough
from tests.fakes.turn_taking import TurnTaking
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import TENANT

LETTERS = 2
MOST_STEPS = 60
ORDERS = 80  # of the thousands there are, drawn at random
FILTER = {"tag": "rejected"}
CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)


async def _live_through(steps: StepsThrough) -> DeadWorld:
    dead = DeadWorld()
    await dead.die(LETTERS, REJECTING)
    dead.watch(steps)
    for _ in range(5):
        try:
            ordered = await dead.order(key="k", filter=FILTER)
            break
        except StoreUnavailable:
            dead.world.clock.advance(2)
        except Crash:
            dead.world.restart()
    else:
        raise AssertionError("never ordered")
    await dead.carry_out(ordered.id)
    await dead.around.quiesce()
    dead.watch(StepsThrough())
    dead.world.restart()
    await dead.file()
    await _check(dead, ordered.id)
    return dead


async def _check(dead: DeadWorld, replay_id: str) -> None:
    told = await read_replay(replay_id, REPLAYER, dead.world.services)
    assert (told.state, told.replayed, told.skipped, told.failed) == ("completed", LETTERS, {}, 0)
    assert dead.statuses == {"sent": LETTERS}
    for notification in dead.world.notifications:
        replays = [entry for entry in notification.history if entry.reason == "replayed"]
        assert len(replays) == 1
        # A call that went wrong in the middle is in doubt, and security and orders are then sent again.
        delivery = notification.deliveries["email"]
        assert len([each for each in delivery.attempts if each.outcome == "sent"]) == 1 or delivery.was_in_doubt
    assert all(letter.replay and letter.replay.replay_id == replay_id for letter in await dead.letters())
    dead.check_no_attempt_twice()
    [partition] = await dead.world.services.audit.newest(TENANT)
    [entry] = await dead.world.services.audit.entries(partition, 2**53, 10)
    assert entry.fact.subject == replay_id


def _steps() -> int:
    steps = FaultsAt({})
    run_virtually(_live_through(steps))
    return len(steps.names)


@pytest.mark.parametrize("fault", Fault)
def test_a_replay_that_fails_anywhere_once_is_effective_once(fault: Fault) -> None:
    for index in range(_steps()):
        run_virtually(_live_through(FaultsAt({index: fault})))


@pytest.mark.parametrize("kinds", list(product(CRASHES, CRASHES)))
def test_a_replay_that_dies_twice_is_effective_once(kinds: tuple[Fault, Fault]) -> None:
    steps = _steps()
    for first in range(0, steps, 4):
        for second in range(first + 1, steps, 6):
            run_virtually(_live_through(FaultsAt({first: kinds[0], second: kinds[1]})))


def _in_many_orders(one_order: Callable[[Sequence[int]], Coroutine[Any, Any, None]]) -> None:
    random = Random(20261124)
    for _ in range(ORDERS):
        run_virtually(one_order([random.randrange(2) for _ in range(MOST_STEPS)]))


def test_two_replays_of_one_letter_put_it_back_to_work_once_in_whatever_order() -> None:
    async def one_order(choices: Sequence[int]) -> None:
        dead = DeadWorld()
        [letter] = await dead.die(1, REJECTING)
        first, second = await dead.order(filter=FILTER), await dead.order(ids=[letter.id])
        turns = TurnTaking(choices)
        dead.watch(turns)
        services = dead.world.services
        await turns.conduct({"a": lambda: make_step(first.id, services), "b": lambda: make_step(second.id, services)})
        dead.watch(StepsThrough())
        await dead.carry_out(first.id, second.id)
        await dead.settle()

        told = [await read_replay(each.id, REPLAYER, services) for each in (first, second)]
        assert Counter(each.replayed for each in told) == {0: 1, 1: 1}, turns.names
        assert dead.statuses == {"sent": 1}
        dead.check_no_attempt_twice()

    _in_many_orders(one_order)


def test_one_replay_carried_out_by_two_counts_and_releases_each_letter_once_in_whatever_order() -> None:
    async def one_order(choices: Sequence[int]) -> None:
        dead = DeadWorld()
        await dead.die(1, REJECTING)
        ordered = await dead.order(filter=FILTER)
        turns = TurnTaking(choices)
        dead.watch(turns)
        services = dead.world.services
        await turns.conduct(
            {"a": lambda: make_step(ordered.id, services), "b": lambda: make_step(ordered.id, services)}
        )
        dead.watch(StepsThrough())
        await dead.carry_out(ordered.id)
        await dead.settle()

        told = await read_replay(ordered.id, REPLAYER, services)
        assert (told.replayed, told.skipped) == (1, {}), turns.names
        assert dead.statuses == {"sent": 1}
        dead.check_no_attempt_twice()

    _in_many_orders(one_order)
