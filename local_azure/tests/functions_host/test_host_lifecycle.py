"""How the host starts, stops, dies, and what it does when a worker dies."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from local_azure.tests.functions_host.part_process import APPS, ROOT, wait_until


def _run_to_its_end(app: str, data: Path, *, port: int = 0) -> subprocess.CompletedProcess[str]:
    arguments = ["--app", str(APPS / app), "--port", str(port), "--admin-port", "0", "--data", str(data)]
    return subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "local_azure.functions_host", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_app_that_cannot_be_indexed_ends_with_3_and_the_genuine_error(tmp_path):
    ended = _run_to_its_end("broken_app", tmp_path / "data")

    assert ended.returncode == 3
    assert "the following parameters are declared in Python but not in the function definition" in ended.stderr
    assert ended.stdout == ""


def test_a_folder_without_functions_ends_with_3(tmp_path):
    ended = _run_to_its_end(str(tmp_path), tmp_path / "data")

    assert ended.returncode == 3
    assert "has no function_app.py" in ended.stderr


async def test_a_port_or_data_folder_in_use_and_a_missing_setting_end_with_2(start_host, tmp_path):
    host = start_host("http_app")

    port_taken, data_taken, no_setting = await asyncio.gather(
        asyncio.to_thread(_run_to_its_end, "http_app", tmp_path / "other", port=host.ports[0]),
        asyncio.to_thread(_run_to_its_end, "http_app", host.data),
        asyncio.to_thread(_run_to_its_end, "timer_app", tmp_path / "third"),
    )

    assert [ended.returncode for ended in (port_taken, data_taken, no_setting)] == [2, 2, 2]
    assert f"port {host.ports[0]} cannot be used" in port_taken.stderr
    assert "another host uses the data folder" in data_taken.stderr
    assert "%EVERY_SECOND%" in no_setting.stderr


def test_two_feeds_with_the_same_leases_end_with_2(tmp_path):
    app = tmp_path / "app"
    app.mkdir()
    feed = """
@app.cosmos_db_trigger(arg_name="docs", connection="STORE", database_name="shop", container_name="items")
async def {name}(docs: func.DocumentList) -> None: ...
"""
    text = "import azure.functions as func\napp = func.FunctionApp()\n"
    (app / "function_app.py").write_text(text + feed.format(name="one") + feed.format(name="two"))
    (app / "local.settings.json").write_text(
        '{"Values": {"STORE": "AccountEndpoint=http://127.0.0.1:1/;AccountKey=a;"}}'
    )

    ended = _run_to_its_end(str(app), tmp_path / "data")

    assert ended.returncode == 2
    assert "functions one and two both use the leases 'shop.items..'" in ended.stderr


async def test_sigterm_lets_running_requests_finish(start_host):
    host = start_host("http_app")
    async with aiohttp.ClientSession() as web:
        running = asyncio.create_task(web.get(f"{host.url}/v2/slow/1"))
        await wait_until(lambda: host.metrics()["functions"]["slow"]["in_flight"])

        started = time.monotonic()
        code = await asyncio.to_thread(host.stop)

        async with await running as answer:
            assert (answer.status, await answer.text()) == (200, "slept")
    assert code == 0
    assert time.monotonic() - started < 3


async def test_an_idle_host_stops_at_once(start_host):
    host = start_host("http_app")
    started = time.monotonic()

    code = await asyncio.to_thread(host.stop)

    assert code == 0
    assert time.monotonic() - started < 2


async def test_a_worker_that_dies_is_replaced_and_its_request_fails(start_host):
    host = start_host("http_app", workers=2)
    before = {worker["pid"] for worker in host.metrics()["workers"]}
    assert len(before) == 2

    async with aiohttp.ClientSession() as web:
        async with web.get(f"{host.url}/v2/exit") as answer:
            assert answer.status == 500
        async with web.get(f"{host.url}/v2/echo/x") as answer:
            assert answer.status == 201
    await wait_until(lambda: all(worker["ready"] for worker in host.metrics()["workers"]))

    document = host.metrics()
    assert document["worker_restarts"] == 1
    assert len({worker["pid"] for worker in document["workers"]} - before) == 1
    assert "DIED with 5" in host.log()


async def test_requests_are_spread_over_the_workers(start_host):
    host = start_host("http_app", workers=2)

    async def pid(web: aiohttp.ClientSession) -> int:
        async with web.get(f"{host.url}/v2/echo/x") as answer:
            return (await answer.json())["pid"]

    async with aiohttp.ClientSession() as web, web.get(f"{host.url}/v2/slow/0"):
        blocked = asyncio.create_task(web.get(f"{host.url}/v2/block/0.5"))
        await wait_until(lambda: host.metrics()["functions"]["block"]["in_flight"])
        pids = {await pid(web), await pid(web)}
        (await blocked).release()

    assert len(pids) == 1, "a busy worker is avoided"


@pytest.mark.parametrize("path", ["slow/30", "block/30"])
async def test_workers_leave_at_once_when_the_host_is_killed(start_host, path):
    host = start_host("http_app", workers=1)
    pids = [worker["pid"] for worker in host.metrics()["workers"]]
    async with aiohttp.ClientSession() as web:
        running = asyncio.create_task(web.get(f"{host.url}/v2/{path}"))
        await wait_until(lambda: host.metrics()["functions"][path.split("/")[0]]["in_flight"])

        host.kill()

        await wait_until(lambda: not any(_is_alive(pid) for pid in pids), 2.0, "the workers to leave")
        with pytest.raises(aiohttp.ClientError):
            await running
    assert os.getpid() not in pids
