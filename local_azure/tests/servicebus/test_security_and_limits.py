"""Who gets in, how large messages may be, and what the fault switches do, by the unmodified SDK."""

import asyncio
import time

import pytest
from azure.servicebus import ServiceBusClient as SyncClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus._pyamqp.utils import generate_sas_token
from azure.servicebus.exceptions import (
    MessageSizeExceededError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
    ServiceBusServerBusyError,
)

from local_azure.servicebus.cbs import TokenRefused, Verifier
from local_azure.servicebus.clock import Clock
from local_azure.servicebus.testing import queue

KEY = "dGhlIGtleSBvZiB0aGlzIHRlc3Q="
AUTH_ERRORS = (ServiceBusAuthenticationError, ServiceBusAuthorizationError)


async def _send(client, body="x"):
    async with client.get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage(body))


async def test_the_right_key_opens_and_a_wrong_one_does_not(emulate, connect):
    emulator = await emulate(queues=[queue("q")], sas_key=KEY)

    await _send(connect(emulator, key=KEY))
    with pytest.raises(AUTH_ERRORS):
        await _send(connect(emulator, key="d3Jvbmc="))


def _token(key, audience, expiry):
    return generate_sas_token(audience, "RootManageSharedAccessKey", key, expiry)


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (lambda: _token(KEY, "sb://h/q", int(time.time()) - 5), "expired"),
        (lambda: _token("d3Jvbmc=", "sb://h/q", int(time.time()) + 60), "not valid"),
        (lambda: _token(KEY, "sb://h/other", int(time.time()) + 60), "another entity"),
        (lambda: "SharedAccessSignature nonsense", "sr, sig, se"),
        (lambda: "", "empty"),
    ],
)
def test_tokens_that_are_refused(token, message):
    with pytest.raises(TokenRefused, match=message):
        Verifier(KEY, Clock()).expiry_ms(token(), "sb://127.0.0.1:5672/q")


def test_a_token_of_the_sdk_is_good_for_its_entity_and_below():
    token = _token(KEY, "sb://h/q", int(time.time()) + 60)

    assert Verifier(KEY, Clock()).expiry_ms(token, "sb://h/Q/$management") > time.time() * 1000


async def test_message_of_the_maximum_size_passes_and_a_larger_one_is_refused(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    await _send(client, b"x" * 262_000)
    with pytest.raises(MessageSizeExceededError):
        await _send(client, b"x" * 300_000)
    async with client.get_queue_receiver("q") as receiver:
        (got,) = await receive(receiver)
        assert len(b"".join(got.body)) == 262_000
        await receiver.complete_message(got)


async def test_batch_stops_at_the_limit_of_the_entity(emulate, connect):
    client = connect(await emulate(queues=[queue("q")]))
    async with client.get_queue_sender("q") as sender:
        batch = await sender.create_message_batch()
        assert batch.max_size_in_bytes == 262_144
        for _ in range(235):
            batch.add_message(ServiceBusMessage(b"x" * 1024))
        with pytest.raises(MessageSizeExceededError):
            batch.add_message(ServiceBusMessage(b"x" * 16_384))
        await sender.send_messages(batch)
        with pytest.raises(ValueError, match="size"):
            await sender.send_messages([ServiceBusMessage(b"x" * 200_000) for _ in range(2)])


async def test_busy_server_is_a_retryable_error_and_ends_after_its_count(emulate, connect, admin):
    emulator = await emulate(queues=[queue("q")])
    async with connect(emulator).get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage("before"))
        await admin(emulator, "POST", "/faults", {"kind": "server-busy", "count": 1})
        with pytest.raises(ServiceBusServerBusyError):
            await sender.send_messages(ServiceBusMessage("refused"))
        await sender.send_messages(ServiceBusMessage("after"))


async def test_dropped_connection_and_link_are_re_made_by_the_retries_of_the_sdk(emulate, connect, admin):
    emulator = await emulate(queues=[queue("q")])
    client = connect(emulator, retry_total=3, retry_backoff_factor=0.05)
    async with client.get_queue_sender("q") as sender:
        for kind in ("drop-connections", "drop-links"):
            await sender.send_messages(ServiceBusMessage(f"before {kind}"))
            await admin(emulator, "POST", "/faults", {"kind": kind})
            await sender.send_messages(ServiceBusMessage(f"after {kind}"))
    async with client.get_queue_receiver("q") as receiver:
        assert len(await receiver.peek_messages(10)) == 4


async def test_refused_connections_until_the_fault_is_lifted(emulate, connect, admin):
    emulator = await emulate(queues=[queue("q")])
    await admin(emulator, "POST", "/faults", {"kind": "refuse-connections"})
    with pytest.raises(ServiceBusError):
        await _send(connect(emulator))
    await admin(emulator, "DELETE", "/faults")
    await _send(connect(emulator))


async def test_delay_ends_with_its_duration(emulate, connect, admin):
    emulator = await emulate(queues=[queue("q")])
    async with connect(emulator).get_queue_sender("q") as sender:
        await sender.send_messages(ServiceBusMessage("x"))
        await admin(emulator, "POST", "/faults", {"kind": "delay", "delay_ms": 300, "duration_seconds": 60})
        began = time.perf_counter()
        await sender.send_messages(ServiceBusMessage("x"))
        assert time.perf_counter() - began >= 0.3
        emulator.clock.advance(61)
        began = time.perf_counter()
        await sender.send_messages(ServiceBusMessage("x"))
        assert time.perf_counter() - began < 0.3


async def test_admin_reports_health_depths_and_mistakes(emulate, connect, admin):
    emulator = await emulate(queues=[queue("q")])
    await _send(connect(emulator))

    assert (await admin(emulator, "GET", "/health"))["status"] == "ok"
    (entity,) = (await admin(emulator, "GET", "/entities.json"))["entities"]
    assert (entity["name"], entity["active"], entity["dead_letter"]) == ("q", 1, 0)
    assert entity["oldest_enqueued_at"]
    for body in ({"kind": "nonsense"}, {"kind": "delay"}, {"kind": "server-busy", "count": -1}, []):
        with pytest.raises(OSError, match="400"):
            await admin(emulator, "POST", "/faults", body)
    with pytest.raises(OSError, match="404"):
        await admin(emulator, "GET", "/nothing")
    assert "q" in await admin(emulator, "GET", "/")


async def test_clock_endpoint_ends_locks(emulate, connect, admin, receive):
    emulator = await emulate(queues=[queue("q")])
    client = connect(emulator)
    await _send(client)
    async with client.get_queue_receiver("q") as receiver:
        await receive(receiver)
    await admin(emulator, "POST", "/clock", {"advance_seconds": 61})
    (entity,) = (await admin(emulator, "GET", "/entities.json"))["entities"]
    assert (entity["locked"], entity["active"]) == (0, 1)


async def test_the_synchronous_client_works_too(emulate):
    emulator = await emulate(queues=[queue("q")])

    def drive():
        with SyncClient.from_connection_string(emulator.connection_string(), retry_total=0) as client:
            with client.get_queue_sender("q") as sender:
                sender.send_messages([ServiceBusMessage(str(number)) for number in range(10)])
            with client.get_queue_receiver("q", max_wait_time=2, prefetch_count=5) as receiver:
                texts = []
                for message in receiver:
                    texts.append(str(message))
                    receiver.complete_message(message)
                    if len(texts) == 10:
                        return texts
        return texts

    assert await asyncio.to_thread(drive) == [str(number) for number in range(10)]
