"""Settings: local.settings.json, ``%NAME%`` expressions, connections, and host.json.

Takes the app folder and the environment; gives ``HostOptions`` and resolved connections. Key names and defaults
follow https://learn.microsoft.com/azure/azure-functions/functions-host-json and the extensions' pages (defaults from
memory, not compared with a running host). Unknown keys are ignored, as Azure does; wrong types are refused.
"""

import json
import logging
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.host_overrides import override_from_settings

_EXPRESSION = re.compile(r"%([^%\s]+)%")
_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(?:\.(\d+))?")
_LEVELS = {
    "Trace": logging.DEBUG,
    "Debug": logging.DEBUG,
    "Information": logging.INFO,
    "Warning": logging.WARNING,
    "Error": logging.ERROR,
    "Critical": logging.CRITICAL,
    "None": logging.CRITICAL + 10,
}
_NO_SETTINGS: Mapping[str, str] = {}


@dataclass(frozen=True)
class HostOptions:
    """What host.json says, with Azure's defaults."""

    route_prefix: str = "api"
    max_outstanding_requests: int = 200
    max_concurrent_requests: int = 100
    max_concurrent_calls: int = 16
    max_message_batch_size: int = 1000
    min_message_batch_size: int = 1
    max_batch_wait_seconds: float = 30.0
    prefetch_count: int = 0
    auto_complete_messages: bool = True
    max_auto_lock_renewal_seconds: float = 300.0
    function_timeout_seconds: float | None = 1800.0
    hub_name: str = "TestHubName"
    durable: Mapping[str, Any] = field(default_factory=dict)
    host_log_level: int = logging.INFO
    worker_log_level: int = logging.INFO


def load_local_settings(folder: Path, environment: MutableMapping[str, str]) -> int:
    """Add ``Values`` of local.settings.json to the environment, never overriding; the number of added settings."""
    values = _read_json(folder / "local.settings.json").get("Values", {})
    if not isinstance(values, dict):
        raise SettingsInvalid("local.settings.json: Values must be an object of strings")
    added = 0
    for name, value in values.items():
        if not isinstance(value, str):
            raise SettingsInvalid(f"local.settings.json: Values.{name} must be a string")
        if name not in environment:
            environment[name] = value
            added += 1
    return added


def load_host_options(folder: Path, environment: Mapping[str, str] = _NO_SETTINGS) -> HostOptions:
    """Read host.json of the app folder; settings ``AzureFunctionsJobHost__<path>`` override it, as in Azure.

    Raises:
        SettingsInvalid: the file is not JSON, or a known key has a value of the wrong kind.
    """
    document = _read_json(folder / "host.json")
    override_from_settings(document, environment)
    extensions = document.get("extensions", {})
    http, bus = extensions.get("http", {}), extensions.get("serviceBus", {})
    durable = extensions.get("durableTask", {})
    levels = document.get("logging", {}).get("logLevel", {})
    default_level = _level(levels.get("default", "Information"))
    base = HostOptions()
    timeout = document.get("functionTimeout")
    return HostOptions(
        route_prefix=str(http.get("routePrefix", base.route_prefix)).strip("/"),
        max_outstanding_requests=_number(http, "maxOutstandingRequests", base.max_outstanding_requests),
        max_concurrent_requests=_number(http, "maxConcurrentRequests", base.max_concurrent_requests),
        max_concurrent_calls=_number(bus, "maxConcurrentCalls", base.max_concurrent_calls),
        max_message_batch_size=_number(bus, "maxMessageBatchSize", base.max_message_batch_size),
        min_message_batch_size=_number(bus, "minMessageBatchSize", base.min_message_batch_size),
        max_batch_wait_seconds=_seconds(bus, "maxBatchWaitTime", base.max_batch_wait_seconds),
        prefetch_count=_number(bus, "prefetchCount", base.prefetch_count, least=0),
        auto_complete_messages=bool(bus.get("autoCompleteMessages", True)),
        max_auto_lock_renewal_seconds=_seconds(bus, "maxAutoLockRenewalDuration", base.max_auto_lock_renewal_seconds),
        function_timeout_seconds=base.function_timeout_seconds if timeout is None else parse_timeout(timeout),
        hub_name=str(durable.get("hubName", base.hub_name)),
        durable=_check_durable(durable),
        host_log_level=_level(levels["Host"]) if "Host" in levels else default_level,
        worker_log_level=_level(levels["Function"]) if "Function" in levels else default_level,
    )


def resolve_expressions(text: str, environment: Mapping[str, str]) -> str:
    """Replace each ``%NAME%`` by the setting of that name.

    Raises:
        SettingsInvalid: a named setting does not exist.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise SettingsInvalid(f"%{match[1]}% in a binding names a setting that does not exist")
        return environment[match[1]]

    return _EXPRESSION.sub(replace, text)


@dataclass(frozen=True)
class Connection:
    """A connection setting: a connection string, or an endpoint to reach with the machine's identity."""

    setting: str
    connection_string: str | None
    endpoint: str | None
    client_id: str | None = None  # of a user-assigned identity


def resolve_connection(name: str, endpoint_suffix: str, environment: Mapping[str, str] = os.environ) -> Connection:
    """Find ``name``, ``AzureWebJobs<name>`` or ``<name>__<endpoint_suffix>`` in the environment.

    The last is an identity-based connection; ``<name>__clientId`` names a user-assigned identity.
    https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection

    Raises:
        SettingsInvalid: none of them exists.
    """
    for setting in (name, f"AzureWebJobs{name}", f"ConnectionStrings:{name}"):
        if environment.get(setting):
            return Connection(setting, environment[setting], None)
    endpoint = environment.get(f"{name}__{endpoint_suffix}") or environment.get(f"{name}:{endpoint_suffix}")
    if endpoint:
        client_id = environment.get(f"{name}__clientId") or environment.get(f"{name}:clientId")
        return Connection(f"{name}__{endpoint_suffix}", None, endpoint, client_id)
    raise SettingsInvalid(f"connection {name!r}: neither {name} nor {name}__{endpoint_suffix} is set")


def parse_time_span(text: str) -> float:
    """Seconds of a .NET TimeSpan such as ``00:05:00`` or ``1.02:03:04.5``.

    Raises:
        ValueError: the text is something else.
    """
    match = _TIME_SPAN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time span like 00:05:00")
    days, hours, minutes, seconds, fraction = match.groups()
    whole = ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    return whole + float(f"0.{fraction or 0}")


def parse_timeout(value: Any) -> float | None:
    """``functionTimeout``: seconds, or None for ``-1`` (no limit)."""
    if str(value) == "-1":
        return None
    try:
        return parse_time_span(str(value))
    except ValueError as error:
        raise SettingsInvalid(f"host.json: functionTimeout: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SettingsInvalid(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise SettingsInvalid(f"{path.name} must contain an object")
    return document


def _check_durable(section: dict[str, Any]) -> dict[str, Any]:
    for key in ("maxConcurrentActivityFunctions", "maxConcurrentOrchestratorFunctions"):
        if key in section:
            _number(section, key, 1)
    return section


def _number(section: dict[str, Any], key: str, default: int, least: int = 1) -> int:
    value = section.get(key, default)
    if value == -1 and key.startswith("maxOutstanding"):
        return 1_000_000  # unbounded
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsInvalid(f"host.json: {key} must be a whole number of at least {least}, not {value!r}")
    return value


def _seconds(section: dict[str, Any], key: str, default: float) -> float:
    value = section.get(key)
    if value is None:
        return default
    try:
        return parse_time_span(str(value))
    except ValueError as error:
        raise SettingsInvalid(f"host.json: {key}: {error}") from error


def _level(name: Any) -> int:
    if name not in _LEVELS:
        raise SettingsInvalid(f"host.json: log level {name!r} is none of {', '.join(_LEVELS)}")
    return _LEVELS[name]
