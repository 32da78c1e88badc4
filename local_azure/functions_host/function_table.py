"""The app's functions as the host sees them: triggers, bindings, retry policies.

Takes the metadata that a worker reports after indexing, gives ``Function`` records; the listeners and the HTTP front
end read nothing else about the app.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.host_overrides import is_switched_off
from local_azure.functions_host.host_settings import resolve_expressions

DURABLE_TRIGGERS = ("orchestrationTrigger", "activityTrigger", "entityTrigger")
TRIGGERS = ("httpTrigger", "serviceBusTrigger", "timerTrigger", "cosmosDBTrigger", *DURABLE_TRIGGERS)
OUTPUTS = ("http", "serviceBus", "cosmosDB")
HTTP_GROUP, DURABLE_GROUP = "http", "durable"


@dataclass(frozen=True)
class Binding:
    """One binding, as the app's decorators wrote it."""

    type: str
    name: str
    direction: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def text(self, key: str, environment: Mapping[str, str], default: str = "") -> str:
        """The field as text with ``%NAME%`` resolved."""
        value = self.fields.get(key)
        return default if value is None else resolve_expressions(str(value), environment)

    def number(self, key: str, default: int) -> int:
        value = self.fields.get(key)
        return default if value is None else int(value)

    def flag(self, key: str) -> bool:
        return str(self.fields.get(key, False)).lower() == "true"


@dataclass(frozen=True)
class RetryPolicy:
    """``@app.retry``; ``max_retry_count`` -1 is for ever."""

    strategy: str
    max_retry_count: int
    delay_seconds: float
    minimum_seconds: float
    maximum_seconds: float

    def wait_seconds(self, retry: int) -> float:
        """The pause before retry number ``retry`` (from 1)."""
        if self.strategy == "fixed_delay":
            return self.delay_seconds
        return min(self.maximum_seconds, self.minimum_seconds * 2.0 ** min(retry - 1, 30))

    def allows(self, retry: int) -> bool:
        return self.max_retry_count < 0 or retry <= self.max_retry_count


@dataclass(frozen=True)
class Function:
    """One function of the app."""

    name: str
    function_id: str
    is_async: bool
    trigger: Binding
    outputs: tuple[Binding, ...]
    durable_client_names: tuple[str, ...]
    retry: RetryPolicy | None
    is_disabled: bool = False  # switched off by a setting: indexed and listed, but nothing starts it

    @property
    def scale_group(self) -> str:
        """What it scales with on Flex Consumption: HTTP and Durable functions as two groups, every other one alone."""
        if self.trigger.type in DURABLE_TRIGGERS:
            return DURABLE_GROUP
        return HTTP_GROUP if self.trigger.type == "httpTrigger" else self.name

    @property
    def is_durable(self) -> bool:
        """Whether it needs the Durable engine."""
        return self.trigger.type in DURABLE_TRIGGERS or bool(self.durable_client_names)


def read_functions(described: list[dict[str, Any]], environment: Mapping[str, str]) -> list[Function]:
    """Turn a worker's description into records.

    Raises:
        SettingsInvalid: a binding type that this host does not have.
    """
    return [_read_function(metadata, environment) for metadata in described]


def _read_function(metadata: dict[str, Any], environment: Mapping[str, str]) -> Function:
    bindings = [_read_binding(text) for text in metadata["raw_bindings"]]
    triggers = [binding for binding in bindings if binding.type in TRIGGERS]
    known = (*TRIGGERS, *OUTPUTS, "durableClient")
    unknown = sorted({binding.type for binding in bindings if binding.type not in known})
    if unknown or not triggers:
        kinds = ", ".join(unknown) or "no trigger"
        raise SettingsInvalid(f"function {metadata['name']}: this local host does not have {kinds}")
    retry = metadata["retry"]
    return Function(
        name=metadata["name"],
        function_id=metadata["function_id"],
        is_async=metadata["is_async"],
        trigger=triggers[0],
        outputs=tuple(binding for binding in bindings if binding.type in OUTPUTS),
        durable_client_names=tuple(binding.name for binding in bindings if binding.type == "durableClient"),
        retry=None if retry is None else _read_retry(retry),
        is_disabled=is_switched_off(metadata["name"], environment),
    )


def _read_binding(text: str) -> Binding:
    fields = json.loads(text)
    return Binding(fields["type"], fields["name"], str(fields.get("direction", "IN")).upper(), fields)


def _read_retry(fields: dict[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        strategy=fields["strategy"],
        max_retry_count=int(fields["max_retry_count"]),
        delay_seconds=float(fields.get("delay_interval_seconds", 0)),
        minimum_seconds=float(fields.get("minimum_interval_seconds", 0)),
        maximum_seconds=float(fields.get("maximum_interval_seconds", 2**31)),
    )
