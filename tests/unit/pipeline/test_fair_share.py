"""What turns do to requests and messages, on their way through the real use cases."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.contracts.events import BusMessage, NotificationSubmitted
from shared.domain.call_start import call_may_start
from shared.domain.errors import RateExceeded, TooManyRequests
from shared.domain.identifiers import TenantId
from shared.domain.notification import Lane
from shared.domain.status import DeliveryStatus
from shared.pipeline.admission import Admission
from shared.pipeline.deliver import deliver
from shared.pipeline.fair_share import Turns
from shared.pipeline.lanes import Lanes
from shared.pipeline.recover import sweep
from shared.pipeline.services import SUBMITTED, Services
from shared.pipeline.submit import submit
from shared.pipeline.submit_batch import submit_batch
from shared.ports import Accepted, Caller, OutboundMessage
from tests.fakes.clock import START, FakeClock
from tests.fakes.flooded_lane import Bus, elapsed, now
from tests.fakes.lane_board import InMemoryBoard, InMemoryLeases
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, NoWaiter, World, a_batch, a_body, a_request

KEY = ("email", Lane.NORMAL)
PATIENCE = timedelta(seconds=60)


class LoopClock(FakeClock):
    def now(self) -> datetime:
        return now()


class LoopWorld(World):
    """Its clock goes by the loop already."""

    def _time(self) -> float:
        return self.clock.now().timestamp()


class LoopPublisher:
    """Puts chunks on a bus; what else is said, nobody hears."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, entity: str, messages: Sequence[BusMessage]) -> None:
        for message in messages if entity == SUBMITTED else ():
            chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()
            self._bus.publish(replace(chunk, due_at=message.due_at))


class RatedProvider:
    """Takes so many in a second, one after the other; keeps a ledger of when each came."""

    channel, name = "email", "rated"

    def __init__(self, per_second: float) -> None:
        self._turn = asyncio.Lock()
        self._seconds = 1 / per_second
        self.ledger: list[tuple[str, float]] = []

    async def send(self, message: OutboundMessage) -> Accepted:
        await call_may_start()
        self.ledger.append((message.attempt_id.split(".")[1], elapsed()))
        async with self._turn:
            await asyncio.sleep(self._seconds)
        return Accepted("m")


class Installation:
    """A process that accepts and one that delivers, with the app's own use cases, over the fakes of a World."""

    def __init__(self, per_second: float, *, by_limit: bool) -> None:
        self.bus, self.board = Bus(), InMemoryBoard()
        self.provider = RatedProvider(1000 if by_limit else per_second)
        self.leases = InMemoryLeases(lambda: START.timestamp() + elapsed())
        self.world = LoopWorld(clock=LoopClock(), calls_per_second={"rated": per_second} if by_limit else {})
        self.accepts, self.delivers = self._process(), self._process()
        self.accepted: dict[str, dict[str, float]] = {"flood": {}, "small": {}}
        self.refused: Counter[str] = Counter()
        self._running = [asyncio.create_task(self._handle()) for _ in range(64)]
        self._running.append(asyncio.create_task(self._sweep()))

    def _process(self) -> Services:
        return replace(
            self.world.fresh_process(),
            publisher=LoopPublisher(self.bus),
            providers={"email": (self.provider,)},
            lanes=Lanes(self.board, self.leases, monotonic=elapsed),
        )

    async def _handle(self) -> None:
        while True:
            await deliver(await self.bus.take(), self.delivers)

    async def _sweep(self) -> None:
        """Retries as well, since this place has no orchestrations."""
        while True:
            await asyncio.sleep(15)
            await sweep(self.delivers)

    async def stream(self, tenant: str, rate: float, until: float) -> None:
        caller = Caller(TenantId(tenant), tenant, CALLER.roles)
        while elapsed() < until:
            await asyncio.sleep(1 / rate)
            try:
                done = await submit(a_request(), caller, self.accepts, NoWaiter())
            except TooManyRequests:
                self.refused[tenant] += 1
            else:
                self.accepted[tenant][done.tracking_id] = elapsed()

    async def drain(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for task in self._running:
            task.cancel()


@pytest.mark.parametrize("by_limit", [False, True], ids=["a slow provider", "our own limit"])
def test_the_providers_ledger_shows_the_others_on_time_and_everything_that_was_accepted_once(by_limit: bool) -> None:
    async def scene() -> Installation:
        place = Installation(per_second=10, by_limit=by_limit)
        await asyncio.gather(place.stream("flood", 100, until=40), place.stream("small", 1, until=40))
        await place.drain(200)
        return place

    place = run_virtually(scene())
    called = dict(place.provider.ledger)
    waits = sorted(called[each] - at for each, at in place.accepted["small"].items())

    assert waits[int(len(waits) * 0.95)] < 5
    assert place.refused["small"] == 0
    assert place.refused["flood"] > 2000
    assert set(called) == {each for accepted in place.accepted.values() for each in accepted}
    assert len(place.provider.ledger) == len(called)
    assert {each.deliveries["email"].status for each in place.world.notifications} == {DeliveryStatus.SENT}


class Crowd:
    """Every tenant floods: each request has turns from ten seconds on, or is refused."""

    refusal: Exception | None = None

    async def reserve(self, tenant: TenantId, wanted: Any) -> Turns:
        if self.refusal:
            raise self.refusal
        return Turns({KEY: [START + timedelta(seconds=10 + part) for part in range(20)]})


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


@pytest.fixture
def flooded(crowd: Crowd) -> World:
    world, lanes = World(), Lanes()
    lanes.admission = Admission(lanes.board, crowd)  # type: ignore[arg-type]
    world.with_(lanes=lanes)
    return world


async def test_a_delivery_waits_for_its_turn_on_the_bus_and_the_sweeper_knows(flooded: World) -> None:
    answer = await flooded.submit(a_request())

    [message] = flooded.publisher.take(SUBMITTED)
    delivery = flooded.delivery()
    assert json.loads(answer.answer)["deliveries"] == [{"channel": "email", "status": "queued"}]
    assert message.due_at == delivery.due_at == START + timedelta(seconds=10)
    assert delivery.wake_at == START + timedelta(seconds=10) + PATIENCE
    assert NotificationSubmitted.model_validate_json(message.body).wanted_at == message.due_at


async def test_a_batch_has_a_turn_for_each_message(flooded: World) -> None:
    await submit_batch(a_batch([a_body(reference=f"r{number}") for number in range(100)]), CALLER, flooded.services)

    messages = flooded.publisher.take(SUBMITTED)
    chunks = [NotificationSubmitted.model_validate_json(each.body).to_chunk() for each in messages]
    assert [(len(chunk.items), message.due_at) for chunk, message in zip(chunks, messages, strict=True)] == [
        (50, START + timedelta(seconds=10)),
        (50, START + timedelta(seconds=11)),
    ]


async def test_what_is_scheduled_for_later_anyway_has_no_turn(flooded: World) -> None:
    send_at = START + timedelta(minutes=5)

    await flooded.submit(a_request(sendAt=send_at.isoformat()))

    assert flooded.delivery().due_at == send_at


async def test_other_channels_have_no_turn(flooded: World) -> None:
    both = {"email": {"subject": "s", "text": "t"}, "sms": {"text": "t"}}
    recipient = {"email": "ada@example.com", "phone": "+4915112345678"}

    await flooded.submit(a_request(channels=["email", "sms"], content=both, recipient=recipient))

    due = {
        NotificationSubmitted.model_validate_json(each.body).channel: each.due_at
        for each in flooded.publisher.take(SUBMITTED)
    }
    assert due == {"email": START + timedelta(seconds=10), "sms": None}


async def test_a_turn_that_has_come_changes_nothing(flooded: World) -> None:
    flooded.clock.advance(3600)

    await flooded.submit(a_request())

    assert flooded.delivery().due_at is None


async def test_a_repeated_key_gets_its_answer_even_when_the_share_is_used_up(flooded: World, crowd: Crowd) -> None:
    first = await flooded.submit(a_request("k"))
    crowd.refusal = RateExceeded("x", retry_after=timedelta(seconds=1))

    again = await flooded.submit(a_request("k"))

    assert (again.tracking_id, again.replayed) == (first.tracking_id, True)
