"""Queues as the unmodified SDK sees them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import AutoLockRenewer
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError, MessagingEntityNotFoundError

from local_azure.servicebus.testing import queue


async def test_a_message_arrives_with_everything_that_was_sent(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    sent = ServiceBusMessage(
        b"\x00body",
        application_properties={"text": "ä", "number": 5, "big": 1 << 30, "flag": True, "ratio": 0.5},
        message_id="m-1",
        correlation_id="c-1",
        subject="s",
        content_type="application/json",
        to="t",
        reply_to="r",
        partition_key="p",
        time_to_live=timedelta(minutes=5),
    )
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(sent)
        (got,) = await receive(receiver)
        assert got.locked_until_utc > datetime.now(UTC)
        await receiver.complete_message(got)

        assert b"".join(got.body) == b"\x00body"
        assert {key.decode(): value for key, value in got.application_properties.items()} == {
            "text": "ä".encode(),
            "number": 5,
            "big": 1 << 30,
            "flag": True,
            "ratio": 0.5,
        }
        assert (got.message_id, got.correlation_id, got.subject, got.content_type) == (
            "m-1",
            "c-1",
            "s",
            "application/json",
        )
        assert (got.to, got.reply_to, got.partition_key) == ("t", "r", "p")
        assert got.time_to_live == timedelta(minutes=5)
        assert got.delivery_count == 0
        assert got.sequence_number == 1
        assert abs(got.enqueued_time_utc - datetime.now(UTC)) < timedelta(seconds=5)


async def test_batch_keeps_order_and_completed_messages_stay_away(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    async with (
        client.get_queue_sender("q") as sender,
        client.get_queue_receiver("q", prefetch_count=50) as receiver,
    ):
        batch = await sender.create_message_batch()
        for number in range(100):
            batch.add_message(ServiceBusMessage(str(number)))
        await sender.send_messages(batch)
        got = await receive(receiver, 100)
        for message in got:
            await receiver.complete_message(message)

        assert [str(message) for message in got] == [str(number) for number in range(100)]
        assert await receiver.peek_messages(10, sequence_number=1) == []


async def test_abandoned_message_comes_back_first_and_ends_in_the_dead_letter_queue(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q", MaxDeliveryCount=3)]))
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages([ServiceBusMessage("one"), ServiceBusMessage("two")])
        counts = []
        for _ in range(3):
            (got,) = await receive(receiver)
            assert str(got) == "one"
            counts.append(got.delivery_count)
            await receiver.abandon_message(got)
        (other,) = await receive(receiver)

        assert counts == [0, 1, 2]
        assert str(other) == "two"
        async with client.get_queue_receiver("q", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            (got,) = await receive(dead)
            assert got.dead_letter_reason == "MaxDeliveryCountExceeded"
            assert got.sequence_number == 1
            await dead.complete_message(got)


async def test_dead_lettering_carries_reason_description_and_properties(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage("x", application_properties={"kept": 1 << 20}))
        (got,) = await receive(receiver)
        await receiver.dead_letter_message(got, reason="why", error_description="because")
        async with client.get_queue_receiver("q", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            (got,) = await receive(dead)

            assert (got.dead_letter_reason, got.dead_letter_error_description) == ("why", "because")
            assert got.application_properties[b"kept"] == 1 << 20
            # A dead-letter queue has no dead-letter queue: the message stays.
            await dead.dead_letter_message(got, reason="again")
            (again,) = await receive(dead)
            assert again.dead_letter_reason == "again"


async def test_deferred_message_is_only_had_by_its_number(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage("later"))
        (got,) = await receive(receiver)
        await receiver.defer_message(got)
        assert await receiver.receive_messages(max_wait_time=0.3) == []
        (peeked,) = await receiver.peek_messages(sequence_number=1)
        assert peeked.state.name == "DEFERRED"
        (deferred,) = await receiver.receive_deferred_messages(got.sequence_number)
        await receiver.complete_message(deferred)
        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages(got.sequence_number)


async def test_expired_lock_gives_the_message_to_another_receiver(emulate, connect, receive):
    emulator = await emulate(queues=[queue("q", LockDuration="PT30S")])
    client = connect(emulator)
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage("x"))
        (got,) = await receive(receiver)
        emulator.clock.advance(31)
        with pytest.raises(MessageLockLostError):
            await receiver.complete_message(got)
        async with client.get_queue_receiver("q") as other:
            (again,) = await receive(other)
            assert again.delivery_count == 1
            await other.complete_message(again)


async def test_renewed_lock_lasts(emulate, connect, receive):
    emulator = await emulate(queues=[queue("q", LockDuration="PT30S")])
    client = connect(emulator)
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage("x"))
        (got,) = await receive(receiver)
        emulator.clock.advance(20)
        await receiver.renew_message_lock(got)
        emulator.clock.advance(20)
        await receiver.complete_message(got)
        assert await receiver.peek_messages(sequence_number=1) == []


async def test_scheduled_messages_wait_for_their_time(emulate, connect, receive):
    emulator = await emulate(queues=[queue("q")])
    client = connect(emulator)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        annotated = ServiceBusMessage("annotated", scheduled_enqueue_time_utc=soon)
        await sender.send_messages(annotated)
        numbers = await sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("cancelled")], soon)
        assert [message.state.name for message in await receiver.peek_messages(5)] == ["SCHEDULED"] * 3
        await sender.cancel_scheduled_messages(numbers[1])
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(numbers[1])
        assert await receiver.receive_messages(max_wait_time=0.3) == []
        emulator.clock.advance(61)
        got = await receive(receiver, 2)

        assert [str(message) for message in got] == ["annotated", "kept"]
        assert min(message.sequence_number for message in got) > max(numbers)


async def test_duplicates_are_dropped_within_the_window(emulate, connect, receive):
    window = {"RequiresDuplicateDetection": True, "DuplicateDetectionHistoryTimeWindow": "PT1M"}
    emulator = await emulate(queues=[queue("q", **window)])
    client = connect(emulator)
    soon = datetime.now(UTC) + timedelta(hours=1)
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage("1", message_id="a"))
        await sender.send_messages([ServiceBusMessage("2", message_id="a"), ServiceBusMessage("3", message_id="b")])
        await sender.schedule_messages(ServiceBusMessage("4", message_id="b"), soon)
        assert [str(message) for message in await receiver.peek_messages(9, sequence_number=1)] == ["1", "3"]
        emulator.clock.advance(61)
        await sender.send_messages(ServiceBusMessage("5", message_id="a"))
        assert [str(message) for message in await receiver.peek_messages(9, sequence_number=1)] == ["1", "3", "5"]


async def test_expired_message_is_dead_lettered_or_dropped(emulate, connect, receive):
    emulator = await emulate(queues=[queue("kept", DeadLetteringOnMessageExpiration=True), queue("lost")])
    client = connect(emulator)
    for name in ("kept", "lost"):
        async with client.get_queue_sender(name) as sender:
            await sender.send_messages(ServiceBusMessage(name, time_to_live=timedelta(seconds=30)))
    emulator.clock.advance(31)
    for name, count in (("kept", 1), ("lost", 0)):
        async with client.get_queue_receiver(name) as receiver:
            assert await receiver.receive_messages(max_wait_time=0.2) == []
        async with client.get_queue_receiver(name, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            reasons = [message.dead_letter_reason for message in await dead.peek_messages(5)]
            assert reasons == ["TTLExpiredException"] * count


async def test_receive_and_delete_needs_no_settlement(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with (
        client.get_queue_sender("q") as sender,
        client.get_queue_receiver("q", receive_mode=mode) as receiver,
    ):
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(20)])
        assert len(await receive(receiver, 20)) == 20
        assert await receiver.peek_messages(sequence_number=1) == []


async def test_prefetched_messages_go_back_uncounted_when_the_receiver_closes(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    async with client.get_queue_sender("q") as sender:
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(10)])
    async with client.get_queue_receiver("q", prefetch_count=10) as receiver:
        (first,) = await receive(receiver)
        await receiver.complete_message(first)
    async with client.get_queue_receiver("q") as receiver:
        got = await receive(receiver, 9)
        assert [str(message) for message in got] == [str(number) for number in range(1, 10)]
        assert {message.delivery_count for message in got} == {0}


async def test_two_receivers_never_get_the_same_message(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    async with client.get_queue_sender("q") as sender:
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(60)])
    async with client.get_queue_receiver("q") as one, client.get_queue_receiver("q") as other:
        first = await receive(one, 30)
        second = await receive(other, 30)
        assert len({str(message) for message in first + second}) == 60


async def test_unknown_entity_is_reported(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    with pytest.raises(MessagingEntityNotFoundError):
        async with client.get_queue_sender("nowhere") as sender:
            await sender.send_messages(ServiceBusMessage("x"))
    with pytest.raises(MessagingEntityNotFoundError):
        async with client.get_queue_receiver("nowhere") as receiver:
            await receiver.receive_messages(max_wait_time=1)


async def test_settling_works_over_management_when_the_link_is_gone(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q")]))
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages([ServiceBusMessage(str(number)) for number in range(4)])
        got = await receive(receiver, 4)
        for message in got:
            message._is_deferred_message = True  # what makes the SDK settle by request
        await receiver.complete_message(got[0])
        await receiver.abandon_message(got[1])
        await receiver.dead_letter_message(got[2], reason="r")
        await receiver.defer_message(got[3])
        states = {str(message): message.state.name for message in await receiver.peek_messages(9, sequence_number=1)}
        assert states == {"1": "ACTIVE", "3": "DEFERRED"}


async def test_the_lock_renewer_of_the_sdk_keeps_a_lock(emulate, connect, receive):
    emulator = await emulate(queues=[queue("q", LockDuration="PT2S")])
    client = connect(emulator)
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage("x"))
        (got,) = await receive(receiver)
        first_end = got.locked_until_utc
        async with AutoLockRenewer() as renewer:
            renewer._sleep_time = 0.05  # it looks once a second, which is too late for so short a lock
            renewer.register(receiver, got, max_lock_renewal_duration=30)
            async with asyncio.timeout(5):
                while got.locked_until_utc <= first_end:  # noqa: ASYNC110 - polls what the renewer changes
                    await asyncio.sleep(0.02)
        await receiver.complete_message(got)


async def test_message_sent_on_keeps_no_marks_of_the_broker(emulate, connect, receive):
    client = connect(await emulate(queues=[queue("q"), queue("other")]))
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages([ServiceBusMessage("skipped"), ServiceBusMessage("x")])
        _, got = await receive(receiver, 2)
        async with client.get_queue_sender("other") as onward, client.get_queue_receiver("other") as reader:
            await onward.send_messages(got)
            (again,) = await receive(reader)
            assert (again.sequence_number, again.delivery_count, again.state.name) == (1, 0, "ACTIVE")


async def test_locks_that_run_out_use_up_the_deliveries(emulate, connect, receive):
    emulator = await emulate(queues=[queue("q", LockDuration="PT30S", MaxDeliveryCount=2)])
    client = connect(emulator)
    async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
        await sender.send_messages(ServiceBusMessage("x"))
        for count in range(2):
            (got,) = await receive(receiver)
            assert got.delivery_count == count
            emulator.clock.advance(31)
        async with client.get_queue_receiver("q", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead:
            (got,) = await dead.peek_messages()
            assert (got.dead_letter_reason, got.delivery_count) == ("MaxDeliveryCountExceeded", 2)


async def test_nothing_is_left_of_clients_that_came_and_went(emulate, connect, receive):
    emulator = await emulate(queues=[queue("q")])
    for _ in range(5):
        client = connect(emulator)
        async with client.get_queue_sender("q") as sender, client.get_queue_receiver("q") as receiver:
            await sender.send_messages(ServiceBusMessage("x"))
            (got,) = await receive(receiver)
            await receiver.complete_message(got)
    async with asyncio.timeout(5):
        while emulator.server.connections:  # noqa: ASYNC110 - polls the server
            await asyncio.sleep(0.01)
    backlog = emulator.server.broker.backlog("q")
    for left in (backlog.messages, backlog.locked, backlog._line, backlog._lock_ends, backlog._ready):
        assert not left
