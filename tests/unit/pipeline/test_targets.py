"""Pushes to several devices: each is a call of its own, recorded on its own, and tried again on its own."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.domain.address import Devices
from shared.domain.capabilities import Capabilities
from shared.domain.chunk import Chunk
from shared.domain.errors import InDoubt, Rejected, Throttled, Transient
from shared.domain.notification import Delivery
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.notifications import read_status
from shared.pipeline.recover import sweep
from shared.pipeline.services import DEAD_LETTERS
from shared.pipeline.targets import send_to_targets
from shared.ports import Accepted, OutboundMessage
from tests.fakes.accepted_chunks import accept, attempt_of, told
from tests.fakes.fake_provider import Answer, FakeReceiptSource
from tests.fakes.world import CALLER, World

OK, BUSY = Accepted("m"), Transient("provider_unavailable")
GONE, LOST = Rejected("device_unregistered"), InDoubt("no_answer")


class DeviceProvider(FakeReceiptSource):
    """Answers each device from a script of its own, then accepts."""

    def __init__(self) -> None:
        super().__init__("push", "fake-push")
        self.by_token: dict[str, list[Answer]] = {}

    def _receive(self, message: OutboundMessage) -> Answer:
        self.ledger.append(message)
        script = self.by_token.get(tokens_of(message)[0], [])
        return script.pop(0) if script else OK


def tokens_of(message: OutboundMessage) -> list[str]:
    assert isinstance(message.address, Devices)
    return [token.token for token in message.address.tokens]


def a_world(provider: FakeReceiptSource | None = None, **scripts: Sequence[Answer]) -> tuple[World, FakeReceiptSource]:
    provider = provider or DeviceProvider()
    if isinstance(provider, DeviceProvider):
        provider.by_token = {token: list(answers) for token, answers in scripts.items()}
    world = World(providers={"push": provider})
    return world, provider


async def accept_push(world: World, *tokens: str, **fields: Any) -> Chunk:
    devices = [{"platform": "apns" if token.startswith("apns") else "fcm", "token": token} for token in tokens]
    return await accept(
        world,
        recipient={"deviceTokens": devices},
        channels=["push"],
        content={"push": {"title": "Your order", "body": "It is here."}},
        **fields,
    )


def results(delivery: Delivery) -> list[list[tuple[int, str]]]:
    return [[(result.number, result.outcome) for result in attempt.targets] for attempt in delivery.attempts]


async def test_every_device_is_called_once_under_a_name_of_its_own() -> None:
    world, provider = a_world()
    chunk = await accept_push(world, "a", "b", "a", "c")

    await deliver(chunk, world.services)

    assert sorted(tokens_of(message) for message in provider.ledger) == [["a"], ["b"], ["c"]]
    assert len(set(provider.attempt_ids)) == 3
    delivery = world.delivery("push")
    assert (delivery.status, delivery.reason) == (DeliveryStatus.SENT, None)
    assert results(delivery) == [[(0, "sent"), (1, "sent"), (2, "sent")]]
    assert told(world) == [("sent", 1)]


async def test_one_device_is_an_attempt_as_on_any_channel() -> None:
    world, provider = a_world()

    await deliver(await accept_push(world, "a"), world.services)

    assert provider.attempt_ids == [world.delivery("push").attempts[0].id]
    assert results(world.delivery("push")) == [[]]


async def test_only_the_devices_that_did_not_take_it_are_tried_again() -> None:
    world, provider = a_world(b=[BUSY, OK], c=[GONE], d=[LOST])
    chunk = await accept_push(world, "a", "b", "c", "d")

    await deliver(chunk, world.services)
    first = world.delivery("push")
    provider.ledger.clear()
    await deliver(attempt_of(chunk, 2), world.services)

    assert (first.status, first.reason) == (DeliveryStatus.RETRYING, "provider_unavailable")
    assert [tokens_of(message) for message in provider.ledger] == [["b"]]
    delivery = world.delivery("push")
    assert (delivery.status, delivery.reason) == (DeliveryStatus.SENT, "partly_sent")
    assert results(delivery) == [[(0, "sent"), (1, "transient"), (2, "rejected"), (3, "indoubt")], [(1, "sent")]]


async def test_giving_up_on_one_device_leaves_the_others_reached_and_no_dead_letter() -> None:
    world, _ = a_world(b=[BUSY] * 9)
    chunk = await accept_push(world, "a", "b")

    for number in range(1, 5):
        await deliver(attempt_of(chunk, number), world.services)

    delivery = world.delivery("push")
    assert (delivery.status, delivery.reason, delivery.wake_at) == (DeliveryStatus.SENT, "partly_sent", None)
    assert delivery.attempts[-1].outcome == "transient"
    assert world.publisher.take(DEAD_LETTERS) == []
    assert [status for status, _ in told(world)] == ["retrying"] * 3 + ["sent"]


async def test_giving_up_on_all_devices_is_a_failure_with_every_result_in_the_dead_letter_and_no_token() -> None:
    world, _ = a_world(alpha=[BUSY] * 9, beta=[GONE])
    chunk = await accept_push(world, "alpha", "beta")

    for number in range(1, 5):
        await deliver(attempt_of(chunk, number), world.services)

    assert world.delivery("push").status is DeliveryStatus.FAILED
    [letter] = world.publisher.take(DEAD_LETTERS)
    assert json.loads(letter.body)["attempts"][0]["targets"] == [
        {"number": 0, "outcome": "transient", "reason": "provider_unavailable"},
        {"number": 1, "outcome": "rejected", "reason": "device_unregistered"},
    ]
    assert b"alpha" not in letter.body


async def test_what_is_in_doubt_is_sent_again_to_those_alone_that_may_not_have_it() -> None:
    world, provider = a_world(a=[LOST], b=[BUSY], c=[GONE])
    chunk = await accept_push(world, "a", "b", "c")

    await deliver(chunk, world.services)
    in_doubt = world.delivery("push").status
    provider.ledger.clear()
    world.clock.advance(timedelta(minutes=2))
    await sweep(world.services)
    await deliver(attempt_of(chunk, 2), world.services)

    assert in_doubt is DeliveryStatus.IN_DOUBT
    assert sorted(tokens_of(message) for message in provider.ledger) == [["a"], ["b"]]
    assert world.delivery("push").status is DeliveryStatus.SENT


async def test_a_worker_lost_in_a_later_attempt_does_not_unsend_what_an_earlier_one_sent() -> None:
    world, _ = a_world(b=[BUSY])
    chunk = await accept_push(world, "a", "b", category="marketing")
    await deliver(chunk, world.services)
    item = attempt_of(chunk, 2).items
    await world.services.notifications.claim(
        chunk.partition_key, "push", item, claim_id="lost", wake_at=world.clock.now()
    )

    for _ in range(2):
        world.clock.advance(timedelta(minutes=2))
        await sweep(world.services)

    assert (world.delivery("push").status, world.delivery("push").reason) == (DeliveryStatus.SENT, "partly_sent")


async def test_a_delivery_that_expires_after_some_devices_took_it_is_sent() -> None:
    world, _ = a_world(b=[BUSY])
    expires_at = world.clock.now() + timedelta(minutes=1)
    chunk = await accept_push(world, "a", "b", expiresAt=expires_at.isoformat())
    await deliver(chunk, world.services)

    world.clock.advance(timedelta(minutes=2))
    await deliver(attempt_of(chunk, 2), world.services)

    assert world.delivery("push").status is DeliveryStatus.SENT


async def test_a_fault_of_ours_at_one_device_is_doubt_about_that_device() -> None:
    world, _ = a_world(b=[ValueError("bug")])

    await deliver(await accept_push(world, "a", "b"), world.services)

    assert results(world.delivery("push")) == [[(0, "sent"), (1, "indoubt")]]


async def test_each_call_takes_a_turn_of_its_own_and_missing_one_costs_no_attempt() -> None:
    world, provider = a_world()
    chunk = await accept_push(world, "a", "b", "c")

    class TwoTurns:
        left = 2

        async def turn(self) -> None:
            if self.left == 0:
                raise Throttled("own_limit", retry_after=timedelta(seconds=3))
            self.left -= 1

    message = OutboundMessage("shop.x.push.1", "push", Devices(()), None, "transactional")  # type: ignore[arg-type]
    await deliver(chunk, world.services)
    address = world.delivery("push").address
    provider.ledger.clear()
    answers = await send_to_targets(replace(message, address=address), provider, TwoTurns(), ())  # type: ignore[arg-type]

    assert len(provider.ledger) == 2
    assert [type(answer.error) for answer in answers] == [type(None), type(None), Throttled]


class ByPlatform(FakeReceiptSource):
    """Reaches all devices of a platform in one call."""

    def split(self, message: OutboundMessage) -> list[OutboundMessage]:
        assert isinstance(message.address, Devices)
        platforms = dict.fromkeys(token.platform for token in message.address.tokens)
        return [
            replace(
                message, address=Devices(tuple(each for each in message.address.tokens if each.platform == platform))
            )
            for platform in platforms
        ]


async def test_a_provider_that_reaches_several_in_one_call_is_called_so_and_answers_for_all_of_them() -> None:
    provider = ByPlatform("push", "fake-push")
    provider.script = [OK, BUSY]
    world, _ = a_world(provider)

    chunk = await accept_push(world, "a", "apns-1", "b", "apns-2")
    await deliver(chunk, world.services)
    await deliver(attempt_of(chunk, 2), world.services)

    apple = ["apns-1", "apns-2"]
    assert [tokens_of(message) for message in provider.ledger] == [["a", "b"], apple, apple]
    assert [name.partition(".push.")[2] for name in provider.attempt_ids] == ["1", "1~1", "2~1"]
    assert results(world.delivery("push"))[1] == [(1, "sent"), (3, "sent")]


async def test_a_device_the_provider_can_not_reach_is_left_to_another_without_a_call() -> None:
    world, provider = a_world()
    provider.capabilities = Capabilities(platforms=("fcm",))

    await deliver(await accept_push(world, "a", "apns-1"), world.services)

    assert [tokens_of(message) for message in provider.ledger] == [["a"]]
    assert results(world.delivery("push")) == [[(0, "sent"), (1, "notcarried")]]


async def test_the_consumer_sees_what_became_of_each_device() -> None:
    world, _ = a_world(b=[GONE])
    chunk = await accept_push(world, "a", "b")
    await deliver(chunk, world.services)

    view = await read_status(chunk.items[0].tracking_id, CALLER, world.services)

    seen = json.loads(view.to_json())["deliveries"][0]
    assert (seen["status"], seen["reason"]) == ("sent", "partly_sent")
    assert seen["attempts"][0]["targets"] == [
        {"number": 0, "outcome": "sent", "providerMessageId": "m"},
        {"number": 1, "outcome": "rejected", "reason": "device_unregistered"},
    ]
