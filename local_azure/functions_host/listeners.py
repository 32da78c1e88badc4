"""The listeners of the non-HTTP triggers: how each kind is made, and how its function is run.

Takes a function, gives its listener. Each kind's module is imported when an app first uses it: the Azure SDKs take
half a second to load, which an app with HTTP triggers only does not have to wait for.
"""

import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from local_azure.functions_host.function_table import Function
from local_azure.functions_host.host_settings import HostOptions
from local_azure.functions_host.output_bindings import OutputBindings
from local_azure.functions_host.worker_pool import WorkerPool

RunText = Callable[[str, tuple[int, int]], Awaitable[None]]

_MODULES = {
    "serviceBusTrigger": "local_azure.functions_host.servicebus_trigger",
    "timerTrigger": "local_azure.functions_host.timer_trigger",
    "cosmosDBTrigger": "local_azure.functions_host.cosmos_trigger",
}


class Listener(Protocol):
    """What the host does with each listener."""

    claim: str  # what only one listener may use; empty for nothing

    def start(self) -> None: ...

    async def stop(self, drain_seconds: float) -> None: ...

    def describe(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Surroundings:
    """What a listener needs of its host."""

    pool: WorkerPool
    outputs: OutputBindings
    options: HostOptions
    environment: Mapping[str, str]
    data_folder: Path
    owner: str  # the name of this host, or of one instance of it; survives restarts
    slot: int | None = None  # the worker that runs the functions; None for any that serves them

    async def run(
        self, function: Function, kind: str, payload: tuple[Any, ...], retry: tuple[int, int] = (0, 0)
    ) -> None:
        """Run the function and deliver its outputs.

        Raises:
            InvocationFailed: it failed, or an output could not be delivered.
        """
        result = await self.pool.invoke(function, kind, payload, slot=self.slot, retry=retry)
        await self.outputs.deliver(function, result)

    def text_runner(self, function: Function) -> RunText:
        """Runs the function with a JSON text as its trigger's input."""
        name = function.trigger.name

        async def run_text(text: str, retry: tuple[int, int]) -> None:
            await self.run(function, "text", (name, "json", text), retry)

        return run_text


def has_listener(function: Function) -> bool:
    """Whether a listener can start it; also by hand, when it is disabled."""
    return function.trigger.type in _MODULES


def make_listener(function: Function, surroundings: Surroundings) -> Listener:
    """One listener of the function.

    Raises:
        SettingsInvalid: the binding cannot be used.
    """
    listener: Listener = importlib.import_module(_MODULES[function.trigger.type]).make_listener(function, surroundings)
    return listener


def listens_once(function: Function) -> bool:
    """Whether a single listener serves all instances: timers are singletons in Azure, too."""
    return function.trigger.type == "timerTrigger"


async def run_by_hand(function: Function, surroundings: Surroundings, text: str) -> None:
    """What ``POST /admin/functions/{name}`` does: run with ``text`` as the trigger's input.

    Raises:
        InvocationFailed: the function failed.
        ValueError: the text is not an input of this trigger.
    """
    await importlib.import_module(_MODULES[function.trigger.type]).run_by_hand(function, surroundings, text)
