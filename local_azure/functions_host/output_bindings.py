"""Delivers what a function gave to its output bindings (Service Bus, Cosmos DB; HTTP is the front end's)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from local_azure.functions_host.errors import InvocationFailed
from local_azure.functions_host.function_table import Binding, Function
from local_azure.functions_host.worker_pool import InvocationResult


class Output(Protocol):
    """One entity or container that functions write to."""

    async def send(self, value: str | bytes) -> None: ...

    async def close(self) -> None: ...


class OutputBindings:
    """All output bindings of the app."""

    def __init__(self, functions: list[Function], environment: Mapping[str, str]) -> None:
        self._by_function: dict[str, list[tuple[str, Output]]] = {}
        self._by_place: dict[object, Output] = {}
        for function in functions:
            for binding in function.outputs:
                if binding.type != "http":
                    make = self._document_output if binding.type == "cosmosDB" else self._message_output
                    self._by_function.setdefault(function.name, []).append((binding.name, make(binding, environment)))

    def _message_output(self, binding: Binding, environment: Mapping[str, str]) -> Output:
        # Imported here: see listeners.py.
        from local_azure.functions_host.servicebus_connection import read_entity  # noqa: PLC0415
        from local_azure.functions_host.servicebus_output import MessageOutput  # noqa: PLC0415

        entity = read_entity(binding, environment)
        return self._by_place.setdefault(entity, MessageOutput(entity))

    def _document_output(self, binding: Binding, environment: Mapping[str, str]) -> Output:
        from local_azure.functions_host.cosmos_output import DocumentOutput, read_target  # noqa: PLC0415 - see above

        target = read_target(binding, environment)
        return self._by_place.setdefault(target, DocumentOutput(target))

    async def deliver(self, function: Function, result: InvocationResult) -> None:
        """Send the function's messages and documents.

        Raises:
            InvocationFailed: one was not taken; the invocation counts as failed.
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
        for output in self._by_place.values():
            await output.close()
