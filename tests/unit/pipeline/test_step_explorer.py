"""Every step of a notification's life fails once, in every way it can, and pairs of steps crash; nothing is lost.

The fakes stop at each effect on the world (store, bus, provider). One run counts the effects; then each of them fails
in turn: the process dies before or after it, or the connection breaks before or after it. Afterwards the world goes on
as it would: the consumer repeats the request with the same key, the broker redelivers, the sweeper comes round,
receipts arrive.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import product

import pytest

from shared.domain.breaker import BreakerPolicy
from shared.domain.errors import Conflict, InDoubt, StoreUnavailable, Transient
from shared.domain.receipt import ReceiptKind
from shared.domain.status import DeliveryStatus, is_outcome
from shared.pipeline.services import DEAD_LETTERS, Patience
from shared.ports import Accepted
from tests.fakes.real_world import RealWorld
from tests.fakes.steps import Crash, Fault, FaultsAt, StepsThrough
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World, a_request

CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)


@dataclass(frozen=True)
class Story:
    """What the world is like, and how the notification must end."""

    ends: DeliveryStatus
    prepare: Callable[[World], None] = lambda _: None
    receipts: ReceiptKind | None = ReceiptKind.DELIVERED
    request: dict[str, object] = field(default_factory=dict)
    may_also_end: frozenset[DeliveryStatus] = frozenset()
    retries: bool = False
    breaker: BreakerPolicy | None = None


def _fails_twice(world: World) -> None:
    world.email.script = [Transient("http_503"), Transient("http_503")]


def _is_in_doubt_once(world: World) -> None:
    world.email.script = [InDoubt("timeout")]


def _fails_always(world: World) -> None:
    world.email.otherwise = Transient("http_503")


def _answers_itself(world: World) -> None:
    world.email.otherwise = Accepted(delivered=True)


STORIES = {
    "accepted and delivered": Story(DeliveryStatus.DELIVERED),
    "accepted, and no receipt comes": Story(DeliveryStatus.SENT, receipts=None),
    "the answer is the delivery": Story(DeliveryStatus.DELIVERED, prepare=_answers_itself, receipts=None),
    "delivered at the third attempt": Story(DeliveryStatus.DELIVERED, prepare=_fails_twice, retries=True),
    "in doubt, and sent again": Story(DeliveryStatus.SENT, prepare=_is_in_doubt_once, receipts=None),
    "held back while the provider is ill, then a probe": Story(
        DeliveryStatus.DELIVERED,
        prepare=_fails_twice,
        retries=True,
        breaker=BreakerPolicy(failures_in_a_row=2),
        may_also_end=frozenset({DeliveryStatus.FAILED}),
    ),
    "given up": Story(DeliveryStatus.FAILED, prepare=_fails_always, receipts=None, retries=True),
    "an advertisement": Story(
        DeliveryStatus.SENT,
        receipts=None,
        request={"category": "marketing"},
        may_also_end=frozenset({DeliveryStatus.FAILED}),
    ),
    "scheduled": Story(DeliveryStatus.DELIVERED, request={"sendAt": "2026-11-24T13:00:00Z"}),
}


async def _live_through(story: Story, steps: StepsThrough) -> tuple[World, RealWorld]:
    world = World(patience=replace(Patience(), store=timedelta(seconds=5)), breaker=story.breaker)
    story.prepare(world)
    world.watch(steps)
    around = RealWorld(world, story.receipts)
    for _ in range(5):
        try:
            await world.submit(a_request("order-1", **story.request))
            break
        except (StoreUnavailable, Conflict):
            world.clock.advance(2)
        except Crash:
            world.restart()
    else:
        raise AssertionError("never accepted")
    await around.quiesce()
    return world, around


def _check(story: Story, world: World, around: RealWorld) -> None:
    [notification] = world.notifications
    delivery = notification.deliveries["email"]
    assert is_outcome(delivery.status)
    assert delivery.wake_at is None
    assert delivery.status in {story.ends} | (story.may_also_end if delivery.was_in_doubt else set())
    assert Counter(world.email.attempt_ids).most_common(1)[0][1] == 1 if world.email.ledger else True
    assert len(world.email.ledger) <= 1 or delivery.was_in_doubt or story.retries
    assert [attempt.number for attempt in delivery.attempts] == list(range(1, len(delivery.attempts) + 1))
    told = Counter((entry.status, entry.attempt) for entry in notification.history)
    assert max(told.values()) == 1, told
    if delivery.reason == "attempts_exhausted":
        assert world.publisher.published[DEAD_LETTERS]
    assert around.dead == []
    assert world.orchestrations.alive == {}


def _explore(story: Story, faults: dict[int, Fault]) -> None:
    world, around = run_virtually(_live_through(story, FaultsAt(faults)))
    _check(story, world, around)


def _steps_of(story: Story, faults: dict[int, Fault] | None = None) -> int:
    steps = FaultsAt(faults or {})
    run_virtually(_live_through(story, steps))
    return len(steps.names)


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", STORIES)
def test_one_failure_at_any_step_loses_and_doubles_nothing(name: str, fault: Fault) -> None:
    story = STORIES[name]

    for index in range(_steps_of(story)):
        _explore(story, {index: fault})


@pytest.mark.parametrize("kinds", list(product(CRASHES, CRASHES)))
@pytest.mark.parametrize("name", ["accepted and delivered", "in doubt, and sent again"])
def test_two_crashes_at_any_two_steps_lose_and_double_nothing(name: str, kinds: tuple[Fault, Fault]) -> None:
    story = STORIES[name]

    for first in range(_steps_of(story)):
        for second in range(first + 1, _steps_of(story, {first: kinds[0]})):
            _explore(story, {first: kinds[0], second: kinds[1]})
