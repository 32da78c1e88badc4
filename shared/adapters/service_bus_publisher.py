"""The way onto Service Bus: one sender per topic or queue and process, fed in micro-batches.

A shared aio sender used by several tasks at once loses sends (azure-servicebus 7.15), so one task per entity owns the
sender; whatever is waiting when it comes round goes out in one batch. Under load this costs a third of sending singly.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from azure.identity.aio import DefaultAzureCredential
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError, ServiceBusError

from shared.contracts.events import BusMessage
from shared.domain.errors import PublishFailed

logger = logging.getLogger(__name__)

_SEND_TIMEOUT_SECONDS = 5
_MAX_BATCH_MESSAGES = 100
_AWAY_SECONDS = 1.0  # after a failed send, further ones are refused at once for so long


@dataclass(frozen=True, slots=True)
class ServiceBusSettings:
    """Where the namespace is: a connection string (local), or a name reached by managed identity (Azure)."""

    connection: str | None = None
    fully_qualified_namespace: str | None = None


class ServiceBusPublisher:
    """Publisher over Service Bus. Nothing connects before the first message."""

    def __init__(self, settings: ServiceBusSettings) -> None:
        self._settings = settings
        self._client: ServiceBusClient | None = None
        self._outlets: dict[str, _Outlet] = {}

    async def publish(self, entity: str, messages: Sequence[BusMessage]) -> None:
        if messages:
            await self._outlet(entity).send([_bus_message(message) for message in messages])

    def _outlet(self, entity: str) -> "_Outlet":
        if entity not in self._outlets:
            if self._client is None:
                self._client = _connect(self._settings)
            self._outlets[entity] = _Outlet(self._client, entity)
        return self._outlets[entity]

    async def close(self) -> None:
        """All connections are closed; what is still waiting fails."""
        for outlet in self._outlets.values():
            await outlet.close()
        self._outlets.clear()
        if self._client is not None:
            await self._client.close()
            self._client = None


def _connect(settings: ServiceBusSettings) -> ServiceBusClient:
    # One quick retry mends a connection that the broker had closed; everything longer is the sweeper's business.
    options: dict[str, Any] = {"retry_total": 1, "retry_backoff_factor": 0.1, "retry_mode": "fixed"}
    if settings.connection:
        return ServiceBusClient.from_connection_string(settings.connection, **options)
    if settings.fully_qualified_namespace:
        return ServiceBusClient(settings.fully_qualified_namespace, DefaultAzureCredential(), **options)
    raise ValueError("SERVICEBUS_CONNECTION or SERVICEBUS_CONNECTION__fullyQualifiedNamespace must be set")


@dataclass(slots=True)
class _Parcel:
    messages: list[ServiceBusMessage]
    sent: asyncio.Future[None]


class _Outlet:
    """The sender of one entity, and what waits for it."""

    def __init__(self, client: ServiceBusClient, entity: str) -> None:
        self._client = client
        self._entity = entity
        self._sender: ServiceBusSender | None = None
        self._waiting: list[_Parcel] = []
        self._worker: asyncio.Task[None] | None = None
        self._is_doubted = False
        self._away_until = 0.0

    def _is_away(self) -> bool:
        """Whether to refuse at once. After a failure one send at a time finds out whether the broker is back."""
        is_trying = self._worker is not None and not self._worker.done()
        return self._is_doubted and (is_trying or asyncio.get_running_loop().time() < self._away_until)

    async def send(self, messages: list[ServiceBusMessage]) -> None:
        if self._is_away():
            raise PublishFailed(f"{self._entity} is away")
        parcel = _Parcel(messages, asyncio.get_running_loop().create_future())
        self._waiting.append(parcel)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._drain())
        await parcel.sent

    async def _drain(self) -> None:
        while self._waiting:
            parcels = self._take()
            try:
                await self._send_together([message for parcel in parcels for message in parcel.messages])
            except asyncio.CancelledError as error:
                self._refuse(parcels, error)
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                await self._give_up(parcels, error)
                return
            self._is_doubted = False
            for parcel in parcels:
                if not parcel.sent.done():
                    parcel.sent.set_result(None)

    def _take(self) -> list[_Parcel]:
        count = 0
        for taken, parcel in enumerate(self._waiting):
            count += len(parcel.messages)
            if count > _MAX_BATCH_MESSAGES and taken:
                parcels, self._waiting = self._waiting[:taken], self._waiting[taken:]
                return parcels
        parcels, self._waiting = self._waiting, []
        return parcels

    async def _send_together(self, messages: list[ServiceBusMessage]) -> None:
        if self._sender is None:
            self._sender = (
                self._client.get_topic_sender(self._entity)
                if self._entity.startswith("notifications-")
                else self._client.get_queue_sender(self._entity)
            )
        if len(messages) == 1:
            await self._sender.send_messages(messages[0], timeout=_SEND_TIMEOUT_SECONDS)
            return
        batch = await self._sender.create_message_batch()
        for message in messages:
            try:
                batch.add_message(message)
            except MessageSizeExceededError:
                await self._sender.send_messages(batch, timeout=_SEND_TIMEOUT_SECONDS)
                batch = await self._sender.create_message_batch()
                batch.add_message(message)
        await self._sender.send_messages(batch, timeout=_SEND_TIMEOUT_SECONDS)

    async def _give_up(self, parcels: Sequence[_Parcel], error: Exception) -> None:
        logger.warning("Publishing failed", extra={"entity": self._entity, "cause": type(error).__name__})
        self._is_doubted = True
        self._away_until = asyncio.get_running_loop().time() + _AWAY_SECONDS
        self._refuse(parcels, error)
        try:
            await self._drop_sender()
        finally:
            self._refuse([], error)  # what came while the sender was closing has nobody else to send it

    def _refuse(self, parcels: Sequence[_Parcel], cause: BaseException) -> None:
        """Fails ``parcels`` and whatever waits behind them."""
        waiting, self._waiting = self._waiting, []
        for parcel in (*parcels, *waiting):
            if not parcel.sent.done():
                failure = PublishFailed(f"{self._entity}: {type(cause).__name__}")
                failure.__cause__ = cause
                parcel.sent.set_exception(failure)

    async def _drop_sender(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            try:
                async with asyncio.timeout(_SEND_TIMEOUT_SECONDS):
                    await sender.close()
            except (ServiceBusError, OSError, TimeoutError) as error:
                logger.info("Closing a broken sender failed", extra={"cause": type(error).__name__})

    async def close(self) -> None:
        if self._worker is not None and not self._worker.done():
            self._worker.cancel()
        self._refuse([], PublishFailed("closed"))
        await self._drop_sender()


def _bus_message(message: BusMessage) -> ServiceBusMessage:
    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        content_type="application/json",
        correlation_id=message.correlation_id,
        application_properties={name: value for name, value in message.properties.items()},  # noqa: C416 - widens its type
        scheduled_enqueue_time_utc=message.due_at,
    )
