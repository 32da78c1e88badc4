"""What is left after the engine was killed is taken up again: nothing lost, nothing done twice in the history."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from local_azure.functions_host.durable.store import Store
from local_azure.functions_host.errors import InvocationAborted
from local_azure.tests.durable.conftest import MakeHub, running_hub
from local_azure.tests.durable.durable_app import InProcessInvoker, unique

pytestmark = pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")


async def killed_in_the_middle(data_dir: Path) -> list[str]:
    """The ids that a separate process started on this folder before it was killed with SIGKILL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "local_azure.tests.durable.killed_process",
        str(data_dir),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    ids = []
    try:
        async with asyncio.timeout(30):
            async for line in process.stdout:
                if line == b"busy\n":
                    break
                ids.append(line.decode().strip())
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    return ids


async def test_every_instance_survives_a_sigkill(tmp_path: Path):
    ids = await killed_in_the_middle(tmp_path)
    assert len(ids) == 500

    async with running_hub(tmp_path) as hub:
        interrupted = hub.engine.overview()
        for instance_id in ids:
            if instance_id.startswith("approval"):
                status = await hub.client.get_status(instance_id)
                if status.runtime_status.value in ("Pending", "Running"):
                    await hub.client.raise_event(instance_id, "approved", 1)
        statuses = [await hub.finished(instance_id, 30) for instance_id in ids]
        left = hub.engine._store.query("SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM work)").fetchone()

    assert interrupted["counts"]["Running"] > 50  # it was killed in the middle of something
    assert interrupted["owed"]["activities"] > 0
    assert {status.runtime_status.value for status in statuses} == {"Completed"}
    assert left == (0, 0)


async def test_timers_and_waiting_events_survive_a_restart(tmp_path: Path):
    sleeping, waiting = unique("sleeping"), unique("waiting")
    async with running_hub(tmp_path) as hub:
        await hub.client.start_new("sleeper", sleeping, 0.5)
        await hub.client.start_new("approval", waiting, 3600)
        await hub.until(sleeping, lambda status: status.runtime_status.value == "Running")
    async with running_hub(tmp_path) as hub:
        await hub.client.raise_event(waiting, "approved", "late")

        assert (await hub.finished(sleeping)).output >= 0.5
        assert (await hub.finished(waiting)).output[0] == "approved"


async def test_a_lost_worker_is_not_the_functions_failure(make_hub: MakeHub):
    inner, losses = InProcessInvoker(), {"orchestrator": 2, "activity": 2, "entity": 2}

    async def invoke(kind: str, name: str, payload: str) -> str:
        if losses[kind]:
            losses[kind] -= 1
            raise InvocationAborted
        return await inner(kind, name, payload)

    hub = await make_hub(invoke=invoke)

    assert await hub.output("say_hello", "Ada") == "Hello Ada"
    assert await hub.output("entity_user", "lost") == [8, 9, "entity says no"]
    assert losses == {"orchestrator": 0, "activity": 0, "entity": 0}


async def test_events_kept_by_continue_as_new_survive_a_restart(tmp_path: Path):
    instance_id = unique("collector")
    async with running_hub(tmp_path) as hub:
        await hub.client.start_new("event_collector", instance_id)
        for value in range(3):
            await hub.client.raise_event(instance_id, "item", value)
    async with running_hub(tmp_path) as hub:
        for value in (3, 4):
            await hub.client.raise_event(instance_id, "item", value)

        assert sorted((await hub.finished(instance_id)).output) == ["0", "1", "2", "3", "4"]


async def test_an_instance_is_terminated_right_after_a_restart(tmp_path: Path):
    instance_id = unique("terminated")
    async with running_hub(tmp_path) as hub:
        await hub.client.start_new("approval", instance_id, 3600)
        await hub.until(instance_id, lambda status: status.runtime_status.value == "Running")
    async with running_hub(tmp_path) as hub:
        await hub.client.terminate(instance_id, "enough")
        status = await hub.client.get_status(instance_id, show_history=True)

    assert status.output == "enough"
    assert status.historyEvents[-1]["EventType"] == "ExecutionTerminated"


async def test_a_second_engine_on_the_same_task_hub_is_refused(make_hub: MakeHub, tmp_path: Path):
    await make_hub()
    with pytest.raises(Exception, match="another process"):
        await make_hub(tmp_path)


@pytest.mark.parametrize("name", ["../up", "", "a b"])
async def test_a_task_hub_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="hubName"):
        Store(tmp_path, name, synchronous="NORMAL")
