"""Durable functions in a running host, through the SDK's client and through the links it hands out."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from local_azure.tests.functions_host.part_process import wait_until


@pytest.fixture(scope="module")
def host(start_host):
    return start_host("durable_app", workers=2)


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def start(web: aiohttp.ClientSession, url: str, name: str) -> dict[str, str]:
    async with web.get(f"{url}/api/start/{name}?for=Ada") as answer:
        assert answer.status == 202
        return await answer.json()


async def status(web: aiohttp.ClientSession, links: dict[str, str]) -> dict[str, Any]:
    async with web.get(links["statusQueryGetUri"]) as answer:
        assert answer.status in (200, 202)
        return await answer.json()


async def until_status(web: aiohttp.ClientSession, links: dict[str, str], wanted: str) -> dict[str, Any]:
    async with asyncio.timeout(15):
        while (document := await status(web, links))["runtimeStatus"] != wanted:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)
        return document


async def test_an_orchestration_waits_for_an_event_and_completes(web, host):
    links = await start(web, host.url, "approval")
    await until_status(web, links, "Running")

    async with web.get(f"{host.url}/api/approve/{links['id']}") as answer:
        result = await answer.json()

    assert answer.status == 200
    assert result["greeting"] == "hello Ada"
    assert result["by"] == '"eve"' or result["by"] == "eve"
    assert result["count"] >= 1
    assert links["statusQueryGetUri"].startswith(f"{host.url}/runtime/webhooks/durabletask/instances/")


async def test_a_failing_activity_fails_its_orchestration(web, host):
    links = await start(web, host.url, "fails")

    document = await until_status(web, links, "Failed")

    assert "kaput" in document["output"]


async def test_the_public_api_needs_the_system_key_and_the_keyless_one_is_on_the_admin_port_only(web, host):
    public = f"{host.url}/runtime/webhooks/durabletask/instances/"
    async with web.get(public) as answer:
        assert answer.status == 401
    async with web.get(f"{host.url}/durabletask/instances/") as answer:
        assert answer.status == 404
    async with web.get(f"{host.admin_url}/durabletask/instances/") as answer:
        assert answer.status == 200


async def test_the_live_page_gets_histories_without_what_they_carry(web, host):
    links = await start(web, host.url, "approval")
    await until_status(web, links, "Running")
    async with web.get(f"{host.url}/api/approve/{links['id']}") as answer:
        assert answer.status == 200

    async with web.get(f"{host.admin_url}/orchestrations.json") as answer:
        picture, text = await answer.json(), await answer.text()

    [run] = [run for run in picture["recent"] if run["instanceId"] == links["id"]]
    kinds = [entry["EventType"] for entry in run["history"]]
    assert kinds[0] == "ExecutionStarted"
    assert {"TaskCompleted", "EventRaised", "EventSent", "TimerCreated", "ExecutionCompleted"} <= set(kinds)
    [greeting] = [entry for entry in run["history"] if entry.get("FunctionName") == "greet"]
    assert greeting["ScheduledTime"] <= greeting["Timestamp"]
    assert picture["counts"]["Completed"] >= 1
    assert "Ada" not in text


async def test_a_killed_host_takes_its_orchestrations_up_again(web, start_host):
    host = start_host("durable_app")
    links = await start(web, host.url, "approval")
    await until_status(web, links, "Running")
    host.kill()

    again = start_host("durable_app", data=host.data, port=host.ports[0], admin_port=host.ports[1])
    async with web.get(f"{again.url}/api/approve/{links['id']}") as answer:
        result = await answer.json()

    assert result["greeting"] == "hello Ada"
    await wait_until(lambda: again.metrics()["functions"]["greet"]["invocations"] <= 1)
