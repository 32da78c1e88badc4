"""Suspend, resume, rewind, restart, versions, purge by filter, history, limits: the rest of the client's API."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import aiohttp
import azure.durable_functions as df
import pytest

from local_azure.tests.durable.conftest import MakeHub, TaskHub
from local_azure.tests.durable.durable_app import InProcessInvoker, runs, unique

pytestmark = pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")


async def test_a_suspended_instance_takes_no_turn_until_it_is_resumed(hub: TaskHub):
    instance_id = await hub.client.start_new("approval", client_input=3600)
    await hub.until(instance_id, lambda status: status.runtime_status.value == "Running")
    await hub.client.suspend(instance_id, "hold")
    await hub.client.raise_event(instance_id, "approved", "yes")
    turns = hub.invoker.calls["orchestrator"]
    suspended = await hub.client.get_status(instance_id)
    assert suspended.runtime_status.value == "Suspended"
    assert hub.invoker.calls["orchestrator"] == turns
    await hub.client.resume(instance_id, "go on")

    assert (await hub.finished(instance_id)).output == ["approved", '"yes"']


async def test_a_suspended_instance_can_be_terminated(hub: TaskHub):
    instance_id = await hub.client.start_new("approval", client_input=3600)
    await hub.client.suspend(instance_id, "hold")
    await hub.client.terminate(instance_id, "stop")

    assert (await hub.finished(instance_id)).runtime_status.value == "Terminated"


async def test_rewind_runs_only_the_failed_activity_again(hub: TaskHub):
    instance_id, key = unique("rewound"), unique("key")
    await hub.client.start_new("cleans_up_then_fails", instance_id, key)
    assert (await hub.finished(instance_id)).runtime_status.value == "Failed"
    squares = hub.invoker.calls["activity"]
    await hub.client.rewind(instance_id, "repaired")
    status = await hub.finished(instance_id)

    assert status.output == [9, f"{key} after 2", 16, 25]
    assert hub.invoker.calls["activity"] <= squares + 4


async def test_rewind_goes_into_failed_sub_orchestrations(hub: TaskHub):
    key = unique("child")
    instance_id = await hub.client.start_new("parent_of_calls_flaky", client_input={"key": key, "failures": 1})
    assert (await hub.finished(instance_id)).runtime_status.value == "Failed"
    await hub.client.rewind(instance_id, "repaired")

    assert (await hub.finished(instance_id)).output == ["parent", f"{key} after 2"]


async def test_rewind_repeats_the_last_of_exhausted_attempts(hub: TaskHub):
    key = unique("exhausted")
    plan = {"key": key, "failures": 3, "attempts": 3}
    instance_id = await hub.client.start_new("retrying", client_input=plan)
    assert (await hub.finished(instance_id)).runtime_status.value == "Failed"
    await hub.client.rewind(instance_id, "repaired")

    assert (await hub.finished(instance_id)).output == f"{key} after 4"


async def test_rewind_is_refused_unless_the_instance_failed(hub: TaskHub):
    instance_id = await hub.client.start_new("say_hello", client_input="x")
    await hub.finished(instance_id)
    with pytest.raises(Exception, match="only supported on failed"):
        await hub.client.rewind(instance_id, "why not")
    with pytest.raises(Exception, match="No instance"):
        await hub.client.rewind("nobody", "why not")


async def test_restart_runs_the_same_input_under_a_new_or_the_same_id(hub: TaskHub):
    instance_id = unique("again")
    await hub.client.start_new("say_hello", instance_id, "Ada")
    await hub.finished(instance_id)
    links = await hub.client.restart(instance_id)
    assert links["id"] != instance_id  # the extension answers with the new instance's links
    assert (await hub.finished(links["id"])).output == "Hello Ada"
    links = await hub.client.restart(instance_id, restart_with_new_instance_id=False)

    assert links["id"] == instance_id
    assert (await hub.finished(instance_id)).output == "Hello Ada"


async def test_a_version_reaches_the_orchestrator(make_hub: MakeHub):
    hub = await make_hub(default_version="1.0")

    assert (await hub.output("describe", version="2.5"))[1] == "2.5"
    assert (await hub.output("describe"))[1] == "1.0"


async def test_history_shows_what_happened_and_outputs_only_on_request(hub: TaskHub):
    instance_id = await hub.client.start_new("say_hello", client_input="Ada")
    await hub.finished(instance_id)
    plain = (await hub.client.get_status(instance_id, show_history=True)).historyEvents
    full = (await hub.client.get_status(instance_id, show_history=True, show_history_output=True)).historyEvents

    assert [entry["EventType"] for entry in plain] == ["ExecutionStarted", "TaskCompleted", "ExecutionCompleted"]
    assert plain[1]["FunctionName"] == "hello"
    assert "Result" not in plain[1]
    assert full[1]["Result"] == "Hello Ada"
    assert (await hub.client.get_status(instance_id)).historyEvents is None


async def test_instances_are_listed_and_purged_by_filter(hub: TaskHub):
    before = datetime.now(UTC) - timedelta(seconds=1)
    failed = await hub.client.start_new("failing", unique("odd"), 1)
    done = [await hub.client.start_new("say_hello", unique("even"), "x") for _ in range(3)]
    waiting = await hub.client.start_new("approval", unique("even"), 3600)
    for instance_id in (failed, *done):
        await hub.finished(instance_id)
    completed = df.OrchestrationRuntimeStatus.Completed
    listed = await hub.client.get_status_by(before, runtime_status=[completed], instance_id_prefix="even")
    none = await hub.client.get_status_by(created_time_to=before)
    purged = await hub.client.purge_instance_history_by(before, runtime_status=[completed])
    rest = {status.instance_id for status in await hub.client.get_status_all()}

    assert {status.instance_id for status in listed} == set(done)
    assert none == []
    assert purged.instances_deleted == 3
    assert rest == {failed, waiting}
    assert (await hub.client.purge_instance_history_by(datetime.now(UTC))).instances_deleted == 0


async def test_a_long_list_comes_in_pages(hub: TaskHub):
    ids = [await hub.client.start_new("say_hello", client_input="x") for _ in range(5)]
    seen, token = [], ""
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            url = f"{hub.base_url}/durable/rpc/instances/?top=2"
            async with http.get(url, headers={"x-ms-continuation-token": token}) as response:
                seen += [status["instanceId"] for status in await response.json()]
                token = response.headers["x-ms-continuation-token"]

    assert seen == ids
    assert token == ""


REFUSED = [
    ("GET", "instances/nobody", 404),
    ("DELETE", "instances/nobody", 404),
    ("POST", "instances/nobody/suspend", 404),
    ("POST", "instances/nobody/restart", 404),
    ("POST", "instances/nobody/dance", 404),
    ("GET", "instances/?runtimeStatus=Happy", 400),
    ("GET", "instances/?createdTimeFrom=yesterday", 400),
    ("GET", "instances/?top=-1", 400),
    ("GET", "instances/?top=99999999999999999999", 200),
    ("POST", "orchestrators/say_hello?timeout=nan&pollingInterval=1", 400),
    ("DELETE", "instances/", 400),
    ("POST", "orchestrators/nobody", 400),
    ("GET", "orchestrators/say_hello", 404),
    ("GET", "entities/Counter/none", 404),
    ("POST", "entities/Nothing/1?op=add", 400),
    ("GET", "elsewhere", 404),
    ("POST", "orchestrators/say_hello/%ff", 400),
]


async def test_answers_to_what_cannot_be(hub: TaskHub):
    answers = []
    async with aiohttp.ClientSession() as http:
        for method, path, _ in REFUSED:
            async with http.request(method, f"{hub.base_url}/durable/rpc/{path}") as response:
                answers.append((method, path, response.status))

    assert answers == REFUSED


@pytest.mark.parametrize(("levels", "status"), [(150, 202), (201, 400), (5000, 400)])
async def test_input_is_nested_only_as_deeply_as_it_can_be_shown_again(hub: TaskHub, levels: int, status: int):
    base = f"{hub.base_url}/durable/rpc"
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{base}/orchestrators/say_hello/deep", data="[" * levels + "]" * levels) as response:
            assert response.status == status
        async with http.get(f"{base}/instances/deep?showHistory=true") as response:
            assert (response.status == 404) == (status == 400)
    json.dumps(hub.engine.overview())


async def test_answers_for_an_instance_that_is_over(hub: TaskHub):
    instance_id = await hub.client.start_new("failing", client_input=1)
    await hub.finished(instance_id)
    base = f"{hub.base_url}/durable/rpc/instances/{instance_id}"
    statuses = {}
    async with aiohttp.ClientSession() as http:
        for operation in ("terminate", "suspend", "resume", "raiseEvent/x"):
            async with http.post(f"{base}/{operation}", json=1) as response:
                statuses[operation] = response.status
        async with http.get(f"{base}?returnInternalServerErrorOnFailure=true") as response:
            statuses["status"] = response.status

    assert statuses == {"terminate": 410, "suspend": 410, "resume": 410, "raiseEvent/x": 410, "status": 500}


async def test_a_start_can_wait_for_the_output(hub: TaskHub):
    base = f"{hub.base_url}/durable/rpc/orchestrators"
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{base}/say_hello?timeout=5&pollingInterval=0.01", json='"Ada"') as response:
            assert (response.status, await response.json()) == (200, "Hello Ada")
        async with http.post(f"{base}/approval?timeout=0.05&pollingInterval=0.01", json="3600") as response:
            assert response.status == 202


async def test_no_more_activities_run_at_once_than_allowed(make_hub: MakeHub):
    inner, now, most = InProcessInvoker(), Counter(), Counter()

    async def invoke(kind: str, name: str, payload: str) -> str:
        now[kind] += 1
        most[kind] = max(most[kind], now[kind])
        try:
            await asyncio.sleep(0.002)
            return await inner(kind, name, payload)
        finally:
            now[kind] -= 1

    hub = await make_hub(invoke=invoke, max_concurrent_activities=3, max_concurrent_orchestrators=2)
    await asyncio.gather(*(hub.output("many_slow", 4) for _ in range(5)))

    assert most == {"activity": 3, "orchestrator": 2}


async def test_activities_already_owed_still_run_after_the_end_and_their_results_are_dropped(hub: TaskHub):
    ended = runs["slow ended"]
    instance_id = await hub.client.start_new("forgets_a_slow_activity")
    status = await hub.finished(instance_id)
    assert status.output == "done"
    async with asyncio.timeout(5):
        while runs["slow ended"] == ended:  # noqa: ASYNC110 - a counter, not an event
            await asyncio.sleep(0.01)
    history = (await hub.client.get_status(instance_id, show_history=True)).historyEvents

    assert history[-1]["EventType"] == "ExecutionCompleted"


async def test_timers_follow_the_engines_clock(make_hub: MakeHub):
    ahead = timedelta(0)
    hub = await make_hub(clock=lambda: datetime.now(UTC) + ahead)
    instance_id = await hub.client.start_new("sleeper", client_input=30 * 24 * 3600)
    await hub.until(instance_id, lambda status: status.runtime_status.value == "Running")
    ahead = timedelta(days=31)

    assert (await hub.finished(instance_id)).output >= 30 * 24 * 3600


async def test_a_turn_with_thousands_of_events_still_works(hub: TaskHub):
    assert await hub.output("fan_out", 1200) == sum(i * i for i in range(1200))


async def test_the_overview_is_json_with_histories(hub: TaskHub):
    done = await hub.client.start_new("say_hello", client_input="Ada")
    waiting = await hub.client.start_new("approval", client_input=3600)
    await hub.finished(done)
    await hub.until(waiting, lambda status: status.runtime_status.value == "Running")
    picture = json.loads(json.dumps(hub.engine.overview()))

    assert picture["counts"] == {"Completed": 1, "Running": 1}
    assert [instance["instanceId"] for instance in picture["running"]] == [waiting]
    assert picture["recent"][0]["history"][-1]["Result"] == "Hello Ada"
    assert picture["owed"] == {"activities": 0, "timers": 1}
