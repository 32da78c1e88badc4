"""The campaign's own way onto the bus, with the unmodified SDK: captures what is submitted, publishes it again."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient

_TOPIC = "notifications-submitted"
_SENDERS = 3


@dataclass(frozen=True)
class Captured:
    """A message as it can be published again."""

    body: bytes
    message_id: str
    properties: Mapping[str, object]

    def renamed(self, message_id: str) -> "Captured":
        return replace(self, message_id=message_id)


async def capture(connection: str, *, seconds: float, subscription: str = "capture") -> list[Captured]:
    """What the capturing subscription got, until nothing new comes."""
    found: list[Captured] = []
    deadline = time.monotonic() + seconds
    async with (
        ServiceBusClient.from_connection_string(connection) as client,
        client.get_subscription_receiver(_TOPIC, subscription) as receiver,
    ):
        while time.monotonic() < deadline:
            messages = await receiver.receive_messages(max_message_count=100, max_wait_time=1)
            if not messages and found:
                break
            for message in messages:
                found.append(_captured(message))
                await receiver.complete_message(message)
    return found


def _captured(message: ServiceBusReceivedMessage) -> Captured:
    properties = {_text(name): _text(value) for name, value in (message.application_properties or {}).items()}
    return Captured(b"".join(message.body), str(message.message_id), properties)


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


async def publish(connection: str, messages: Sequence[Captured]) -> None:
    """All of them are on the topic, sent by several senders at once."""
    async with ServiceBusClient.from_connection_string(connection) as client:

        async def send(part: Sequence[Captured]) -> None:
            async with client.get_topic_sender(_TOPIC) as sender:
                for message in part:
                    await sender.send_messages(_outgoing(message))

        await asyncio.gather(*(send(messages[start::_SENDERS]) for start in range(_SENDERS)))


def _outgoing(message: Captured) -> ServiceBusMessage:
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        content_type="application/json",
        application_properties=dict(message.properties),
    )
