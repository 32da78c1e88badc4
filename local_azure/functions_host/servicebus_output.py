"""Output bindings of type serviceBus: what a function set or returned becomes a message.

Takes text or bytes (all that the official converter lets through), gives sent messages; an invocation counts as failed
if its output cannot be sent, as in Azure. One sender for each entity, used by one task only: an asyncio sender shared
by concurrent tasks loses sends. Everything that waits goes out in one batch.
"""

import asyncio
import contextlib
import logging
from collections import deque

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusSender
from azure.servicebus.exceptions import MessageSizeExceededError, ServiceBusError

from local_azure.functions_host.servicebus_connection import Entity, make_client

_LOG = logging.getLogger("host.servicebus")
_SEND_SECONDS = 30.0
_BATCH = 100


class MessageOutput:
    """Sends to one entity."""

    def __init__(self, entity: Entity) -> None:
        self._entity = entity
        self._waiting: deque[tuple[ServiceBusMessage, asyncio.Future[None]]] = deque()
        self._wake = asyncio.Event()
        self._client: ServiceBusClient | None = None
        self._sender: ServiceBusSender | None = None
        self._task: asyncio.Task[None] | None = None

    async def send(self, body: str | bytes) -> None:
        """Return when the broker has accepted the message.

        Raises:
            AzureError: it has not.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"output {self._entity.path}")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((ServiceBusMessage(body), future))
        self._wake.set()
        await future

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
                await self._send_batch(batch)

    async def _send_batch(self, batch: list[tuple[ServiceBusMessage, asyncio.Future[None]]]) -> None:
        try:
            await self._send_list([message for message, _ in batch])
        except (MessageSizeExceededError, ValueError) as error:
            if len(batch) > 1:
                for item in batch:
                    await self._send_batch([item])
                return
            self._fail(batch, error)
        except (AzureError, ServiceBusError, OSError, TimeoutError, AttributeError) as error:
            await self._close_sender()
            self._fail(batch, error)
        else:
            for _, future in batch:
                if not future.done():
                    future.set_result(None)

    async def _send_list(self, messages: list[ServiceBusMessage]) -> None:
        if self._sender is None:
            self._client = make_client(self._entity.connection)
            name = self._entity.queue or self._entity.topic
            is_queue = bool(self._entity.queue)
            self._sender = self._client.get_queue_sender(name) if is_queue else self._client.get_topic_sender(name)
        await self._sender.send_messages(messages, timeout=_SEND_SECONDS)

    @staticmethod
    def _fail(batch: list[tuple[ServiceBusMessage, asyncio.Future[None]]], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)

    async def _close_sender(self) -> None:
        sender, client, self._sender, self._client = self._sender, self._client, None, None
        with contextlib.suppress(AzureError, ServiceBusError, OSError, TimeoutError, ValueError, AttributeError):
            async with asyncio.timeout(2.0):
                if sender is not None:
                    await sender.close()
                if client is not None:
                    await client.close()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._close_sender()
