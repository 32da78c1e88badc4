"""A world in which deliveries have died and their letters are filed, and somebody replays them."""

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import Any

from shared.contracts.replays_api import ReplayView
from shared.domain.dead_letter import DeadLetter, Selection
from shared.domain.errors import CnsError, ProviderError, Rejected, Transient
from shared.domain.replay import ReplayState
from shared.pipeline.dead_letter_filing import file_letter
from shared.pipeline.replay_steps import make_step
from shared.pipeline.replays import order_replay
from shared.pipeline.services import DEAD_LETTERS
from shared.ports import Accepted, Caller
from tests.fakes.real_world import RealWorld
from tests.fakes.steps import Crash, StepsThrough
from tests.fakes.world import TENANT, World, a_request

REPLAYER = Caller(TENANT, "replayer", frozenset({"DeadLetters.Replay"}))
OPERATOR = Caller(TENANT, "operator", frozenset({"DeadLetters.Replay", "Operations.Read", "Operations.Write"}))
EXHAUSTING = Transient("provider_unavailable")  # dead after all allowed attempts
REJECTING = Rejected("invalid_content")  # dead at once
_MAX_STEPS = 200


class StartedOrchestrations:
    """Remembers which replays were begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    async def start(self, name: str, instance_id: str, argument: dict[str, object]) -> bool:
        assert name == "replay"
        assert instance_id == f"replay-{argument['id']}"
        self.begun.append(str(argument["id"]))
        return True

    async def raise_event(self, instance_id: str, event: str, argument: dict[str, object]) -> bool:
        raise AssertionError("nothing is raised at a replay")


class DeadWorld:
    """``die`` makes dead letters; the provider is well again afterwards."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.around = RealWorld(self.world, None)
        self.orchestrations = StartedOrchestrations()

    async def die(self, count: int = 1, error: ProviderError = EXHAUSTING, **fields: Any) -> list[DeadLetter]:
        self.world.email.otherwise = error
        known = {letter.id for letter in await self.letters()}
        for _ in range(count):
            await self.world.submit(a_request(**fields))
        await self.around.quiesce()
        self.world.email.otherwise = Accepted("taken")
        await self.file()
        return [letter for letter in await self.letters() if letter.id not in known]

    async def file(self) -> None:
        for message in self.world.publisher.take(DEAD_LETTERS):
            await file_letter(message.body, self.world.clock.now(), self.world.services)
        self.world.clock.advance(1)  # a selection ends before the moment it is made in

    async def letters(self) -> list[DeadLetter]:
        now = self.world.clock.now()
        everything = Selection(None, now - timedelta(days=5), now + timedelta(days=5))
        found: list[DeadLetter] = []
        for ahead in range(-5, 6):
            day = f"{now + timedelta(days=ahead):%Y%m%d}"
            found += await self.world.services.dead_letters.oldest(everything, day, None, 10_000)
        return found

    async def order(self, caller: Caller = REPLAYER, key: str | None = None, **order: Any) -> ReplayView:
        wanted = order or {"filter": {"tag": "exhausted"}}
        body = json.dumps({"ratePerSecond": 50, **wanted}).encode()
        return await order_replay(body, key, caller, self.orchestrations, self.world.services)

    async def carry_out(self, *replay_ids: str) -> None:
        """As the orchestration: step after step, each at its time, again when it died."""
        for _ in range(_MAX_STEPS):
            told = [result for each in replay_ids if (result := await self._step(each))]
            waiting = [each.next_at for each in told if each.state is ReplayState.RUNNING]
            if len(told) == len(replay_ids) and not waiting:
                return
            self.world.clock.advance_to(min(waiting, default=self.world.clock.now()))
            self.world.clock.advance(0.001)
        raise AssertionError("it never ends")

    async def _step(self, replay_id: str) -> Any:
        try:
            return await make_step(replay_id, self.world.services)
        except CnsError:
            return None
        except Crash:
            await asyncio.sleep(0)  # what the dead process still had running dies with it
            self.world.restart()
            return None

    async def settle(self) -> None:
        """What the replay put on the bus is delivered, and what dies again is filed."""
        await self.around.quiesce()
        await self.file()

    def watch(self, steps: StepsThrough) -> None:
        self.world.watch(steps)

    @property
    def statuses(self) -> Counter[str]:
        return Counter(
            delivery.status.value
            for notification in self.world.notifications
            for delivery in notification.deliveries.values()
        )

    def check_no_attempt_twice(self) -> None:
        assert Counter(self.world.email.attempt_ids).most_common(1)[0][1] == 1
