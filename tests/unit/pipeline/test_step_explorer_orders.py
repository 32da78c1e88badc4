"""Two workers on one message, in every order of their effects; with a sweeper or a receipt that comes early too."""

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from shared.contracts.events import BusMessage, NotificationSubmitted
from shared.domain.errors import NotFound, Transient
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.status import DeliveryStatus, is_outcome
from shared.pipeline.deliver import deliver
from shared.pipeline.receipts import receive_receipts
from shared.pipeline.recover import sweep
from shared.pipeline.services import STATUS, SUBMITTED
from shared.ports import ReceiptRequest
from tests.fakes.real_world import RealWorld
from tests.fakes.turn_taking import TurnTaking, every_order
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import World, a_request

Worker = Callable[[], Coroutine[Any, Any, Any]]


class Scene:
    """One accepted notification whose message two workers got hold of."""

    def __init__(self, choices: Sequence[int]) -> None:
        self.world = World()
        self.turns = TurnTaking(choices)
        self.around = RealWorld(self.world)

    async def accept(self, **fields: Any) -> BusMessage:
        await self.world.submit(a_request("order-1", **fields))
        self.world.watch(self.turns)
        [message] = self.world.publisher.take(SUBMITTED)
        return message

    def delivers(self, message: BusMessage) -> Worker:
        chunk = NotificationSubmitted.model_validate_json(message.body).to_chunk()
        services = self.world.fresh_process()
        return lambda: deliver(chunk, services)

    def sweeps_late(self) -> Worker:
        async def sweep_late() -> None:
            async with self.turns.around("the claim grows old"):
                self.world.clock.advance(60)
            await sweep(self.world.services)

        return sweep_late

    def hears_early(self) -> Worker:
        async def receive() -> None:
            async with self.turns.around("a receipt"):
                email = self.world.email
                email.receipts = [
                    Receipt(each, ReceiptKind.DELIVERED, self.world.clock.now(), "ok") for each in email.attempt_ids
                ]
            await receive_receipts(email.name, ReceiptRequest("/", {}, {}, b""), self.world.services)
            for message in self.world.publisher.take(STATUS):
                await self.around.hear(message)

        return receive

    def check(self, ends: DeliveryStatus, *, calls: int | None = None) -> None:
        [notification] = self.world.notifications
        delivery = notification.deliveries["email"]
        attempts = Counter(self.world.email.attempt_ids)
        told = Counter((entry.status, entry.attempt) for entry in notification.history)
        assert set(attempts.values()) == {1}, self.turns.names
        assert calls is None or len(attempts) == calls, self.turns.names
        assert len(attempts) == 1 or delivery.was_in_doubt or calls, self.turns.names
        assert is_outcome(delivery.status), self.turns.names
        assert (delivery.status, delivery.wake_at) == (ends, None), self.turns.names
        assert max(told.values()) == 1, (told, self.turns.names)


def test_two_workers_on_one_message_make_one_call_in_every_order() -> None:
    async def one_order(choices: Sequence[int]) -> list[int]:
        scene = Scene(choices)
        message = await scene.accept()
        await scene.turns.conduct({"a": scene.delivers(message), "b": scene.delivers(message)})
        await scene.around.quiesce()
        scene.check(DeliveryStatus.DELIVERED, calls=1)
        return scene.turns.options

    orders = list(every_order(lambda choices: run_virtually(one_order(choices))))

    assert len(orders) >= 20


def test_two_workers_on_one_message_that_fails_for_now_make_two_attempts_in_every_order() -> None:
    async def one_order(choices: Sequence[int]) -> list[int]:
        scene = Scene(choices)
        scene.world.email.script = [Transient("http_503")]
        message = await scene.accept()
        await scene.turns.conduct({"a": scene.delivers(message), "b": scene.delivers(message)})
        await scene.around.quiesce()
        scene.check(DeliveryStatus.DELIVERED, calls=2)
        return scene.turns.options

    assert len(list(every_order(lambda choices: run_virtually(one_order(choices))))) >= 20


@pytest.mark.parametrize("category", ["security", "marketing"])
def test_a_worker_slower_than_the_sweepers_patience_is_heard_in_every_order(category: str) -> None:
    async def one_order(choices: Sequence[int]) -> list[int]:
        scene = Scene(choices)
        scene.around.receipts = None
        message = await scene.accept(category=category)
        await scene.turns.conduct({"slow": scene.delivers(message), "sweeper": scene.sweeps_late()})
        await scene.around.quiesce()
        scene.check(DeliveryStatus.SENT, calls=1)
        return scene.turns.options

    assert len(list(every_order(lambda choices: run_virtually(one_order(choices))))) >= 10


def test_a_receipt_that_overtakes_the_answer_ends_the_same_in_every_order() -> None:
    async def one_order(choices: Sequence[int]) -> list[int]:
        scene = Scene(choices)
        message = await scene.accept()
        await scene.turns.conduct({"worker": scene.delivers(message), "provider": scene.hears_early()})
        await scene.around.quiesce()
        scene.check(DeliveryStatus.DELIVERED, calls=1)
        return scene.turns.options

    assert len(list(every_order(lambda choices: run_virtually(one_order(choices))))) >= 5


def test_two_sweepers_move_a_delivery_once_in_every_order() -> None:
    async def one_order(choices: Sequence[int]) -> list[int]:
        scene = Scene(choices)
        await scene.accept()
        scene.world.clock.advance(61)
        await scene.turns.conduct({"a": lambda: sweep(scene.world.services), "b": lambda: sweep(scene.world.services)})
        await scene.around.quiesce()
        scene.check(DeliveryStatus.DELIVERED, calls=1)
        assert scene.world.delivery().sweeps == 1
        return scene.turns.options

    assert len(list(every_order(lambda choices: run_virtually(one_order(choices))))) >= 10


def test_a_receipt_about_nothing_known_comes_back() -> None:
    async def scene() -> None:
        world = World()
        await world.submit()
        [notification] = world.notifications
        world.documents.clear()
        world.email.receipts = [
            Receipt(f"shop.{notification.tracking_id}.email.1", ReceiptKind.SENT, world.clock.now(), "ok")
        ]
        await receive_receipts(world.email.name, ReceiptRequest("/", {}, {}, b""), world.services)
        around = RealWorld(world)
        [message] = world.publisher.take(STATUS)
        with pytest.raises(NotFound):
            await around.record(message)

    run_virtually(scene())
