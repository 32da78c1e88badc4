"""A running engine behind a real HTTP server, and the SDK's own client on it."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import pytest
import uvicorn
from azure.durable_functions.models.utils import http_utils

from local_azure.functions_host.durable import DurableEngine
from local_azure.tests.durable.durable_app import InProcessInvoker

FINAL = {"Completed", "Failed", "Terminated"}


@dataclass
class TaskHub:
    """An engine, the SDK's client for it, and waiting."""

    engine: DurableEngine
    client: df.DurableOrchestrationClient
    invoker: InProcessInvoker
    base_url: str

    async def finished(self, instance_id: str, seconds: float = 10) -> Any:
        """The status once the instance is over."""
        return await self.until(instance_id, lambda status: status.runtime_status.value in FINAL, seconds)

    async def until(self, instance_id: str, reached: Callable[[Any], bool], seconds: float = 10) -> Any:
        deadline, pause = time.monotonic() + seconds, 0.003
        while True:
            status = await self.client.get_status(instance_id)
            if status and reached(status):
                return status
            assert time.monotonic() < deadline, status.to_json()
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, 0.1)

    async def output(self, name: str, value: Any = None, **options: Any) -> Any:
        """The output of a new instance that must complete."""
        instance_id = await self.client.start_new(name, client_input=value, **options)
        status = await self.finished(instance_id, 30)
        assert status.runtime_status.value == "Completed", status.output
        return status.output


@contextlib.asynccontextmanager
async def running_hub(data_dir: Path, invoke: Any = None, **options: Any) -> AsyncIterator[TaskHub]:
    """An engine on a free port; stopped at the end."""
    invoker = InProcessInvoker()
    # Without the protocol asyncio leaves Nagle's algorithm on, and every answer waits 40 ms for an acknowledgement.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        engine = DurableEngine(
            data_dir=data_dir,
            task_hub="tests",
            public_base_url=base_url,
            rpc_base_url=f"{base_url}/durable/rpc/",
            invoke=invoke or invoker,
            functions=invoker.functions,
            **options,
        )
        server = uvicorn.Server(
            uvicorn.Config(engine.asgi, interface="asgi3", lifespan="off", log_level="warning", ws="none")
        )
        await engine.start()
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield TaskHub(engine, df.DurableOrchestrationClient(engine.client_payload()), invoker, base_url)
        finally:
            await http_utils._close_session()
            server.should_exit = True
            await serving
            await engine.stop()


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[TaskHub]:
    async with running_hub(tmp_path) as running:
        yield running


MakeHub = Callable[..., Awaitable[TaskHub]]


@pytest.fixture
async def make_hub(tmp_path: Path) -> AsyncIterator[MakeHub]:
    """Engines with options, all on one data folder (so one at a time, unless the folder is given)."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(data_dir: Path = tmp_path, **options: Any) -> TaskHub:
            return await stack.enter_async_context(running_hub(data_dir, **options))

        yield make
