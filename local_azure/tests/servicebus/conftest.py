"""A running emulator for each test: in this process, on a free port, with a clock that can be pushed ahead."""

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from azure.servicebus._pyamqp.aio import _client_async
from azure.servicebus.aio import (
    ServiceBusClient,
    ServiceBusReceiver,
    _servicebus_receiver_async,
    _servicebus_sender_async,
)

from local_azure.servicebus.testing import RunningEmulator, running, topology

logging.getLogger("azure").setLevel(logging.CRITICAL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The SDK forgets sockets of connections that broke, which the garbage collector then complains about."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="module", autouse=True)
def _collect_sockets() -> Iterator[None]:
    """Lets those complaints appear here and not in the tests of another part."""
    yield
    gc.collect()


@pytest.fixture
async def emulate() -> AsyncIterator[Callable[..., Any]]:
    """Starts an emulator: `await emulate(queues=[...], topics=[...])`; all of them end with the test."""
    async with AsyncExitStack() as stack:

        async def start(*, queues: list[Any] = (), topics: list[Any] = (), **options: Any) -> RunningEmulator:
            return await stack.enter_async_context(running(topology(queues=queues, topics=topics), **options))

        yield start


class _Brisk:
    """The asyncio module, but its pauses end after two milliseconds."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.002))


@pytest.fixture
def _brisk_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the pauses in which the SDK polls its own state: half a second to open a link and one to close it.

    Nothing that it sends or understands changes. The tests with an emulator process leave the SDK entirely alone.
    """
    for module in (_servicebus_receiver_async, _servicebus_sender_async, _client_async):
        monkeypatch.setattr(module, "asyncio", _Brisk())


@pytest.fixture
async def connect(_brisk_sdk: None) -> AsyncIterator[Callable[..., ServiceBusClient]]:
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
def admin() -> Callable[..., Any]:
    """Calls the admin endpoint from a thread: `await admin(emulator, "GET", "/health")`."""

    def call(emulator: RunningEmulator, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        address = f"http://127.0.0.1:{emulator.admin_port}{path}"
        with urlopen(Request(address, data=data, method=method), timeout=5) as answer:
            text = answer.read().decode()
            return json.loads(text) if answer.headers["Content-Type"] == "application/json" else text

    async def in_thread(*arguments: Any) -> Any:
        return await asyncio.to_thread(call, *arguments)

    return in_thread


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
