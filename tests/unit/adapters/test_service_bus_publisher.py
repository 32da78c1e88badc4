"""The publisher over a Service Bus client that is none: what goes out together, and that nobody waits for ever."""

import asyncio
from typing import Any

import pytest
from azure.servicebus.exceptions import MessageSizeExceededError, ServiceBusError

from shared.adapters.service_bus_publisher import ServiceBusPublisher, ServiceBusSettings, _Outlet
from shared.contracts.events import BusMessage
from shared.domain.errors import PublishFailed
from tests.fakes.virtual_time import run_virtually


class Batch:
    def __init__(self, capacity: int) -> None:
        self.messages: list[Any] = []
        self._capacity = capacity

    def add_message(self, message: Any) -> None:
        if len(self.messages) >= self._capacity:
            raise MessageSizeExceededError(message="full")
        self.messages.append(message)


class Sender:
    def __init__(self, world: "Broker") -> None:
        self._world = world

    async def create_message_batch(self) -> Batch:
        return Batch(self._world.capacity)

    async def send_messages(self, messages: Any, timeout: float) -> None:
        self._world.sending += 1
        assert self._world.sending == 1, "a sender used by two at once loses messages"
        await asyncio.sleep(self._world.seconds)
        self._world.sending -= 1
        if self._world.failures:
            raise self._world.failures.pop(0)
        sent = messages.messages if isinstance(messages, Batch) else [messages]
        self._world.sends.append([str(message) for message in sent])

    async def close(self) -> None:
        self._world.closed += 1
        await asyncio.sleep(self._world.closing_seconds)


class Broker:
    """At the SDK's seam: a client whose senders take ``seconds`` and fail with ``failures`` first."""

    def __init__(self) -> None:
        self.seconds = 0.01
        self.closing_seconds = 0.0
        self.capacity = 1000
        self.failures: list[Exception] = []
        self.sends: list[list[str]] = []
        self.sending = 0
        self.closed = 0
        self.kinds: list[str] = []

    def get_topic_sender(self, name: str) -> Sender:
        self.kinds.append("topic")
        return Sender(self)

    def get_queue_sender(self, name: str) -> Sender:
        self.kinds.append("queue")
        return Sender(self)

    def outlet(self, entity: str = "notifications-status") -> _Outlet:
        return _Outlet(self, entity)  # type: ignore[arg-type]


def test_what_waits_while_one_is_sent_goes_out_together() -> None:
    async def scene() -> None:
        broker = Broker()
        outlet = broker.outlet()

        await asyncio.gather(*(outlet.send([f"m{n}"]) for n in range(50)))  # type: ignore[list-item]

        assert sum(map(len, broker.sends)) == 50
        assert len(broker.sends) <= 2

    run_virtually(scene())


def test_a_batch_holds_a_hundred_messages_and_a_parcel_is_not_torn() -> None:
    async def scene() -> None:
        broker = Broker()
        outlet = broker.outlet()

        await asyncio.gather(*(outlet.send([f"m{n}.{i}" for i in range(30)]) for n in range(10)))  # type: ignore[misc]

        assert sorted(len(sent) for sent in broker.sends) == [30, 90, 90, 90]

    run_virtually(scene())


def test_a_batch_that_is_full_by_size_is_followed_by_another() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.capacity = 3

        await broker.outlet().send([f"m{n}" for n in range(8)])  # type: ignore[misc]

        assert [len(sent) for sent in broker.sends] == [3, 3, 2]

    run_virtually(scene())


@pytest.mark.parametrize(
    "failure",
    [ServiceBusError("away"), OSError("reset"), TimeoutError(), AttributeError("inside the SDK"), KeyError("x")],
    ids=repr,
)
def test_whatever_goes_wrong_everybody_who_waits_is_told(failure: Exception) -> None:
    async def scene() -> None:
        broker = Broker()
        broker.failures = [failure]
        outlet = broker.outlet()

        done = await asyncio.gather(*(outlet.send([f"m{n}"]) for n in range(5)), return_exceptions=True)  # type: ignore[list-item]

        assert [type(each) for each in done] == [PublishFailed] * 5
        assert broker.closed == 1

    run_virtually(scene())


def test_after_a_failure_others_are_refused_at_once_for_a_second_and_then_served_by_a_new_sender() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.failures = [ServiceBusError("away")]
        outlet = broker.outlet()
        with pytest.raises(PublishFailed):
            await outlet.send(["a"])  # type: ignore[list-item]

        with pytest.raises(PublishFailed):
            await outlet.send(["b"])  # type: ignore[list-item]
        await asyncio.sleep(1.1)
        await outlet.send(["c"])  # type: ignore[list-item]

        assert broker.sends == [["c"]]
        assert len(broker.kinds) == 2

    run_virtually(scene())


def test_who_comes_while_a_broken_sender_is_closing_is_told_as_well() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.failures = [ServiceBusError("away")]
        broker.closing_seconds = 4
        outlet = broker.outlet()
        with pytest.raises(PublishFailed):
            await outlet.send(["a"])  # type: ignore[list-item]
        await asyncio.sleep(2)

        with pytest.raises(PublishFailed):
            await outlet.send(["b"])  # type: ignore[list-item]

    run_virtually(scene())


def test_closing_tells_everybody_who_waits() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.seconds = 100
        outlet = broker.outlet()
        waiting = [asyncio.create_task(outlet.send([name])) for name in "abc"]  # type: ignore[list-item]
        await asyncio.sleep(1)
        waiting.append(asyncio.create_task(outlet.send(["late"])))  # type: ignore[list-item]
        await asyncio.sleep(0)

        await outlet.close()

        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in done] == [PublishFailed] * 4

    run_virtually(scene())


def test_one_who_loses_patience_does_not_take_the_others_along() -> None:
    async def scene() -> None:
        broker = Broker()
        broker.seconds = 3
        outlet = broker.outlet()

        async def impatient() -> None:
            async with asyncio.timeout(1):
                await outlet.send(["a"])  # type: ignore[list-item]

        done = await asyncio.gather(impatient(), outlet.send(["b"]), return_exceptions=True)  # type: ignore[list-item]

        assert isinstance(done[0], TimeoutError)
        assert done[1] is None
        assert "b" in [message for sent in broker.sends for message in sent]

    run_virtually(scene())


@pytest.mark.parametrize(("entity", "kind"), [("notifications-submitted", "topic"), ("callbacks", "queue")])
def test_topics_and_queues_get_senders_of_their_kind(entity: str, kind: str) -> None:
    async def scene() -> None:
        broker = Broker()
        await broker.outlet(entity).send(["a"])  # type: ignore[list-item]
        assert broker.kinds == [kind]

    run_virtually(scene())


async def test_nothing_to_publish_connects_to_nothing() -> None:
    publisher = ServiceBusPublisher(ServiceBusSettings())

    await publisher.publish("callbacks", [])
    await publisher.close()


async def test_without_a_namespace_publishing_says_which_setting_is_missing() -> None:
    publisher = ServiceBusPublisher(ServiceBusSettings())

    with pytest.raises(ValueError, match="SERVICEBUS_CONNECTION"):
        await publisher.publish("callbacks", [BusMessage(b"{}", "m", {})])


def test_while_one_send_finds_out_whether_the_broker_is_back_others_are_refused_at_once() -> None:
    async def scene() -> list[float]:
        broker = Broker()
        broker.seconds = 2.0
        broker.failures = [ServiceBusError("away"), ServiceBusError("still away")]
        outlet = broker.outlet()
        waits = []

        async def send() -> None:
            started = asyncio.get_running_loop().time()
            with pytest.raises(PublishFailed):
                await outlet.send(["message"])  # type: ignore[list-item]
            waits.append(asyncio.get_running_loop().time() - started)

        await send()
        await asyncio.sleep(1.5)
        await asyncio.gather(*(send() for _ in range(50)))
        await asyncio.sleep(1.5)
        await outlet.send(["message"])  # type: ignore[list-item]
        await outlet.send(["message"])  # type: ignore[list-item]
        return waits

    waits = run_virtually(scene())

    assert sorted(waits)[-2:] == [2.0, 2.0]
    assert sorted(waits)[:49] == [0.0] * 49
