"""Which messages a subscription rule lets through.

Gives `Filter` functions from a message's content to yes or no: correlation filters (every named property equal,
strings case-sensitive), SQL filters (see `sql`), and the constant ones. Reference:
https://learn.microsoft.com/azure/service-bus-messaging/topic-filters.
"""

from collections.abc import Callable
from typing import Any

from local_azure.servicebus import sql
from local_azure.servicebus.message import Content
from local_azure.servicebus.sql_logic import SqlError

Filter = Callable[[Content], bool]
FilterError = SqlError

# The correlation filter's names and the position of each among the AMQP properties.
_CORRELATION_FIELDS = {
    "MessageId": 0,
    "To": 2,
    "Label": 3,
    "Subject": 3,
    "ReplyTo": 4,
    "CorrelationId": 5,
    "ContentType": 6,
    "SessionId": 10,
    "ReplyToSessionId": 12,
}


def true_filter(_content: Content) -> bool:
    return True


def false_filter(_content: Content) -> bool:
    return False


def _same(expected: Any, actual: Any) -> bool:
    # Python calls True equal to 1; AMQP does not.
    return expected == actual and isinstance(expected, bool) == isinstance(actual, bool)


def correlation_filter(definition: dict[str, Any]) -> Filter:
    """A filter that wants every named system and user property to have the given value.

    Raises:
        FilterError: when nothing is named, or a name is unknown.
    """
    wanted_user = dict(definition.get("Properties") or {})
    wanted_system: list[tuple[int, Any]] = []
    for name, value in definition.items():
        if name == "Properties" or value is None:
            continue
        if name not in _CORRELATION_FIELDS:
            raise FilterError(f"unknown correlation property {name!r}")
        wanted_system.append((_CORRELATION_FIELDS[name], value))
    if not wanted_user and not wanted_system:
        raise FilterError("a correlation filter names at least one property")

    def matches(content: Content) -> bool:
        if wanted_user:
            properties = content.application_properties
            for name, value in wanted_user.items():
                if not _same(value, properties.get(name)):
                    return False
        system = content.properties
        return all(_same(value, _text(system[index])) for index, value in wanted_system)

    return matches


def _text(value: Any) -> Any:
    # Message and correlation ids may be uuid or ulong on the wire; the filter's value is text.
    return value if value is None or isinstance(value, str) else str(value)


def sql_filter(expression: str) -> Filter:
    """A filter that lets through what the SQL expression is true for (not: unknown).

    Raises:
        FilterError: when the expression does not parse.
    """
    condition = sql.compile_condition(expression)
    return lambda content: condition(content) is True
