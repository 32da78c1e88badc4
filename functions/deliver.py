"""Deliver: one function per channel and lane, each on its own subscription, all made by one factory.

One message is one chunk of up to 50 deliveries, so a message is the batch: the broker's batch trigger would run one
batch at a time and settle it as a whole, and a slow recipient would hold up the ones behind it (ADR 0012). A message
that can't be read is a dead letter at once.
"""

from collections.abc import Awaitable, Callable

import azure.functions as func

from shared.bootstrap import services
from shared.channels import CHANNELS
from shared.contracts.events import NotificationSubmitted
from shared.domain.notification import Lane
from shared.pipeline import shadow
from shared.pipeline.poison import read_or_bury
from shared.pipeline.services import SUBMITTED

blueprint = func.Blueprint()


def _delivery_function(channel: str, lane: Lane) -> Callable[[func.ServiceBusMessage], Awaitable[None]]:
    entity = f"{SUBMITTED}/{channel}-{lane.value}"

    async def deliver_chunk(message: func.ServiceBusMessage) -> None:
        event = await read_or_bury(NotificationSubmitted, message.get_body(), entity, services())
        if event:
            await shadow.deliver_as_decided(event.to_chunk(), services())

    deliver_chunk.__name__ = f"deliver_{channel}_{lane.value}"
    return deliver_chunk


for _channel in CHANNELS:
    for _lane in Lane:
        blueprint.function_name(f"deliver_{_channel}_{_lane.value}")(
            blueprint.service_bus_topic_trigger(
                arg_name="message",
                topic_name=SUBMITTED,
                subscription_name=f"{_channel}-{_lane.value}",
                connection="SERVICEBUS_CONNECTION",
            )(_delivery_function(_channel, _lane))
        )
