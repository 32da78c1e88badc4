"""A fleet of processes in virtual time: one store, one bus, the same providers, and a memory of its own for each.

The bus delivers a message when it is due, to whichever process has room. Retries come back when they are due. Every
call to the store takes some milliseconds, so that processes race. Runs in ``run_virtually``.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from shared.contracts.events import BusMessage, NotificationStatus, NotificationSubmitted
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.errors import CnsError
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.status import DeliveryStatus
from shared.pipeline.announce import publish_chunks
from shared.pipeline.deliver import deliver
from shared.pipeline.recover import sweep
from shared.pipeline.services import STATUS, SUBMITTED, Services
from shared.ports import Accepted, OutboundMessage
from tests.fakes.clock import START, FakeClock
from tests.fakes.fake_provider import Answer, FakeReceiptSource
from tests.fakes.recording_publisher import RecordingPublisher
from tests.fakes.steps import StepsThrough
from tests.fakes.world import World

MESSAGES_AT_ONCE = 16  # in one process, as host.json has it


class LoopClock(FakeClock):
    """The loop's time as the time of day."""

    def now(self) -> datetime:
        return START + timedelta(seconds=asyncio.get_running_loop().time())


class Latency(StepsThrough):
    """Every effect takes a few milliseconds, half of them before it happens."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    @asynccontextmanager
    async def around(self, name: str) -> AsyncIterator[None]:
        self.names.append(name)
        await asyncio.sleep(self._chance.uniform(0.001, 0.005))
        yield
        await asyncio.sleep(self._chance.uniform(0.001, 0.005))


class ProviderWithWeather(FakeReceiptSource):
    """Answers by the seconds since the start; ``calls`` are when each call came and which attempt it was."""

    def __init__(self, channel: str, name: str, weather: Callable[[float], Answer] | None = None) -> None:
        super().__init__(channel, name)
        self.weather = weather or (lambda _: Accepted("message"))
        self.calls: list[tuple[float, str]] = []
        self.call_seconds = 0.05
        self.ill_seconds = 0.05

    async def send(self, message: OutboundMessage) -> Accepted:
        now = asyncio.get_running_loop().time()
        self.calls.append((now, message.attempt_id))
        answer = self.weather(now)
        await asyncio.sleep(self.ill_seconds if isinstance(answer, Exception) else self.call_seconds)
        if isinstance(answer, Exception):
            raise answer
        self.accepted.append(message)
        return answer


class FleetBus(RecordingPublisher):
    """``delivered`` counts messages handed to processes, ``waiting`` those that are due."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: asyncio.Queue[BusMessage] = asyncio.Queue()
        self.on_status: Callable[[NotificationStatus], None] = lambda _: None
        self.failures = 0
        self.scheduled = 0

    async def publish(self, entity: str, messages: Sequence[BusMessage]) -> None:
        await super().publish(entity, messages)
        for message in messages:
            if entity == SUBMITTED:
                self._deliver_when_due(message)
            elif entity == STATUS:
                self.on_status(NotificationStatus.model_validate_json(message.body))

    def _deliver_when_due(self, message: BusMessage) -> None:
        loop = asyncio.get_running_loop()
        seconds = (message.due_at - START).total_seconds() if message.due_at else 0.0
        self.scheduled += 1

        def arrive() -> None:
            self.scheduled -= 1
            self.waiting.put_nowait(message)

        loop.call_at(max(loop.time(), seconds), arrive)


class Fleet:
    """``world`` is what all processes share; ``processes`` are their services."""

    def __init__(self, world: World, processes: int, *, sweep_every: float = 15.0) -> None:
        assert isinstance(world.publisher, FleetBus)
        self.world = world
        self.bus = world.publisher
        self.bus.on_status = self._plan_retries
        self.processes = [world.fresh_process() for _ in range(processes)]
        self._sweep_every = sweep_every
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def working(self) -> AsyncIterator["Fleet"]:
        """All processes work meanwhile."""
        workers = [asyncio.create_task(self._work(each)) for each in self.processes for _ in range(MESSAGES_AT_ONCE)]
        workers.append(asyncio.create_task(self._sweep()))
        try:
            yield self
        finally:
            everything = [*workers, *self._tasks]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def at(self, seconds: float) -> None:
        """So many seconds have passed since the start."""
        await asyncio.sleep(max(0.0, seconds - asyncio.get_running_loop().time()))

    async def settled(self, *, within: float) -> bool:
        """Whether every delivery had its outcome in time."""
        deadline = asyncio.get_running_loop().time() + within
        while any(each.wake_at for one in self.world.notifications for each in one.deliveries.values()):
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.5)
        return True

    async def _work(self, services: Services) -> None:
        while True:
            message = await self.bus.waiting.get()
            chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()
            try:
                await deliver(chunk, services)
            except CnsError:
                self.bus.failures += 1
                self.bus.waiting.put_nowait(message)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_every)
            await sweep(self.processes[0])

    def _plan_retries(self, event: NotificationStatus) -> None:
        for item in event.items:
            if item.status is DeliveryStatus.RETRYING and item.due_at:
                chunk = Chunk(
                    tenant_id=TenantId(event.tenant_id),
                    partition_key=PartitionKey(event.partition_key),
                    channel=event.channel,
                    lane=event.priority,
                    items=(ChunkItem(TrackingId(item.tracking_id), item.attempt + 1, expires_at=item.expires_at),),
                )
                task = asyncio.create_task(self._requeue(chunk, item.due_at))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _requeue(self, chunk: Chunk, due_at: datetime) -> None:
        await self.at((due_at - START).total_seconds())
        await publish_chunks([chunk], self.processes[0])


def a_fleet_world(chance: random.Random, *providers: ProviderWithWeather, **options: object) -> World:
    """A world in virtual time whose email goes by ``providers``."""
    first, *further = providers
    others = {name: FakeReceiptSource(name, f"fake-{name}") for name in ("sms", "push", "webhook")}
    world = World(
        clock=LoopClock(),
        publisher=FleetBus(),
        providers={"email": first, **others},
        further={"email": list(further)},
        **options,  # type: ignore[arg-type]
    )
    world.database.steps = Latency(chance)
    return world
