"""Delivers what a function gave to its output bindings (Service Bus; HTTP is the front end's)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from local_azure.functions_host.errors import InvocationFailed
from local_azure.functions_host.function_table import Binding, Function
from local_azure.functions_host.worker_pool import InvocationResult

if TYPE_CHECKING:
    from local_azure.functions_host.servicebus_output import MessageOutput


class OutputBindings:
    """All output bindings of the app."""

    def __init__(self, functions: list[Function], environment: Mapping[str, str]) -> None:
        self._by_function: dict[str, list[tuple[str, MessageOutput]]] = {}
        self._by_entity: dict[object, MessageOutput] = {}
        for function in functions:
            for binding in function.outputs:
                if binding.type == "serviceBus":
                    output = self._message_output(binding, environment)
                    self._by_function.setdefault(function.name, []).append((binding.name, output))

    def _message_output(self, binding: Binding, environment: Mapping[str, str]) -> MessageOutput:
        # Imported here: see listeners.py.
        from local_azure.functions_host.servicebus_connection import read_entity  # noqa: PLC0415
        from local_azure.functions_host.servicebus_output import MessageOutput  # noqa: PLC0415

        entity = read_entity(binding, environment)
        return self._by_entity.setdefault(entity, MessageOutput(entity))

    async def deliver(self, function: Function, result: InvocationResult) -> None:
        """Send the function's output messages.

        Raises:
            InvocationFailed: the broker did not take one; the invocation counts as failed.
        """
        outputs = self._by_function.get(function.name)
        if not outputs:
            return
        values = dict(result.outputs)
        if result.returned is not None:
            values["$return"] = result.returned
        for name, output in outputs:
            value = values.get(name)
            if value is not None:
                try:
                    await output.send(value[1])
                except Exception as error:
                    raise InvocationFailed(f"output binding {name}: {error!r}") from error

    async def close(self) -> None:
        for output in self._by_entity.values():
            await output.close()
