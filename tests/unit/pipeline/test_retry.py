from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from shared.contracts.events import NotificationStatus, NotificationSubmitted, StatusItem
from shared.domain.errors import PublishFailed, Throttled, Transient
from shared.domain.notification import Lane
from shared.domain.status import DeliveryStatus
from shared.pipeline.retry import continue_retries, requeue_delivery
from shared.pipeline.services import SUBMITTED
from tests.fakes.clock import START
from tests.fakes.orchestrations import FakeOrchestrations
from tests.fakes.real_world import RealWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World

DUE = START + timedelta(seconds=2)
ID = "01M86PTPG0FM4ZR32P5GKMSV2T"


def _event(status: DeliveryStatus, attempt: int = 1) -> NotificationStatus:
    return NotificationStatus(
        tenant_id="shop",
        occurred_at=START,
        partition_key="shop:beef",
        channel="email",
        priority=Lane.HIGH,
        recorded=True,
        items=[StatusItem(tracking_id=ID, status=status, attempt=attempt, timestamp=START, due_at=DUE)],
    )


class Recorder:
    def __init__(self, *, alive: bool) -> None:
        self.alive = alive
        self.started: list[tuple[str, dict[str, Any]]] = []
        self.raised: list[tuple[str, str, dict[str, Any]]] = []

    async def start(self, name: str, instance_id: str, argument: dict[str, Any]) -> bool:
        self.started.append((instance_id, argument))
        return not self.alive

    async def raise_event(self, instance_id: str, event: str, argument: dict[str, Any]) -> bool:
        if self.alive:
            self.raised.append((instance_id, event, argument))
        return self.alive


async def test_a_first_failure_starts_an_orchestration_that_knows_when_and_what() -> None:
    orchestrations = Recorder(alive=False)

    await continue_retries(_event(DeliveryStatus.RETRYING), orchestrations, World().services)

    [(instance, argument)] = orchestrations.started
    assert instance == f"{ID}:email"
    assert argument == {
        "tenantId": "shop", "partitionKey": "shop:beef", "trackingId": ID, "channel": "email", "lane": "high",
        "attempt": 2, "dueAt": DUE.isoformat(),
    }  # fmt: skip


async def test_a_later_failure_is_told_to_the_orchestration_that_waits_for_it() -> None:
    orchestrations = Recorder(alive=True)

    await continue_retries(_event(DeliveryStatus.RETRYING, 3), orchestrations, World().services)

    assert orchestrations.raised == [(f"{ID}:email", "attempt-3", {"status": "retrying", "dueAt": DUE.isoformat()})]
    assert orchestrations.started == []


async def test_a_later_failure_that_nobody_waits_for_starts_anew() -> None:
    orchestrations = Recorder(alive=False)

    await continue_retries(_event(DeliveryStatus.RETRYING, 3), orchestrations, World().services)

    assert [argument["attempt"] for _, argument in orchestrations.started] == [4]


@pytest.mark.parametrize("status", [DeliveryStatus.SENT, DeliveryStatus.FAILED, DeliveryStatus.IN_DOUBT])
async def test_an_end_is_told_and_starts_nothing(status: DeliveryStatus) -> None:
    alive, dead = Recorder(alive=True), Recorder(alive=False)

    await continue_retries(_event(status, 2), alive, World().services)
    await continue_retries(_event(status, 2), dead, World().services)

    assert [event for _, event, _ in alive.raised] == ["attempt-2"]
    assert alive.started == dead.started == []


async def test_a_repeated_event_starts_one_orchestration() -> None:
    orchestrations = FakeOrchestrations()

    for _ in range(3):
        await continue_retries(_event(DeliveryStatus.RETRYING), orchestrations, World().services)

    assert len(orchestrations.started) == 1


async def test_the_next_attempt_goes_to_its_channel_and_lane() -> None:
    world = World()
    orchestrations = Recorder(alive=False)
    await continue_retries(_event(DeliveryStatus.RETRYING), orchestrations, world.services)

    await requeue_delivery(orchestrations.started[0][1], world.services)

    [message] = world.publisher.published[SUBMITTED]
    chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()
    assert (message.properties["channel"], message.properties["lane"], message.due_at) == ("email", "high", None)
    assert (chunk.partition_key, chunk.items[0].tracking_id, chunk.items[0].attempt) == ("shop:beef", ID, 2)


async def test_the_next_attempt_knows_until_when_it_makes_sense() -> None:
    world = World()
    orchestrations = Recorder(alive=False)
    event = _event(DeliveryStatus.RETRYING)
    item = event.items[0].model_copy(update={"expires_at": DUE + timedelta(seconds=30)})
    await continue_retries(event.model_copy(update={"items": [item]}), orchestrations, world.services)

    await requeue_delivery(orchestrations.started[0][1], world.services)

    [message] = world.publisher.published[SUBMITTED]
    [queued] = NotificationSubmitted.model_validate_json(message.body).to_chunk().items
    assert queued.expires_at == DUE + timedelta(seconds=30)


async def test_without_the_broker_the_activity_fails_so_that_it_is_run_again() -> None:
    world = World()
    world.publisher.away = {"*"}
    orchestrations = Recorder(alive=False)
    await continue_retries(_event(DeliveryStatus.RETRYING), orchestrations, world.services)

    with pytest.raises(PublishFailed):
        await requeue_delivery(orchestrations.started[0][1], world.services)


def test_back_off_is_kept_between_attempts() -> None:
    async def scene() -> None:
        world = World()
        world.email.script = [Transient("x"), Transient("x"), Throttled("x", retry_after=timedelta(minutes=2))]
        await world.submit()

        await RealWorld(world, receipts=None).quiesce()

        claimed = [attempt.claimed_at for attempt in world.delivery().attempts]
        pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(claimed)]
        assert len(pauses) == 3
        assert 1 <= pauses[0] <= 1.3
        assert 2 <= pauses[1] <= 2.6
        assert 120 <= pauses[2] <= 130.1
        assert world.delivery().status is DeliveryStatus.SENT

    run_virtually(scene())
