"""Service Bus triggers and outputs against the emulator, with the real SDK on both sides."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local_azure.tests.functions_host.conftest import connection_string
from local_azure.tests.functions_host.part_process import HostProcess, wait_until


@pytest.fixture(scope="module")
def broker(start_broker):
    return start_broker()


@pytest.fixture(scope="module")
def host(start_host, broker) -> HostProcess:
    return start_host("bus_app", BUS=broker.connection_string, ORDERS_QUEUE="orders")


@pytest.fixture
async def client(broker) -> AsyncIterator[ServiceBusClient]:
    async with ServiceBusClient.from_connection_string(broker.connection_string) as opened:
        yield opened


async def send(client: ServiceBusClient, entity: str, *messages: ServiceBusMessage) -> None:
    is_topic = entity == "events"
    async with client.get_topic_sender(entity) if is_topic else client.get_queue_sender(entity) as sender:
        await sender.send_messages(list(messages))


def seen(host: HostProcess, function: str, **fields: Any) -> list[dict[str, Any]]:
    return [
        record
        for record in host.records()
        if record["function"] == function and all(record.get(name) == value for name, value in fields.items())
    ]


async def dead_letter(client: ServiceBusClient, queue: str, subscription: str | None = None) -> str:
    """The next dead letter, taken."""
    receiver = (
        client.get_queue_receiver(queue, sub_queue="deadletter")
        if subscription is None
        else client.get_subscription_receiver(queue, subscription, sub_queue="deadletter")
    )
    async with receiver:
        [message] = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.complete_message(message)
        return str(message)


async def test_the_function_sees_the_message_as_azure_shows_it(host, client):
    message = ServiceBusMessage(
        "typed",
        message_id="m-1",
        subject="greeting",
        correlation_id="c-1",
        content_type="text/plain",
        application_properties={"number": 7, "text": "ä", "yes": True, "half": 0.5},
    )

    await send(client, "orders", message)
    [record] = await wait_until(lambda: seen(host, "order", body="typed"))

    assert record["message_id"] == "m-1"
    assert record["subject"] == "greeting"
    assert record["correlation_id"] == "c-1"
    assert record["content_type"] == "text/plain"
    assert record["properties"] == {"number": 7, "text": "ä", "yes": True, "half": 0.5}
    assert record["delivery_count"] == 1, "as the .NET client of Azure's host counts"
    assert record["sequence_number"] > 0
    assert abs(record["at"] - record["enqueued"]) < 5


async def test_an_idle_function_runs_within_milliseconds(host, client):
    async with client.get_queue_sender("orders") as sender:
        await sender.send_messages(ServiceBusMessage("warm up"))
        await wait_until(lambda: seen(host, "order", body="warm up"))
        for number in range(10):
            await sender.send_messages(ServiceBusMessage(f"quick {number}"))
            await wait_until(lambda number=number: seen(host, "order", body=f"quick {number}"))

    ages = sorted(record["at"] - record["enqueued"] for record in host.records() if "quick" in str(record.get("body")))
    assert ages[len(ages) // 2] < 0.01, ages


async def test_a_failing_message_comes_again_at_once_and_is_dead_lettered(host, client):
    await send(client, "orders", ServiceBusMessage("fail always"), ServiceBusMessage("beside it"))

    await wait_until(lambda: len(seen(host, "order", body="fail always")) == 3)
    await wait_until(lambda: seen(host, "order", body="beside it"))

    assert [record["delivery_count"] for record in seen(host, "order", body="fail always")] == [1, 2, 3]
    assert await dead_letter(client, "orders") == "fail always"


async def test_a_lock_is_renewed_while_the_function_runs(host, client):
    await send(client, "long", ServiceBusMessage("2.6"))

    await wait_until(lambda: seen(host, "long", body="2.6", state="ended"))

    assert len(seen(host, "long", body="2.6", state="started")) == 1, "the lock lasts 2 s: not redelivered"


async def test_messages_run_concurrently_up_to_the_limit(host, client):
    await send(client, "long", *(ServiceBusMessage("0.5") for _ in range(12)))

    await wait_until(lambda: len(seen(host, "long", body="0.5", state="ended")) == 12)

    running, most = 0, 0
    for record in seen(host, "long", body="0.5"):
        running += 1 if record["state"] == "started" else -1
        most = max(most, running)
    assert most == 8


async def test_a_batch_is_one_invocation_with_each_messages_properties(host, client):
    messages = [ServiceBusMessage(f"event {n}", application_properties={"n": n}) for n in range(50)]

    await send(client, "events", *messages)
    await wait_until(lambda: sum(len(record["bodies"]) for record in seen(host, "audit")) >= 50)

    batches = seen(host, "audit")
    assert len(batches) < 20
    assert max(len(record["bodies"]) for record in batches) <= 20
    pairs = [pair for record in batches for pair in zip(record["bodies"], record["properties"], strict=True)]
    assert sorted(pairs, key=str) == sorted(((f"event {n}", {"n": n}) for n in range(50)), key=str)


async def test_a_failing_batch_comes_again_as_a_whole_and_retry_is_not_honoured(host, client):
    await send(client, "events", ServiceBusMessage("poison"))

    await wait_until(lambda: sum("poison" in record["bodies"] for record in seen(host, "audit")) == 3)

    assert "@app.retry is not honoured on Service Bus triggers" in host.log()
    assert await dead_letter(client, "events", "audit") == "poison"


async def test_outputs_go_to_the_queue_and_the_topic(host, client):
    async with aiohttp.ClientSession() as web, web.post(f"{host.url}/api/send", data=b"by output") as answer:
        assert (answer.status, await answer.text()) == (200, "sent")

    await wait_until(lambda: [record for record in seen(host, "audit") if "by output" in record["bodies"]])
    async with client.get_queue_receiver("outbox") as receiver:
        [message, *_] = await receiver.receive_messages(1, max_wait_time=5)
    assert str(message).startswith("audited ")


async def test_messages_of_a_dying_worker_come_again(start_host, start_broker):
    broker = start_broker()
    host = start_host("bus_app", BUS=broker.connection_string, ORDERS_QUEUE="orders")
    async with ServiceBusClient.from_connection_string(broker.connection_string) as client:
        await send(client, "orders", ServiceBusMessage("exit"))

        await wait_until(lambda: len(seen(host, "order", body="exit")) == 3, 20)
        await send(client, "orders", ServiceBusMessage("after"))
        await wait_until(lambda: seen(host, "order", body="after"))

        assert len({record["pid"] for record in seen(host, "order")}) >= 3
        assert "worker 0 ended" in str(host.metrics()["failures"])


async def test_the_host_waits_for_the_broker_and_survives_its_death(start_host, start_broker, free_port, tmp_path):
    port = free_port()
    host = start_host("bus_app", BUS=connection_string(port), ORDERS_QUEUE="orders")
    await wait_until(lambda: "order: orders is away" in host.log())

    first = start_broker(tmp_path, port)
    await wait_until(lambda: "order: listening on orders" in host.log())
    async with ServiceBusClient.from_connection_string(connection_string(port)) as client:
        await send(client, "orders", ServiceBusMessage("before"))
        await send(client, "long", ServiceBusMessage("1.5"))
        await wait_until(lambda: seen(host, "order", body="before") and seen(host, "long", state="started"))
    first.kill()
    await wait_until(lambda: host.log().count("order: orders is away") == 2)
    start_broker(tmp_path, port)
    async with ServiceBusClient.from_connection_string(connection_string(port)) as client:
        await send(client, "orders", ServiceBusMessage("after"))
        await wait_until(lambda: seen(host, "order", body="after"))
        await wait_until(lambda: seen(host, "long", state="ended"))

        assert len(seen(host, "order", body="before")) == 1
        code = await asyncio.to_thread(host.stop)
        assert code == 0


async def test_draining_finishes_what_runs_and_leaves_the_rest_to_others(start_host, start_broker):
    broker = start_broker()
    host = start_host("bus_app", BUS=broker.connection_string, ORDERS_QUEUE="orders")
    async with ServiceBusClient.from_connection_string(broker.connection_string) as client:
        await send(client, "long", *(ServiceBusMessage("1") for _ in range(20)))
        await wait_until(lambda: len(seen(host, "long", state="started")) == 8)

        code = await asyncio.to_thread(host.stop)
        ended = len(seen(host, "long", state="ended"))
        left = 0
        async with client.get_queue_receiver("long") as receiver:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(8):
                    while ended + left < 20:
                        left += len(await receiver.receive_messages(20, max_wait_time=1))

    assert code == 0
    assert ended == len(seen(host, "long", state="started")) == 8
    assert left == 12, "not lost, and not locked any more"
