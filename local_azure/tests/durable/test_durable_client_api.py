"""What the SDK's client can ask for, and the answers of the HTTP API."""

import json
from collections.abc import AsyncIterator

import aiohttp
import azure.functions as func
import pytest

from local_azure.tests.durable.conftest import TaskHub
from local_azure.tests.durable.durable_app import unique


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_start_new_refuses_an_unknown_function(hub: TaskHub):
    with pytest.raises(Exception, match="'nobody' doesn't exist"):
        await hub.client.start_new("nobody")


async def test_start_new_refuses_the_id_of_a_live_instance_and_replaces_one_that_is_over(hub: TaskHub):
    instance_id = unique("single")
    await hub.client.start_new("approval", instance_id, 3600)
    with pytest.raises(Exception, match="already exists"):
        await hub.client.start_new("approval", instance_id, 3600)
    await hub.client.terminate(instance_id, "enough")
    await hub.client.start_new("say_hello", instance_id, "again")
    status = await hub.finished(instance_id)

    assert status.output == "Hello again"


@pytest.mark.parametrize("bad", ["@entity@like", "x" * 101, "with%23hash"])
async def test_start_new_refuses_a_malformed_id(hub: TaskHub, bad: str):
    with pytest.raises(Exception, match="instance id"):
        await hub.client.start_new("say_hello", bad, 1)


async def test_terminate_ends_a_waiting_instance_with_its_reason(hub: TaskHub):
    instance_id = await hub.client.start_new("approval", client_input=3600)
    await hub.client.terminate(instance_id, "no longer wanted")
    status = await hub.finished(instance_id)

    assert status.runtime_status.value == "Terminated"
    assert status.output == "no longer wanted"
    with pytest.raises(Exception, match="gone"):
        await hub.client.raise_event(instance_id, "approved", 1)


async def test_unknown_instances_are_not_found(hub: TaskHub):
    assert not await hub.client.get_status("nobody")
    with pytest.raises(Exception, match="No instance"):
        await hub.client.raise_event("nobody", "x", 1)
    with pytest.raises(Exception, match="No instance"):
        await hub.client.terminate("nobody", "x")
    assert (await hub.client.purge_instance_history("nobody")).instances_deleted == 0


async def test_purge_deletes_what_is_over_and_leaves_what_is_live(hub: TaskHub):
    over = await hub.client.start_new("say_hello", client_input="x")
    live = await hub.client.start_new("approval", client_input=3600)
    await hub.finished(over)

    assert (await hub.client.purge_instance_history(over)).instances_deleted == 1
    assert (await hub.client.purge_instance_history(live)).instances_deleted == 0
    assert not await hub.client.get_status(over)
    assert await hub.client.get_status(live)


async def test_list_shows_all_instances(hub: TaskHub):
    ids = {await hub.client.start_new("say_hello", client_input=str(i)) for i in range(3)}
    listed = await hub.client.get_status_all()

    assert {status.instance_id for status in listed} == ids


async def test_wait_for_completion_returns_the_output_or_the_links(hub: TaskHub):
    request = func.HttpRequest("GET", f"{hub.base_url}/api/x", body=b"")
    quick = await hub.client.start_new("say_hello", client_input="Ada")
    slow = await hub.client.start_new("approval", client_input=3600)
    done = await hub.client.wait_for_completion_or_create_check_status_response(request, quick, 2000, 10)
    pending = await hub.client.wait_for_completion_or_create_check_status_response(request, slow, 50, 10)

    assert (done.status_code, done.get_body()) == (200, b"Hello Ada")
    assert pending.status_code == 202
    assert json.loads(pending.get_body())["id"] == slow


async def test_the_links_of_a_response_work_with_their_key_and_not_without(hub: TaskHub, http: aiohttp.ClientSession):
    instance_id = await hub.client.start_new("approval", client_input=3600)
    links = hub.client.create_http_management_payload(instance_id)
    async with http.get(links["statusQueryGetUri"]) as response:
        assert (response.status, (await response.json())["instanceId"]) == (202, instance_id)
    async with http.get(links["statusQueryGetUri"].split("?")[0]) as response:
        assert response.status == 401
    async with http.post(links["sendEventPostUri"].replace("{eventName}", "approved"), json={"by": "eve"}) as response:
        assert response.status == 202
    status = await hub.finished(instance_id)

    assert status.output == ["approved", {"by": "eve"}]  # encoded once, so the orchestrator got an object


async def test_raise_event_takes_only_json(hub: TaskHub, http: aiohttp.ClientSession):
    instance_id = await hub.client.start_new("approval", client_input=3600)
    url = hub.client.create_http_management_payload(instance_id)["sendEventPostUri"].replace("{eventName}", "x")
    async with http.post(url, data=b"text", headers={"content-type": "text/plain"}) as response:
        assert response.status == 400
    async with http.post(url, data=b"{", headers={"content-type": "application/json"}) as response:
        assert response.status == 400
