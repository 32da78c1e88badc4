"""Entities from orchestrations, from the client and over HTTP; and the durable HTTP call."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import azure.durable_functions as df
import pytest

from local_azure.tests.durable.conftest import MakeHub, TaskHub, running_hub
from local_azure.tests.durable.durable_app import InProcessInvoker, unique


async def state_of(hub: TaskHub, entity: df.EntityId, expected: Any) -> None:
    """Wait until the entity has the state."""
    deadline = time.monotonic() + 5
    while (found := await hub.client.read_entity_state(entity)).entity_state != expected:
        assert time.monotonic() < deadline, found.entity_state
        await asyncio.sleep(0.005)


async def test_an_orchestrator_signals_calls_and_catches_an_entity(hub: TaskHub):
    output = await hub.output("entity_user", unique("counter"))

    assert output == [8, 9, "entity says no"]


async def test_the_client_signals_reads_and_lists(hub: TaskHub):
    entity = df.EntityId("Counter", unique("mine"))
    assert not (await hub.client.read_entity_state(entity)).entity_exists
    for value in (1, 2, 3):
        await hub.client.signal_entity(entity, "add", value)
    await state_of(hub, entity, 6)
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{hub.base_url}/durable/rpc/entities/counter?fetchState=true") as response,
    ):
        listed = await response.json()

    assert [(item["entityId"]["key"], item["state"]) for item in listed] == [(entity.key, 6)]


async def test_an_entity_that_destructs_itself_is_gone(hub: TaskHub):
    entity = df.EntityId("Counter", unique("gone"))
    await hub.client.signal_entity(entity, "add", 1)
    await state_of(hub, entity, 1)
    await hub.client.signal_entity(entity, "delete")
    await state_of(hub, entity, None)

    assert not (await hub.client.read_entity_state(entity)).entity_exists


async def test_one_batch_per_entity_runs_at_a_time_and_none_is_lost(make_hub: MakeHub):
    inner, running = InProcessInvoker(), {"now": 0, "most": 0}

    async def invoke(kind: str, name: str, payload: str) -> str:
        if kind != "entity":
            return await inner(kind, name, payload)
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        await asyncio.sleep(0.002)
        try:
            return await inner(kind, name, payload)
        finally:
            running["now"] -= 1

    hub = await make_hub(invoke=invoke)
    entity = df.EntityId("Counter", "shared")
    await asyncio.gather(*(hub.client.signal_entity(entity, "add", 1) for _ in range(150)))
    await state_of(hub, entity, 150)

    assert running["most"] == 1


async def test_entity_state_survives_a_restart(tmp_path: Path):
    entity = df.EntityId("Counter", "kept")
    async with running_hub(tmp_path) as hub:
        await hub.client.signal_entity(entity, "add", 4)
    async with running_hub(tmp_path) as hub:
        await state_of(hub, entity, 4)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
    body = json.dumps({"method": head.split()[0], "body": json.loads(await reader.readexactly(length))})
    writer.write(f"HTTP/1.1 201 Created\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())
    await writer.drain()
    writer.close()


async def test_call_http_reaches_loopback(hub: TaskHub):
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        response = await hub.output("fetches", f"http://127.0.0.1:{port}/x")

    assert response["statusCode"] == 201
    assert json.loads(response["content"]) == {"method": "POST", "body": {"x": 1}}


@pytest.mark.parametrize("url", ["http://192.0.2.1/", "http://example.com/", "file:///etc/hostname", "not a url"])
async def test_call_http_goes_nowhere_else(hub: TaskHub, url: str):
    instance_id = await hub.client.start_new("fetches", client_input=url)
    status = await hub.finished(instance_id)

    assert status.runtime_status.value == "Failed"
    assert "callHttp" in status.output
