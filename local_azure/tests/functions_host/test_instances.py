"""Dedicated worker processes for one function or group: started, added, taken away and killed while messages flow."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from azure.cosmos.aio import CosmosClient
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.instance_counts import read_instances, read_worker_count
from local_azure.tests.functions_host.part_process import HostProcess, wait_until


class Control:
    """The admin API of a host, with its master key."""

    def __init__(self, host: HostProcess, web: aiohttp.ClientSession) -> None:
        self.host, self.web = host, web
        self.key = {"x-functions-key": host.keys()["master"]}

    async def set_count(self, name: str, count: int) -> tuple[int, dict[str, Any]]:
        change = {"function": name, "count": count}
        async with self.web.post(f"{self.host.admin_url}/admin/instances", json=change, headers=self.key) as answer:
            return answer.status, await answer.json()

    async def take(self, pid: int, query: str = "") -> int:
        url = f"{self.host.admin_url}/admin/instances/{pid}{query}"
        async with self.web.delete(url, headers=self.key) as answer:
            return answer.status

    def pids(self, serves: str) -> set[int]:
        return {worker["pid"] for worker in self.host.metrics()["workers"] if worker["serves"] == serves}


@pytest.fixture(scope="module")
def broker(start_broker):
    return start_broker()


@pytest.fixture
async def client(broker) -> AsyncIterator[ServiceBusClient]:
    async with ServiceBusClient.from_connection_string(broker.connection_string) as opened:
        yield opened


@pytest.fixture(scope="module")
def host(start_host, broker) -> HostProcess:
    options = ("--instances", "long_runner=2", "--instances", "http=1", "--scale-in-seconds", "0.6")
    return start_host("bus_app", BUS=broker.connection_string, ORDERS_QUEUE="orders", arguments=options)


@pytest.fixture
async def control(host) -> AsyncIterator[Control]:
    async with aiohttp.ClientSession() as web:
        yield Control(host, web)


async def send(client: ServiceBusClient, queue: str, *bodies: str) -> None:
    async with client.get_queue_sender(queue) as sender:
        await sender.send_messages([ServiceBusMessage(body) for body in bodies])


def runs(host: HostProcess, body: str, state: str) -> list[dict[str, Any]]:
    return [record for record in host.records() if record.get("body") == body and record.get("state") == state]


async def test_each_instance_has_its_own_receiver_and_its_own_limit(host, control, client):
    mine, default = control.pids("long_runner"), control.pids("default")
    await wait_until(lambda: host.log().count("long_runner: listening on long") == 2)

    await send(client, "long", *["0.51"] * 20)
    await wait_until(lambda: len(runs(host, "0.51", "ended")) == 20)
    await send(client, "orders", "to the default worker")
    [order] = await wait_until(lambda: [r for r in host.records() if r.get("body") == "to the default worker"])

    assert (len(mine), len(default), len(control.pids("http"))) == (2, 1, 1)
    assert {record["pid"] for record in runs(host, "0.51", "started")} == mine
    running = most = 0
    for record in host.records():
        if record.get("body") == "0.51":
            running += 1 if record["state"] == "started" else -1
            most = max(most, running)
    assert 8 < most <= 16, "maxConcurrentCalls is 8 for each of the two"
    assert order["pid"] in default
    listeners = [(item["function"], item.get("worker") is None) for item in host.metrics()["listeners"]]
    assert sorted(listeners) == [("audit", True), ("long_runner", False), ("long_runner", False), ("order", True)]


async def test_counts_change_at_run_time_and_down_to_none_is_the_default_worker_again(host, control, client):
    status, described = await control.set_count("order", 1)
    await send(client, "orders", "dedicated")
    [dedicated] = await wait_until(lambda: [r for r in host.records() if r.get("body") == "dedicated"])
    mine = control.pids("order")
    status_none, _ = await control.set_count("order", 0)
    await send(client, "orders", "shared again")
    [shared] = await wait_until(lambda: [r for r in host.records() if r.get("body") == "shared again"])

    assert (status, described["counts"]["order"], status_none) == (200, 1, 200)
    assert mine == {dedicated["pid"]}
    assert {shared["pid"]} == control.pids("default")
    assert control.pids("order") == set()


async def test_scale_in_gives_what_runs_its_seconds_then_aborts_it_and_the_message_comes_again(host, control, client):
    before = control.pids("long_runner")
    await send(client, "long", *["0.3"] * 4, *["1.7"] * 10)
    await wait_until(lambda: len(runs(host, "1.7", "started")) == 10)
    victim = runs(host, "1.7", "started")[0]["pid"]

    assert await control.take(victim) == 200
    assert control.pids("long_runner") == before - {victim}
    await wait_until(lambda: len(runs(host, "1.7", "ended")) == 10, 15)

    ended = runs(host, "1.7", "ended")
    assert {record["pid"] for record in ended} == before - {victim}
    aborted = [record for record in runs(host, "1.7", "started") if record["pid"] == victim]
    assert aborted
    assert sum(record["delivery_count"] == 2 for record in ended) == len(aborted)
    assert len(runs(host, "0.3", "ended")) == 4, "what is done within the seconds is done once"
    assert "invocations are aborted" in host.log()


async def test_a_killed_instance_is_replaced_and_its_messages_come_again(host, control, client):
    await control.set_count("long_runner", 1)
    [victim] = control.pids("long_runner")
    await send(client, "long", "0.9")
    await wait_until(lambda: runs(host, "0.9", "started"))

    assert await control.take(victim, "?signal=KILL") == 200
    await wait_until(lambda: runs(host, "0.9", "ended"))

    assert control.pids("long_runner").isdisjoint({victim})
    assert [record["delivery_count"] for record in runs(host, "0.9", "started")] == [1, 2]


async def test_sigterm_from_outside_drains_the_worker_and_it_is_replaced(host, control, client):
    [pid] = control.pids("long_runner")
    await send(client, "long", "0.4")
    await wait_until(lambda: runs(host, "0.4", "started"))

    os.kill(pid, signal.SIGTERM)
    await wait_until(lambda: control.pids("long_runner").isdisjoint({pid}) and len(control.pids("long_runner")) == 1)

    assert len(runs(host, "0.4", "started")) == len(runs(host, "0.4", "ended")) == 1
    assert f"(pid {pid}) left on SIGTERM" in host.log()


async def test_what_cannot_be_is_refused(host, control):
    [default] = control.pids("default")
    async with control.web.post(f"{host.admin_url}/admin/instances", json={"function": "http", "count": 2}) as answer:
        without_key = answer.status
    assert without_key == 401
    assert await control.take(default) == 409
    assert await control.take(1) == 404
    assert await control.take(default, "?signal=HUP") == 400
    for name, count in (("nothing", 1), ("send", 1), ("order", -1), ("order", 1000), ("default", 0)):
        status, document = await control.set_count(name, count)
        assert status == 400, document
    async with control.web.post(f"{host.admin_url}/admin/instances", data=b"[" * 9999, headers=control.key) as answer:
        assert answer.status == 400
    assert control.pids("default") == {default}


async def test_instances_of_a_change_feed_share_its_leases(start_host, start_account):
    account = start_account()
    options = ("--instances", "every_change=2")
    host = start_host("feed_app", STORE=account.connection_string, FEED_PREFIX="spread", arguments=options)

    def held() -> list[int]:
        return [len(item["leases"]) for item in host.metrics()["listeners"] if item["function"] == "every_change"]

    await wait_until(lambda: len(held()) == 2 and len(set(held())) == 1 and held()[0], what="the same share for each")
    async with CosmosClient(account.url, account.key) as client, aiohttp.ClientSession() as web:
        items = client.get_database_client("shop").get_container_client("items")
        await asyncio.gather(*(items.upsert_item({"id": f"doc{n}", "pk": f"doc{n}"}) for n in range(40)))
        seen = await wait_until(
            lambda: (
                [(r["pid"], i) for r in host.records() if r["function"] == "every_change" for i in r["ids"]][39:]
                and host.records()
            )
        )
        await Control(host, web).set_count("every_change", 1)
        await wait_until(lambda: len(held()) == 1 and held()[0] >= 2, what="all leases with the one that is left")
        await items.upsert_item({"id": "after", "pk": "after"})
        await wait_until(lambda: [r for r in host.records() if r["function"] == "every_change" and "after" in r["ids"]])

    pids = {record["pid"] for record in seen if record["function"] == "every_change"}
    ids = sorted(i for record in seen if record["function"] == "every_change" for i in record["ids"])
    assert len(pids) == 2
    assert ids == sorted(f"doc{n}" for n in range(40)), "each change once"


def test_counts_come_from_the_command_line_then_from_azures_setting():
    assert read_worker_count(None, {}) == 1
    assert read_worker_count(None, {"FUNCTIONS_WORKER_PROCESS_COUNT": "3"}) == 3
    assert read_worker_count(2, {"FUNCTIONS_WORKER_PROCESS_COUNT": "3"}) == 2
    assert read_instances(["a=1", "http=2", "a=0"]) == {"a": 0, "http": 2}
    for given, setting in ((0, "1"), (-1, "1"), (None, "many"), (None, "0")):
        with pytest.raises(SettingsInvalid):
            read_worker_count(given, {"FUNCTIONS_WORKER_PROCESS_COUNT": setting})
    for text in ("a", "=1", "a=", "a=x", "a=-1"):
        with pytest.raises(SettingsInvalid):
            read_instances([text])
