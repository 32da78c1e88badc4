"""Sessions as the unmodified SDK sees them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage
from azure.servicebus.exceptions import (
    OperationTimeoutError,
    ServiceBusError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from local_azure.servicebus.testing import queue


def _sessions(**properties):
    return [queue("s", RequiresSession=True, LockDuration="PT30S", **properties), queue("plain")]


async def _fill(client, *pairs):
    async with client.get_queue_sender("s") as sender:
        await sender.send_messages([ServiceBusMessage(text, session_id=session) for session, text in pairs])


async def test_a_session_gives_its_own_messages_in_order(emulate, connect, receive):
    client = connect(await emulate(queues=_sessions()))
    await _fill(client, ("a", "1"), ("b", "x"), ("a", "2"))
    async with client.get_queue_receiver("s", session_id="a") as receiver:
        got = await receive(receiver, 2)
        for message in got:
            await receiver.complete_message(message)

        assert [str(message) for message in got] == ["1", "2"]
        assert {message.session_id for message in got} == {"a"}
        assert receiver.session.locked_until_utc > datetime.now(UTC)


async def test_state_is_kept_with_the_session(emulate, connect, tmp_path):
    emulator = await emulate(queues=_sessions(), data=tmp_path)
    client = connect(emulator)
    await _fill(client, ("a", "1"))
    async with client.get_queue_receiver("s", session_id="a") as receiver:
        assert await receiver.session.get_state() is None
        await receiver.session.set_state(b"progress")
    async with client.get_queue_receiver("s", session_id="a") as receiver:
        assert await receiver.session.get_state() == b"progress"


async def test_next_available_session_waits_for_a_message(emulate, connect, receive):
    client = connect(await emulate(queues=_sessions()))
    waiting = client.get_queue_receiver("s", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5)
    opening = asyncio.create_task(waiting.__aenter__())
    await _fill(client, ("late", "1"))
    await asyncio.wait_for(opening, 5)
    async with waiting:
        (got,) = await receive(waiting)
        assert got.session_id == waiting.session.session_id == "late"


async def test_next_available_session_times_out(emulate, connect):
    client = connect(await emulate(queues=_sessions()))
    with pytest.raises(OperationTimeoutError):
        async with client.get_queue_receiver("s", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.5):
            pass


async def test_a_session_has_one_holder_until_it_closes(emulate, connect, receive):
    client = connect(await emulate(queues=_sessions()))
    await _fill(client, ("a", "1"))
    async with client.get_queue_receiver("s", session_id="a") as holder:
        await receive(holder)
        with pytest.raises(SessionCannotBeLockedError):
            async with client.get_queue_receiver("s", session_id="a"):
                pass
    async with client.get_queue_receiver("s", session_id="a") as receiver:
        (got,) = await receive(receiver)
        assert got.delivery_count == 0  # closing a session is no failed delivery


async def test_lock_expiry_hands_the_session_over(emulate, connect, receive):
    emulator = await emulate(queues=_sessions())
    client = connect(emulator)
    await _fill(client, ("a", "1"))
    async with client.get_queue_receiver("s", session_id="a") as receiver:
        (got,) = await receive(receiver)
        emulator.clock.advance(20)
        await receiver.session.renew_lock()
        emulator.clock.advance(20)
        assert await receiver.session.get_state() is None  # still held
        emulator.clock.advance(31)
        with pytest.raises((SessionLockLostError, ServiceBusError)):
            await receiver.complete_message(got)
        async with client.get_queue_receiver("s", session_id="a") as other:
            (again,) = await receive(other)
            assert again.delivery_count == 1
            await other.complete_message(again)


async def test_sending_without_a_session_or_receiving_without_one_is_refused(emulate, connect):
    client = connect(await emulate(queues=_sessions()))
    async with client.get_queue_sender("s") as sender:
        with pytest.raises(ServiceBusError, match="SessionId"):
            await sender.send_messages(ServiceBusMessage("x"))
    with pytest.raises(ServiceBusError):
        async with client.get_queue_receiver("s") as receiver:
            await receiver.receive_messages(max_wait_time=1)
    with pytest.raises(ServiceBusError):
        async with client.get_queue_receiver("plain", session_id="a"):
            pass


async def test_deferred_and_scheduled_messages_belong_to_their_session(emulate, connect, receive):
    emulator = await emulate(queues=_sessions())
    client = connect(emulator)
    await _fill(client, ("a", "1"))
    async with client.get_queue_sender("s") as sender:
        soon = datetime.now(UTC) + timedelta(seconds=10)
        await sender.schedule_messages(ServiceBusMessage("2", session_id="a"), soon)
    async with client.get_queue_receiver("s", session_id="a") as receiver:
        (got,) = await receive(receiver)
        await receiver.defer_message(got)
        (deferred,) = await receiver.receive_deferred_messages(got.sequence_number)
        await receiver.complete_message(deferred)
        emulator.clock.advance(11)
        (due,) = await receive(receiver)
        assert str(due) == "2"
        await receiver.dead_letter_message(due, reason="r")
    async with client.get_queue_receiver("s", sub_queue="deadletter") as dead:
        (got,) = await receive(dead)
        assert (str(got), got.session_id) == ("2", "a")


async def test_sessions_with_messages_or_new_state_are_listed(emulate, connect):
    emulator = await emulate(queues=_sessions())
    client = connect(emulator)
    await _fill(client, *((f"s{number:03}", "x") for number in range(130)))
    async with client.get_queue_receiver("s", session_id="idle") as receiver:
        await receiver.session.set_state(b"x")
    long_ago = datetime.now(UTC) - timedelta(days=1)

    with_messages = [name async for name in client.list_queue_sessions("s")]
    with_state = [name async for name in client.list_queue_sessions("s", state_updated_after=long_ago)]

    assert with_messages == [f"s{number:03}" for number in range(130)]
    assert with_state == ["idle"]
