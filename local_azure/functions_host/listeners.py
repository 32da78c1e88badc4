"""Builds the listener of each non-HTTP trigger and runs its function with what the listener hands over."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from azure.servicebus import ServiceBusReceivedMessage

from local_azure.functions_host.cosmos_listener import CosmosListener
from local_azure.functions_host.cosmos_source import read_trigger
from local_azure.functions_host.function_table import Function
from local_azure.functions_host.host_settings import HostOptions
from local_azure.functions_host.output_bindings import OutputBindings
from local_azure.functions_host.servicebus_backlog import PumpOptions
from local_azure.functions_host.servicebus_connection import read_entity
from local_azure.functions_host.servicebus_message import message_payload, messages_payload
from local_azure.functions_host.servicebus_pump import ServiceBusPump
from local_azure.functions_host.timer_listener import TimerListener, TimerMemory
from local_azure.functions_host.timer_schedule import TimerSchedule
from local_azure.functions_host.worker_pool import WorkerPool

_LOG = logging.getLogger("host.listeners")


class Listener(Protocol):
    """What the host does with each listener."""

    def start(self) -> None: ...

    async def stop(self, drain_seconds: float) -> None: ...

    def describe(self) -> dict[str, Any]: ...


class ListenerFactory:
    """Makes listeners for one app."""

    def __init__(
        self,
        *,
        pool: WorkerPool,
        outputs: OutputBindings,
        options: HostOptions,
        environment: Mapping[str, str],
        data_folder: Path,
        owner: str,
    ) -> None:
        self._pool = pool
        self._outputs = outputs
        self._options = options
        self._environment = environment
        self._data_folder = data_folder
        self._owner = owner

    def make(self, function: Function) -> Listener | None:
        """The listener of the function's trigger; None for HTTP and Durable triggers.

        Raises:
            SettingsInvalid: the binding cannot be used.
        """
        makers: dict[str, Callable[[Function], Listener]] = {
            "serviceBusTrigger": self._service_bus,
            "timerTrigger": self._timer,
            "cosmosDBTrigger": self._cosmos,
        }
        maker = makers.get(function.trigger.type)
        return None if maker is None else maker(function)

    def _service_bus(self, function: Function) -> Listener:
        trigger, options = function.trigger, self._options
        if function.retry is not None:
            _LOG.warning(
                "%s: @app.retry is not honoured on Service Bus triggers (neither is it in Azure)", function.name
            )
        is_many = str(trigger.fields.get("cardinality", "ONE")).upper() == "MANY"
        auto_complete = trigger.fields.get("autoCompleteMessages", options.auto_complete_messages)
        pump_options = PumpOptions(
            max_concurrent=1 if is_many else options.max_concurrent_calls,
            max_batch=max(2, options.max_message_batch_size) if is_many else 1,
            min_batch=options.min_message_batch_size,
            max_batch_wait_seconds=options.max_batch_wait_seconds,
            auto_complete=str(auto_complete).lower() == "true",
            max_renewal_seconds=options.max_auto_lock_renewal_seconds,
        )
        run = self._run_many(function) if is_many else self._run_one(function)
        return ServiceBusPump(function.name, read_entity(trigger, self._environment), pump_options, run)

    def _run_one(self, function: Function) -> Callable[[list[ServiceBusReceivedMessage]], Awaitable[None]]:
        name = function.trigger.name

        async def run(messages: list[ServiceBusReceivedMessage]) -> None:
            payload = message_payload(name, messages[0])
            result = await self._pool.invoke(function, "message", payload)
            await self._outputs.deliver(function, result)

        return run

    def _run_many(self, function: Function) -> Callable[[list[ServiceBusReceivedMessage]], Awaitable[None]]:
        name = function.trigger.name

        async def run(messages: list[ServiceBusReceivedMessage]) -> None:
            result = await self._pool.invoke(function, "messages", messages_payload(name, messages))
            await self._outputs.deliver(function, result)

        return run

    def _run_text(self, function: Function) -> Callable[[str, tuple[int, int]], Awaitable[None]]:
        name = function.trigger.name

        async def run(text: str, retry: tuple[int, int]) -> None:
            result = await self._pool.invoke(function, "text", (name, "json", text), retry=retry)
            await self._outputs.deliver(function, result)

        return run

    def _timer(self, function: Function) -> Listener:
        trigger = function.trigger
        schedule = TimerSchedule(
            trigger.text("schedule", self._environment), self._environment.get("WEBSITE_TIME_ZONE", "UTC")
        )
        return TimerListener(
            function.name,
            schedule,
            TimerMemory.load(self._data_folder / "timers" / f"{function.name}.json"),
            self._run_text(function),
            run_on_startup=trigger.flag("runOnStartup"),
            use_monitor="useMonitor" not in trigger.fields or trigger.flag("useMonitor"),
            retry=function.retry,
        )

    def _cosmos(self, function: Function) -> Listener:
        return CosmosListener(
            function.name,
            read_trigger(function.trigger, self._environment),
            self._run_text(function),
            owner=self._owner,
            retry=function.retry,
        )

    async def run_by_hand(self, function: Function, text: str) -> None:
        """What ``POST /admin/functions/{name}`` does: run with ``text`` as the trigger's input.

        Raises:
            InvocationFailed: the function failed.
        """
        name, kind = function.trigger.name, function.trigger.type
        if kind == "serviceBusTrigger":
            is_many = str(function.trigger.fields.get("cardinality", "ONE")).upper() == "MANY"
            empty = ("json", "{}")
            fields = {"UserProperties": empty, "ApplicationProperties": empty, "MessageId": ("string", "manual")}
            body = text.encode()
            payload = (name, [body], {"MessageIdArray": ["manual"]}, [{}], "[{}]") if is_many else (name, body, fields)
            result = await self._pool.invoke(function, "messages" if is_many else "message", payload)
            await self._outputs.deliver(function, result)
        elif kind == "timerTrigger":
            timer = self._timer(function)
            assert isinstance(timer, TimerListener)  # noqa: S101 - made one line above
            await self._run_text(function)(timer.request(), (0, 0))
        else:
            json.loads(text or "[]")  # a clear error for the caller instead of the converter's
            await self._run_text(function)(text or "[]", (0, 0))
