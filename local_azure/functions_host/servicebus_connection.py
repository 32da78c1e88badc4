"""Clients of azure-servicebus for a connection setting, and entity names of triggers and outputs."""

import functools
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.function_table import Binding
from local_azure.functions_host.host_settings import Connection, resolve_connection
from local_azure.functions_host.identity import make_credential

_DEFAULT_CONNECTION = "AzureWebJobsServiceBus"
# The SDK reads its socket in slices of this length (0.2 s unless told); a message or an outcome ends the slice early.
# Longer slices mean fewer wake-ups of an idle receiver, but a slower opening.
RECEIVER_SOCKET_SECONDS = 0.5


@dataclass(frozen=True)
class Entity:
    """A queue, a topic (to send), or a subscription of a topic (to receive)."""

    connection: Connection
    queue: str
    topic: str
    subscription: str

    @property
    def path(self) -> str:
        return self.queue or (f"{self.topic}/{self.subscription}" if self.subscription else self.topic)


def read_entity(binding: Binding, environment: Mapping[str, str]) -> Entity:
    """The entity that a Service Bus trigger or output names.

    Raises:
        SettingsInvalid: neither queue nor topic, sessions asked for, or no such connection.
    """
    queue, topic = binding.text("queueName", environment), binding.text("topicName", environment)
    if not queue and not topic:
        raise SettingsInvalid(f"binding {binding.name}: neither a queue nor a topic is named")
    if binding.flag("isSessionsEnabled"):
        raise SettingsInvalid(f"binding {binding.name}: this local host does not have session receivers")
    connection = resolve_connection(
        binding.text("connection", environment) or _DEFAULT_CONNECTION, "fullyQualifiedNamespace", environment
    )
    return Entity(connection, queue, topic, binding.text("subscriptionName", environment))


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """One for all: the SDK would read the certificate bundle (15 ms) at every connection, even one without TLS."""
    return ssl.create_default_context()


def make_client(connection: Connection, **options: Any) -> ServiceBusClient:
    """One client; retries are the caller's business, so that it can say what happens."""
    options |= {"retry_total": 0, "ssl_context": _tls_context()}
    if connection.connection_string is not None:
        return ServiceBusClient.from_connection_string(connection.connection_string, **options)
    assert connection.endpoint is not None  # noqa: S101 - Connection has one or the other
    return ServiceBusClient(connection.endpoint, make_credential(connection), **options)


def open_receiver(client: ServiceBusClient, entity: Entity, credit: int) -> ServiceBusReceiver:
    """A PEEK_LOCK receiver that asks for ``credit`` (at least 2) messages at a time.

    The SDK announces ``prefetch_count + 1`` and again when all are used up. ``keep_alive=0`` switches off its
    background reader, which would compete with the pump for frames.
    """
    options: dict[str, Any] = {"prefetch_count": credit - 1, "keep_alive": 0}
    if entity.queue:
        return client.get_queue_receiver(entity.queue, **options)
    return client.get_subscription_receiver(entity.topic, entity.subscription, **options)
