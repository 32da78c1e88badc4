"""Injected faults, the request-unit budget, https with AAD, statistics and the explorer."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError, ServiceResponseError
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient


@pytest.fixture
async def admin(emulator):
    async with aiohttp.ClientSession(emulator.url) as http:
        yield http
        for path, body in (("/_emulator/faults", None), ("/_emulator/throughput", {"enforced": False})):
            await (http.delete(path) if body is None else http.post(path, json=body))


async def inject(admin, **rule):
    answer = await admin.post("/_emulator/faults", json=rule)
    assert answer.status == 200


async def fired(admin):
    return [rule["fired"] for rule in await (await admin.get("/_emulator/faults")).json()]


async def test_throttling_that_ends_is_retried_by_the_sdk(container, admin):
    await inject(
        admin, operation="create", container=container.id, status=429, substatus=3200, count=3, retry_after_ms=20
    )
    started = time.monotonic()

    await container.create_item({"id": "1", "pk": "a"})

    assert time.monotonic() - started >= 0.06
    assert await fired(admin) == [3]


async def test_throttling_that_lasts_reaches_the_caller(container, admin):
    await inject(admin, operation="read", container=container.id, status=429, substatus=3200, retry_after_ms=1)

    with pytest.raises(exceptions.CosmosHttpResponseError) as throttled:
        await container.read_item("1", "a")

    assert (throttled.value.status_code, throttled.value.sub_status) == (429, 3200)
    assert (await fired(admin))[0] == 10


async def test_only_what_matches_is_hit(container, admin):
    await inject(admin, path="/docs/victim", status=403)
    await container.create_item({"id": "victim", "pk": "a"})
    await container.create_item({"id": "other", "pk": "a"})

    await container.read_item("other", "a")
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await container.read_item("victim", "a")

    assert refused.value.status_code == 403


async def test_a_delay_and_a_dropped_connection(container, admin):
    await container.create_item({"id": "1", "pk": "a"})
    await inject(admin, operation="read", container=container.id, delay_ms=80, count=1)
    started = time.monotonic()
    await container.read_item("1", "a")
    assert time.monotonic() - started >= 0.08

    await inject(admin, operation="create", container=container.id, drop=True)
    with pytest.raises((ServiceRequestError, ServiceResponseError)):
        await container.create_item({"id": "2", "pk": "a"})
    await admin.delete("/_emulator/faults")
    assert [item["id"] async for item in container.read_all_items()] == ["1"]


async def test_a_range_that_is_gone_is_looked_up_again(container, admin):
    for number in range(8):
        await container.create_item({"id": str(number), "pk": str(number)})
    await inject(admin, operation="query", container=container.id, status=410, substatus=1002, count=1)

    assert len([n async for n in container.query_items("SELECT VALUE c.id FROM c WHERE c.pk != 'x'")]) == 8


@pytest.mark.parametrize("rule", [[], {"status": "429"}, {"operation": "read"}, {"unknown": 1, "status": 500}, "x"])
async def test_a_rule_that_is_not_understood_is_refused(admin, rule):
    answer = await admin.post("/_emulator/faults", json=rule)

    assert answer.status == (200 if rule == [] else 400)


async def test_a_budget_that_is_used_up_throttles_until_it_refills(database, admin):
    container = await database.create_container("budget", PartitionKey("/pk"), offer_throughput=400)
    await admin.post("/_emulator/stats/reset")
    await admin.post("/_emulator/throughput", json={"enforced": True})

    async def create(worker):
        for number in range(worker, 60, 3):
            await container.create_item({"id": str(number), "pk": "a"})

    await asyncio.gather(*(create(worker) for worker in range(3)))

    report = await (await admin.get("/_emulator/stats")).json()
    assert report["throttled"] > 0
    created = next(entry for entry in report["operations"] if entry["container"] == "budget")
    assert created["statuses"]["201"] == 60
    assert created["request_units"] > 60 * 5.7


async def test_statistics_and_their_reset(container, admin):
    await admin.post("/_emulator/stats/reset")
    await container.create_item({"id": "1", "pk": "a"})
    await container.read_item("1", "a")

    report = await (await admin.get("/_emulator/stats")).json()

    by_operation = {entry["operation"]: entry for entry in report["operations"] if entry["container"] == container.id}
    assert by_operation["create"]["request_units"] == 5.71
    assert by_operation["read"]["statuses"] == {"200": 1}


async def test_the_explorer_queries_containers(container, admin):
    await container.create_item({"id": "1", "pk": "a", "n": 5})
    page = await admin.get("/_explorer")
    assert (page.status, page.content_type) == (200, "text/html")

    body = {"database": "tests", "container": container.id, "query": "SELECT VALUE c.n FROM c"}
    answer = await (await admin.post("/_emulator/query", json=body)).json()

    assert answer["documents"] == [5]
    assert answer["charge"] > 0
    assert (await admin.post("/_emulator/query", json={**body, "query": "SELECT"})).status == 400
    assert container.id in [entry["container"] for entry in await (await admin.get("/_emulator/containers")).json()]


async def test_pages_of_other_sites_are_refused(admin):
    assert (await admin.get("/_emulator/containers", headers={"Origin": "https://evil.example"})).status == 403
    assert (await admin.get("/_emulator/containers", headers={"Host": "evil.example"})).status == 403


class AnyToken:
    """A credential that needs no tenant."""

    async def get_token(self, *scopes, **_):
        return AccessToken("header.payload.signature", int(time.time()) + 3600)

    async def close(self):
        return None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        return None


async def test_aad_works_over_https_and_not_over_http(start_emulator, tmp_path):
    running = start_emulator(tmp_path, "--tls-port", "0", "--ranges", "1")
    secure_port = running.ready_line.rsplit(":", 1)[1].strip()
    try:
        async with CosmosClient(f"https://127.0.0.1:{secure_port}", AnyToken()) as client:
            database = await client.create_database("d")
            container = await database.create_container("c", PartitionKey("/pk"))
            await container.create_item({"id": "1", "pk": "a"})
            assert (await container.read_item("1", "a"))["id"] == "1"
        insecure = CosmosClient(running.url, AnyToken())
        with pytest.raises(ServiceRequestError):
            await insecure.__aenter__()
        await insecure.close()
    finally:
        assert running.stop() == 0


def test_a_port_in_use_is_reported(emulator, tmp_path):
    command = [sys.executable, "-m", "local_azure.cosmos", "--port", str(emulator.port), "--data", str(tmp_path)]

    root = Path(__file__).parents[3]
    ended = subprocess.run(  # noqa: S603 - our own command line
        command, check=False, capture_output=True, text=True, timeout=20, cwd=root
    )

    assert (ended.returncode, ended.stderr) == (2, f"cosmos: port {emulator.port} is in use\n")
