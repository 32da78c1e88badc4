"""Channels in turn while every step fails once, pairs of steps crash, and workers meet in every order.

However it goes: at each provider call all earlier channels are resolved (so nobody is notified twice because of a lost
answer), no attempt is called twice, and everything comes to an end.
"""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.errors import Conflict, InDoubt, Rejected, StoreUnavailable, Transient
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.status import DeliveryStatus, is_outcome
from shared.pipeline.changes import follow_changes
from shared.pipeline.deliver import deliver
from shared.pipeline.receipts import receive_receipts
from shared.pipeline.recover import sweep
from shared.pipeline.services import STATUS, SUBMITTED, Patience
from shared.ports import OutboundMessage, ReceiptRequest
from tests.fakes.channels_in_turn import in_turn
from tests.fakes.real_world import RealWorld, Woken
from tests.fakes.steps import Crash, Fault, FaultsAt, StepsThrough
from tests.fakes.turn_taking import TurnTaking, every_order
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World, a_request

S = DeliveryStatus
CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)
UNRESOLVED = {"sending", "in_doubt"}
Worker = Callable[[], Coroutine[Any, Any, Any]]


class Witness:
    """Watches, at every provider call, how the notification's earlier channels stand."""

    def __init__(self, world: World) -> None:
        self.hasty: list[str] = []
        self._world = world
        for provider in world.providers.values():
            provider.witness = self._see

    def _see(self, message: OutboundMessage) -> None:
        for document in self._world.documents.values():
            if document["id"] in message.attempt_id:
                order = document["fallback"]["order"]
                for channel in order[: order.index(message.channel)]:
                    if document["deliveries"][channel]["status"] in UNRESOLVED:
                        self.hasty.append(message.attempt_id)


@dataclass(frozen=True)
class Story:
    """What the world is like, and who may end up having been sent to."""

    used: frozenset[str]
    prepare: Callable[[World], None] = lambda _: None
    receipts: dict[str, ReceiptKind] = field(default_factory=dict)
    request: dict[str, Any] = field(default_factory=dict)
    feed: bool = True
    only_one: bool = False  # at most one channel was called and not refused


def _push(*answers: Exception) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.providers["push"].script = list(answers)

    return prepare


def _push_always(answer: Exception) -> Callable[[World], None]:
    def prepare(world: World) -> None:
        world.providers["push"].otherwise = answer

    return prepare


BOTH = frozenset({"push", "sms"})
CONFIRMED = {"push": ReceiptKind.DELIVERED, "sms": ReceiptKind.DELIVERED}
STORIES = {
    "the first is confirmed": Story(frozenset({"push"}), receipts=CONFIRMED, request=in_turn("push", "sms")),
    "the first is refused": Story(BOTH, _push_always(Rejected("gone")), CONFIRMED, in_turn("push", "sms")),
    "the first is refused, and the feed is down": Story(
        BOTH, _push_always(Rejected("gone")), CONFIRMED, in_turn("push", "sms"), feed=False
    ),
    "the first bounces": Story(
        frozenset({"email", "sms"}), receipts={"email": ReceiptKind.BOUNCED}, request=in_turn("email", "sms")
    ),
    "the first is not confirmed in time": Story(
        BOTH, receipts={"sms": ReceiptKind.DELIVERED}, request=in_turn("push", "sms", deadline=60)
    ),
    "the first is down": Story(
        BOTH, _push_always(Transient("http_503")), CONFIRMED, in_turn("push", "sms", deadline=5)
    ),
    "in doubt at the deadline": Story(
        BOTH, _push(InDoubt("timeout")), {"sms": ReceiptKind.DELIVERED}, in_turn("push", "sms", deadline=1)
    ),
    "an advertisement in doubt": Story(
        frozenset({"push"}),
        _push(InDoubt("timeout")),
        request=in_turn("push", "sms", category="marketing"),
        only_one=True,
    ),
    "an advertisement that gets through": Story(
        frozenset({"push"}), request=in_turn("push", "sms", category="marketing"), only_one=True
    ),
}


async def _live_through(story: Story, steps: StepsThrough) -> tuple[World, RealWorld, Witness]:
    world = World(patience=replace(Patience(), store=timedelta(seconds=5)))
    story.prepare(world)
    world.watch(steps)
    around, witness = RealWorld(world, story.receipts, feed=story.feed), Witness(world)
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
    return world, around, witness


def _check(story: Story, world: World, around: RealWorld, witness: Witness, *, disturbed: bool) -> None:
    [notification] = world.notifications
    deliveries = notification.deliveries
    called = [sent for provider in world.providers.values() for sent in provider.ledger]
    assert all(is_outcome(delivery.status) for delivery in deliveries.values())
    assert all(delivery.wake_at is None for delivery in deliveries.values())
    assert set(Counter(sent.attempt_id for sent in called).values()) <= {1}
    assert witness.hasty == []
    assert {sent.channel for sent in called} == story.used or disturbed
    if story.only_one:
        accepted = {sent.channel for provider in world.providers.values() for sent in provider.accepted}
        assert len(accepted) <= 1
    taken_over = [entry for entry in notification.history if entry.status is S.QUEUED]
    assert len({entry.channel for entry in taken_over}) == len(taken_over)
    assert max(Counter((each.channel, each.status, each.attempt) for each in notification.history).values()) == 1
    assert around.dead == []


def _explore(story: Story, faults: dict[int, Fault]) -> None:
    world, around, witness = run_virtually(_live_through(story, FaultsAt(faults)))
    _check(story, world, around, witness, disturbed=bool(faults))


def _steps_of(story: Story, faults: dict[int, Fault] | None = None) -> int:
    steps = FaultsAt(faults or {})
    run_virtually(_live_through(story, steps))
    return len(steps.names)


@pytest.mark.parametrize("name", STORIES)
def test_undisturbed_exactly_these_channels_are_used(name: str) -> None:
    _explore(STORIES[name], {})


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", STORIES)
def test_one_failure_at_any_step_notifies_nobody_twice_in_doubt(name: str, fault: Fault) -> None:
    for index in range(_steps_of(STORIES[name])):
        _explore(STORIES[name], {index: fault})


@pytest.mark.parametrize("kinds", list(zip(CRASHES, reversed(CRASHES), strict=True)))
def test_two_crashes_at_any_two_steps_notify_nobody_twice_in_doubt(kinds: tuple[Fault, Fault]) -> None:
    story = STORIES["in doubt at the deadline"]

    for first in range(_steps_of(story)):
        for second in range(first + 1, _steps_of(story, {first: kinds[0]})):
            _explore(story, {first: kinds[0], second: kinds[1]})


class Scene:
    """A notification whose first channel has been used, and those who look at what follows from it."""

    def __init__(self, choices: Sequence[int]) -> None:
        self.world = World()
        self.turns = TurnTaking(choices)
        self.around = RealWorld(self.world, {})
        self.witness = Witness(self.world)

    async def begin(self, deadline: int | None = None) -> None:
        await self.world.submit(a_request("order-1", **in_turn("push", "sms", "email", deadline=deadline)))
        [message] = self.world.publisher.take(SUBMITTED)
        await deliver(NotificationSubmitted.model_validate_json(message.body).to_chunk(), self.world.services)
        self.world.publisher.take(STATUS)
        self.world.watch(self.turns)

    def follows(self) -> Worker:
        """As a worker of the change feed, which shows what there is now."""
        services, documents = self.world.fresh_process(), list(self.world.documents.values())
        return lambda: follow_changes(documents, services, Woken())

    def sweeps(self) -> Worker:
        services = self.world.fresh_process()
        return lambda: sweep(services)

    def hears_delivered(self) -> Worker:
        async def receive() -> None:
            push = self.world.providers["push"]
            push.receipts = [Receipt(push.attempt_ids[0], ReceiptKind.DELIVERED, self.world.clock.now(), "ok")]
            await receive_receipts(push.name, ReceiptRequest("/", {}, {}, b""), self.world.services)
            for message in self.world.publisher.take(STATUS):
                await self.around.hear(message)

        return receive

    def takeovers(self) -> list[str]:
        [notification] = self.world.notifications
        return [entry.channel for entry in notification.history if entry.status is S.QUEUED]


def test_two_feed_workers_and_a_sweeper_let_one_channel_take_over_once_in_every_order() -> None:
    async def one_order(choices: Sequence[int]) -> list[int]:
        scene = Scene(choices)
        scene.world.providers["push"].otherwise = Rejected("gone")
        await scene.begin()
        scene.world.clock.advance(400)
        await scene.turns.conduct({"feed a": scene.follows(), "feed b": scene.follows(), "sweeper": scene.sweeps()})
        assert scene.takeovers() == ["sms"], scene.turns.names
        assert len(scene.world.publisher.published[SUBMITTED]) == 1, scene.turns.names
        await scene.around.quiesce()
        assert len(scene.world.providers["sms"].ledger) == 1, scene.turns.names
        return scene.turns.options

    assert len(list(every_order(lambda choices: run_virtually(one_order(choices))))) >= 20


def test_a_confirmation_that_meets_the_deadline_ends_well_in_every_order() -> None:
    async def one_order(choices: Sequence[int]) -> list[int]:
        scene = Scene(choices)
        await scene.begin(deadline=60)
        scene.world.clock.advance(61)
        await scene.turns.conduct({"sweeper": scene.sweeps(), "provider": scene.hears_delivered()})
        await scene.around.quiesce()
        [notification] = scene.world.notifications
        calls = {name: len(provider.ledger) for name, provider in scene.world.providers.items()}
        assert calls["push"] == 1, scene.turns.names
        assert calls["sms"] <= len(scene.takeovers()), scene.turns.names
        assert calls["email"] == 0, scene.turns.names
        assert notification.deliveries["push"].status is S.DELIVERED, scene.turns.names
        assert notification.deliveries["email"].status is S.SUPPRESSED, scene.turns.names
        return scene.turns.options

    assert len(list(every_order(lambda choices: run_virtually(one_order(choices))))) >= 10
