"""Which queues, topics, subscriptions and rules exist: the official emulator's `Config.json`.

Takes the file, gives frozen definitions, or `TopologyError` with the place of the mistake. Shape:
https://learn.microsoft.com/azure/service-bus-messaging/test-locally-with-service-bus-emulator (the namespaces of the
file share one address space here, because a local connection string cannot tell them apart).
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_azure.servicebus.filters import (
    Filter,
    FilterError,
    correlation_filter,
    false_filter,
    sql_filter,
    true_filter,
)

FOREVER_MS = 0
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_LONGEST_MS = 10_675_199 * 86_400_000  # TimeSpan.MaxValue, which Azure shows for "never"


class TopologyError(ValueError):
    """The topology file says something that cannot be served."""


@dataclass(frozen=True)
class QueueSettings:
    """Timings and limits of a queue or subscription; durations in ms."""

    lock_ms: int = 60_000
    max_delivery_count: int = 10
    ttl_ms: int = FOREVER_MS
    dead_letter_on_expiration: bool = False
    requires_session: bool = False
    dedup_window_ms: int = 0  # 0: no duplicate detection
    forward_to: str = ""
    forward_dead_letters_to: str = ""


@dataclass(frozen=True)
class Subscription:
    """A subscription takes what any of its rules matches, once."""

    name: str
    settings: QueueSettings
    rules: tuple[tuple[str, Filter], ...]


@dataclass(frozen=True)
class Topic:
    """A topic keeps nothing but what is scheduled."""

    name: str
    ttl_ms: int = FOREVER_MS
    dedup_window_ms: int = 0
    subscriptions: tuple[Subscription, ...] = ()


@dataclass(frozen=True)
class Topology:
    """Everything of the file."""

    queues: dict[str, QueueSettings] = field(default_factory=dict)
    topics: tuple[Topic, ...] = ()


def parse_duration_ms(text: str) -> int:
    """Milliseconds of an ISO 8601 duration such as `PT1M`, `P14D` or `PT0.5S`.

    Raises:
        TopologyError: for anything else.
    """
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        raise TopologyError(f"not a duration: {text!r}")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return int(((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000)


def _duration(properties: dict[str, Any], key: str, default: int) -> int:
    value = properties.get(key)
    if not value:
        return default
    milliseconds = parse_duration_ms(value)
    return FOREVER_MS if milliseconds >= _LONGEST_MS else milliseconds


def _dedup_window(properties: dict[str, Any]) -> int:
    if not properties.get("RequiresDuplicateDetection"):
        return 0
    return _duration(properties, "DuplicateDetectionHistoryTimeWindow", 600_000)


def _settings(properties: dict[str, Any]) -> QueueSettings:
    lock_ms = _duration(properties, "LockDuration", 60_000)
    max_delivery_count = int(properties.get("MaxDeliveryCount", 10))
    if lock_ms <= 0 or max_delivery_count < 1:
        raise TopologyError("LockDuration and MaxDeliveryCount must be positive")
    return QueueSettings(
        lock_ms=lock_ms,
        max_delivery_count=max_delivery_count,
        ttl_ms=_duration(properties, "DefaultMessageTimeToLive", FOREVER_MS),
        dead_letter_on_expiration=bool(properties.get("DeadLetteringOnMessageExpiration")),
        requires_session=bool(properties.get("RequiresSession")),
        dedup_window_ms=_dedup_window(properties),
        forward_to=properties.get("ForwardTo") or "",
        forward_dead_letters_to=properties.get("ForwardDeadLetteredMessagesTo") or "",
    )


def _rule(rule: dict[str, Any]) -> tuple[str, Filter]:
    properties = rule.get("Properties", {})
    if properties.get("Action"):
        raise TopologyError(f"rule {rule.get('Name')!r}: rule actions are not emulated")
    kind = str(properties.get("FilterType", "")).casefold()
    try:
        if kind == "correlation" or (not kind and "CorrelationFilter" in properties):
            return rule["Name"], correlation_filter(properties.get("CorrelationFilter", {}))
        if kind == "sql" or (not kind and "SqlFilter" in properties):
            return rule["Name"], sql_filter(properties["SqlFilter"]["SqlExpression"])
    except FilterError as error:
        raise TopologyError(f"rule {rule['Name']!r}: {error}") from error
    if kind in ("true", "false"):
        return rule["Name"], true_filter if kind == "true" else false_filter
    raise TopologyError(f"rule {rule.get('Name')!r}: unknown filter type {kind!r}")


def _subscription(definition: dict[str, Any]) -> Subscription:
    rules = tuple(_rule(rule) for rule in definition.get("Rules") or [])
    return Subscription(
        name=definition["Name"],
        settings=_settings(definition.get("Properties", {})),
        rules=rules or (("$Default", true_filter),),
    )


def _topic(definition: dict[str, Any]) -> Topic:
    properties = definition.get("Properties", {})
    return Topic(
        name=definition["Name"],
        ttl_ms=_duration(properties, "DefaultMessageTimeToLive", FOREVER_MS),
        dedup_window_ms=_dedup_window(properties),
        subscriptions=tuple(_subscription(item) for item in definition.get("Subscriptions") or []),
    )


def _check_forwards(topology: Topology) -> None:
    known = {name.casefold() for name in topology.queues} | {topic.name.casefold() for topic in topology.topics}
    every = list(topology.queues.values()) + [sub.settings for topic in topology.topics for sub in topic.subscriptions]
    for settings in every:
        for target in (settings.forward_to, settings.forward_dead_letters_to):
            if target and target.casefold() not in known:
                raise TopologyError(f"forwards to {target!r}, which does not exist")


def parse_topology(document: dict[str, Any]) -> Topology:
    """The definitions of all namespaces of a `Config.json` document.

    Raises:
        TopologyError: for a missing name, two entities of one name, a wrong duration, filter or forward.
    """
    queues: dict[str, QueueSettings] = {}
    topics: list[Topic] = []
    try:
        for namespace in document["UserConfig"]["Namespaces"]:
            for queue in namespace.get("Queues") or []:
                queues[queue["Name"]] = _settings(queue.get("Properties", {}))
            topics.extend(_topic(topic) for topic in namespace.get("Topics") or [])
    except (KeyError, TypeError, AttributeError) as error:
        raise TopologyError(f"not a Config.json of the Service Bus emulator: {error!r}") from error
    names = [name.casefold() for name in queues] + [topic.name.casefold() for topic in topics]
    if len(names) != len(set(names)):
        raise TopologyError("two entities have the same name")
    topology = Topology(queues=queues, topics=tuple(topics))
    _check_forwards(topology)
    return topology


def load_topology(path: Path) -> Topology:
    """The topology in a file.

    Raises:
        TopologyError: when it cannot be read or is wrong.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TopologyError(f"cannot read {path}: {error}") from error
    return parse_topology(document)
