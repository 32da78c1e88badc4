"""A running emulator for each test: in this process, on a free port, with a clock that can be pushed ahead."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

from local_azure.servicebus.testing import RunningEmulator, running, topology

logging.getLogger("azure").setLevel(logging.CRITICAL)


@pytest.fixture
async def emulate() -> AsyncIterator[Callable[..., Any]]:
    """Starts an emulator: `await emulate(queues=[...], topics=[...])`; all of them end with the test."""
    async with AsyncExitStack() as stack:

        async def start(*, queues: list[Any] = (), topics: list[Any] = (), **options: Any) -> RunningEmulator:
            return await stack.enter_async_context(running(topology(queues=queues, topics=topics), **options))

        yield start


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., ServiceBusClient]]:
    """Makes SDK clients that are closed before the emulator stops."""
    async with AsyncExitStack() as stack:

        def make(emulator: RunningEmulator, *, key: str | None = None, **options: Any) -> ServiceBusClient:
            options.setdefault("retry_total", 0)
            text = emulator.connection_string(key) if key else emulator.connection_string()
            client = ServiceBusClient.from_connection_string(text, **options)
            stack.push_async_callback(client.close)
            return client

        yield make


@pytest.fixture
def receive() -> Callable[..., Any]:
    """Receives until there are `count` messages or nothing comes for `wait` seconds."""

    async def collect(receiver: ServiceBusReceiver, count: int = 1, wait: float = 2) -> list[Any]:
        messages: list[Any] = []
        while len(messages) < count:
            batch = await receiver.receive_messages(max_message_count=count - len(messages), max_wait_time=wait)
            if not batch:
                break
            messages += batch
        return messages

    return collect
