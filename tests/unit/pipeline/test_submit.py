import asyncio
import json
from datetime import timedelta

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.errors import Conflict, InvalidSubmission, KeyReused, StoreUnavailable
from shared.domain.identifiers import is_tracking_id
from shared.domain.status import DeliveryStatus
from shared.pipeline.recover import sweep
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit import MAX_BODY_BYTES, SubmitRequest, submit
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.steps import Fault, FaultsAt
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import ADDRESS, CALLER, NoWaiter, World, a_batch, a_body, a_request


async def test_an_accepted_notification_is_stored_answered_and_published() -> None:
    world = World()

    done = await world.submit()

    [notification] = world.notifications
    answer = json.loads(done.answer)
    assert is_tracking_id(answer["trackingId"])
    assert answer["trackingId"] == done.tracking_id == notification.tracking_id
    assert answer["status"] == "accepted"
    assert answer["deliveries"] == [{"channel": "email", "status": "queued"}]
    assert answer["links"]["self"].endswith(done.tracking_id)
    assert len(world.publisher.published[SUBMITTED]) == 1


async def test_the_bus_carries_no_personal_data() -> None:
    world = World()

    await world.submit(a_request(data={"secret": "4711-secret"}))

    [message] = world.publisher.published[SUBMITTED]
    assert ADDRESS.encode() not in message.body
    assert b"4711-secret" not in message.body
    assert b"on its way" not in message.body


async def test_the_message_is_filtered_by_channel_and_lane_and_held_back_until_it_is_due() -> None:
    world = World()

    await world.submit(a_request(priority="high", sendAt="2026-11-24T13:00:00Z"))

    [message] = world.publisher.published[SUBMITTED]
    assert message.properties["channel"] == "email"
    assert message.properties["lane"] == "high"
    assert message.due_at == world.clock.now() + timedelta(hours=1)


async def test_the_same_key_and_body_replay_the_first_answer() -> None:
    world = World()
    first = await world.submit(a_request("order-1"))

    again = await world.submit(a_request("order-1"))

    assert (again.answer, again.replayed, first.replayed) == (first.answer, True, False)
    assert len(world.notifications) == 1
    assert len(world.publisher.published[SUBMITTED]) == 1


async def test_the_same_key_with_another_body_is_refused() -> None:
    world = World()
    await world.submit(a_request("order-1"))

    with pytest.raises(KeyReused):
        await world.submit(a_request("order-1", reference="another"))

    assert len(world.notifications) == 1


async def test_the_same_key_of_another_tenant_is_another_key() -> None:
    world = World()
    await world.submit(a_request("order-1"))
    other = type(CALLER)("bank", "bank", CALLER.roles)  # type: ignore[arg-type]

    done = await submit(a_request("order-1", reference="another"), other, world.services, NoWaiter())

    assert not done.replayed
    assert len(world.notifications) == 2


async def test_a_hundred_at_once_with_one_key_make_one_notification() -> None:
    world = World()

    done = await asyncio.gather(*(world.submit(a_request("order-1", priority="high")) for _ in range(100)))

    assert len(world.notifications) == 1
    assert len({each.answer for each in done}) == 1
    assert sum(not each.replayed for each in done) == 1


async def test_requests_without_a_key_are_different_requests() -> None:
    world = World()

    await world.submit()
    await world.submit()

    assert len(world.notifications) == 2


@pytest.mark.parametrize("key", [None, "order-1"])
async def test_a_commit_that_the_sdk_repeats_is_one_acceptance(key: str | None) -> None:
    world = World()
    real = world.services.notifications.commit

    class Repeating(type(world.services.notifications)):  # type: ignore[misc]
        async def commit(self, *arguments: object) -> None:
            await real(*arguments)  # the answer was lost on its way back; the SDK sends the same bytes again
            await real(*arguments)

    world.with_(notifications=Repeating(world.database, world.clock, world.keyring))
    done = await world.submit(a_request(key))

    assert not done.replayed
    assert [n.tracking_id for n in world.notifications] == [done.tracking_id]
    assert len(world.publisher.published[SUBMITTED]) == 1


async def test_without_the_store_nothing_is_accepted_and_nothing_published() -> None:
    world = World()
    world.database.away = True

    with pytest.raises(StoreUnavailable):
        await world.submit(a_request("order-1"))

    assert world.documents == {}
    assert world.publisher.published[SUBMITTED] == []


async def test_a_refused_commit_stores_neither_notification_nor_key() -> None:
    world = World()
    world.watch(FaultsAt({0: Fault.LOST_BEFORE}))
    with pytest.raises(StoreUnavailable):
        await world.submit(a_request("order-1"))
    assert world.documents == {}

    done = await world.submit(a_request("order-1", reference="another body"))

    assert not done.replayed


async def test_without_the_broker_it_is_accepted_and_swept_later() -> None:
    world = World()
    world.publisher.away = {"*"}

    done = await world.submit()
    assert world.publisher.published == {}

    world.publisher.away = set()
    world.clock.advance(59)
    assert await sweep(world.services) == 0
    world.clock.advance(2)
    assert await sweep(world.services) == 1
    [message] = world.publisher.published[SUBMITTED]
    [delivery] = NotificationSubmitted.model_validate_json(message.body).deliveries
    assert (delivery.tracking_id, delivery.attempt) == (done.tracking_id, 1)


def test_a_broker_that_hangs_does_not_hold_up_the_answer() -> None:
    class Hanging:
        async def publish(self, *_: object) -> None:
            await asyncio.sleep(3600)

    async def accept() -> float:
        world = World()
        world.with_(publisher=Hanging())
        await world.submit()
        return asyncio.get_running_loop().time()

    assert run_virtually(accept()) <= 2.01


async def test_a_request_that_waits_starts_waiting_before_it_is_published() -> None:
    world = World()
    waiter = NoWaiter(starts=True, settles=True)

    done = await submit(a_request(wait=5), CALLER, world.services, waiter)

    assert done.settled
    assert waiter.started == [done.tracking_id]
    assert world.notifications[0].awaited is True


@pytest.mark.parametrize(("starts", "settles"), [(False, True), (True, False)])
async def test_an_outcome_that_is_not_known_in_time_is_not_claimed(starts: bool, settles: bool) -> None:
    done = await submit(a_request(wait=5), CALLER, World().services, NoWaiter(starts=starts, settles=settles))

    assert not done.settled


async def test_a_request_that_does_not_wait_starts_no_waiting() -> None:
    waiter = NoWaiter(starts=True)

    await submit(a_request(), CALLER, World().services, waiter)

    assert waiter.started == []


@pytest.mark.parametrize("key", ["", "x" * 256, "bad\nkey", "ключ", "\x00"])
async def test_what_is_no_idempotency_key_is_refused(key: str) -> None:
    world = World()

    with pytest.raises(InvalidSubmission) as refused:
        await world.submit(SubmitRequest(json.dumps(a_body()).encode(), idempotency_key=key))

    assert refused.value.status == 400
    assert world.documents == {}


async def test_a_body_that_is_too_large_is_refused_unread() -> None:
    with pytest.raises(InvalidSubmission) as refused:
        await World().submit(SubmitRequest(b"{" + b" " * MAX_BODY_BYTES))

    assert refused.value.status == 413


async def test_a_key_that_a_batch_is_using_is_in_progress() -> None:
    world = World()
    world.watch(FaultsAt({1: Fault.CRASH_BEFORE}))
    with pytest.raises(BaseException, match="batch"):
        await submit_batch(a_batch([a_body(), a_body()], "k"), CALLER, world.services)
    world.restart()

    with pytest.raises(Conflict):
        await world.submit(a_request("k"))


async def test_the_first_state_is_what_the_answer_says() -> None:
    world = World()

    done = await world.submit(a_request(sendAt="2026-11-24T13:00:00Z"))

    assert json.loads(done.answer)["deliveries"] == [{"channel": "email", "status": "scheduled"}]
    assert world.delivery().status is DeliveryStatus.SCHEDULED
