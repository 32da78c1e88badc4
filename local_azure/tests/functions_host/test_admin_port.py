"""The admin port: health, status, functions, metrics, the live page, manual runs."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from local_azure.tests.functions_host.part_process import HostProcess


@pytest.fixture(scope="module")
def host(start_host) -> HostProcess:
    return start_host("timer_app", EVERY_SECOND="1.00:00:00")


@pytest.fixture
async def admin(host) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(host.admin_url) as session:
        yield session


async def test_health_status_and_ping(admin):
    async with admin.get("/health") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "Running"})
    async with admin.get("/admin/host/status") as answer:
        document = await answer.json()
        assert document["state"] == "Running"
        assert document["id"].startswith("host-")
    async with admin.post("/admin/host/ping") as answer:
        assert answer.status == 200


async def test_functions_are_listed_and_found_by_name_in_any_case(admin):
    async with admin.get("/admin/functions") as answer:
        names = {function["name"] for function in await answer.json()}
    async with admin.get("/admin/functions/Once_A_Day") as answer:
        one = await answer.json()
    async with admin.get("/admin/functions/missing") as answer:
        missing = answer.status

    assert names == {"every_second", "at_startup", "once_a_day"}
    assert one["config"]["bindings"][0]["schedule"] == "1.00:00:00"
    assert missing == 404


async def test_a_manual_run_needs_the_master_key(admin, host):
    key = {"x-functions-key": host.keys()["master"]}
    before = sum(record["function"] == "once_a_day" for record in host.records())

    async with admin.post("/admin/functions/once_a_day", json={}) as answer:
        assert answer.status == 401
    async with admin.post("/admin/functions/once_a_day", json={"input": ""}, headers=key) as answer:
        assert answer.status == 202
    async with admin.post("/admin/functions/once_a_day", data="[", headers=key) as answer:
        assert answer.status == 400

    assert sum(record["function"] == "once_a_day" for record in host.records()) == before + 1


async def test_metrics_count_per_function_and_worker(host):
    document = host.metrics()

    startup = document["functions"]["at_startup"]
    assert (startup["trigger"], startup["invocations"], startup["failures"]) == ("timerTrigger", 3, 2)
    assert startup["in_flight"] == 0
    assert startup["total_seconds"] > 0
    [worker] = document["workers"]
    assert worker["cpu_seconds"] > 0
    assert worker["resident_bytes"] > 10_000_000
    assert worker["serves"] == "default"
    assert {timer["function"] for timer in document["listeners"]} == {"every_second", "at_startup", "once_a_day"}


async def test_the_live_page_is_one_document_without_foreign_addresses(admin):
    async with admin.get("/") as answer:
        page = await answer.text()

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "metrics.json" in page
    assert "function drawRuns" in page
    assert "src=" not in page
    assert "https://" not in page
