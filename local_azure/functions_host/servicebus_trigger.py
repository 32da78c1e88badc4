"""Makes the listener of a Service Bus trigger from its binding and host.json."""

import logging
from typing import Any

from azure.servicebus import ServiceBusReceivedMessage

from local_azure.functions_host.function_table import Function
from local_azure.functions_host.listeners import Surroundings
from local_azure.functions_host.servicebus_backlog import PumpOptions
from local_azure.functions_host.servicebus_connection import read_entity
from local_azure.functions_host.servicebus_message import message_payload, messages_payload
from local_azure.functions_host.servicebus_pump import RunMessages, ServiceBusPump

_LOG = logging.getLogger("host.servicebus")


def make_listener(function: Function, surroundings: Surroundings) -> ServiceBusPump:
    """The pump of the function.

    Raises:
        SettingsInvalid: the binding cannot be used.
    """
    if function.retry is not None:
        _LOG.warning("%s: @app.retry is not honoured on Service Bus triggers (neither is it in Azure)", function.name)
    trigger, options = function.trigger, surroundings.options
    is_many = _is_many(function)
    auto_complete = trigger.fields.get("autoCompleteMessages", options.auto_complete_messages)
    pump_options = PumpOptions(
        max_concurrent=1 if is_many else options.max_concurrent_calls,
        max_batch=max(2, options.max_message_batch_size) if is_many else 1,
        min_batch=options.min_message_batch_size,
        max_batch_wait_seconds=options.max_batch_wait_seconds,
        auto_complete=str(auto_complete).lower() == "true",
        max_renewal_seconds=options.max_auto_lock_renewal_seconds,
    )
    entity = read_entity(trigger, surroundings.environment)
    return ServiceBusPump(function.name, entity, pump_options, _message_runner(function, surroundings))


def _is_many(function: Function) -> bool:
    return str(function.trigger.fields.get("cardinality", "ONE")).upper() == "MANY"


def _message_runner(function: Function, surroundings: Surroundings) -> RunMessages:
    name = function.trigger.name

    async def run_one(messages: list[ServiceBusReceivedMessage]) -> None:
        await surroundings.run(function, "message", message_payload(name, messages[0]))

    async def run_many(messages: list[ServiceBusReceivedMessage]) -> None:
        await surroundings.run(function, "messages", messages_payload(name, messages))

    return run_many if _is_many(function) else run_one


async def run_by_hand(function: Function, surroundings: Surroundings, text: str) -> None:
    """Run with a message whose body is the text."""
    name = function.trigger.name
    if _is_many(function):
        many: tuple[Any, ...] = (name, [text.encode()], {"MessageIdArray": ["manual"]}, [{}], "[{}]")
        await surroundings.run(function, "messages", many)
    else:
        none = ("json", "{}")
        fields = {"UserProperties": none, "ApplicationProperties": none, "MessageId": ("string", "manual")}
        await surroundings.run(function, "message", (name, text.encode(), fields))
