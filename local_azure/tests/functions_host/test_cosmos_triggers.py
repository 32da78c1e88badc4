"""Cosmos DB triggers against the emulator."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from azure.cosmos.aio import ContainerProxy, CosmosClient

from local_azure.tests.functions_host.part_process import HostProcess, wait_until


@pytest.fixture(scope="module")
def account(start_account):
    return start_account()


@pytest.fixture(scope="module")
def host(start_host, account) -> HostProcess:
    return start_host("feed_app", STORE=account.connection_string, FEED_PREFIX="shared", FAIL_ON="bad")


@pytest.fixture
async def items(account) -> AsyncIterator[ContainerProxy]:
    async with CosmosClient(account.url, account.key) as client:
        yield client.get_database_client("shop").get_container_client("items")


def ids(host: HostProcess, function: str = "every_change") -> list[str]:
    return [document for record in host.records() if record["function"] == function for document in record["ids"]]


async def put(items: ContainerProxy, *names: str) -> None:
    for name in names:
        await items.upsert_item({"id": name, "pk": name})


async def checkpoints(account, prefix: str, claim: Callable[[dict[str, str | None]], bool]) -> dict[str, str | None]:
    """Wait until what both functions have stored is as claimed; the token by lease."""
    async with CosmosClient(account.url, account.key) as client:
        container = client.get_database_client("shop").get_container_client("leases")
        async with asyncio.timeout(10):
            while True:
                documents = [document async for document in container.read_all_items()]
                ours = [lease for lease in documents if lease["id"].removeprefix("now-").startswith(prefix)]
                found = {lease["id"]: lease["ContinuationToken"] for lease in ours}
                if claim(found):
                    return found


async def test_changes_arrive_from_the_beginning_in_batches_and_only_once(items, host):
    await put(items, *(f"doc{number}" for number in range(20)))

    await wait_until(lambda: len(ids(host)) >= 20)

    assert sorted(ids(host)) == sorted(f"doc{number}" for number in range(20))
    sizes = [len(record["ids"]) for record in host.records() if record["function"] == "every_change"]
    assert max(sizes) <= 5


async def test_a_failed_batch_is_retried_then_delivered_again_without_advancing(items, host):
    await put(items, "bad")
    await wait_until(lambda: ids(host).count("bad") == 4)
    await put(items, "next1", "next2", "next3", "next4")
    await wait_until(lambda: {"next1", "next2", "next3", "next4"} <= set(ids(host)))

    retries = [record["retry"] for record in host.records() if "bad" in record["ids"] and "retry" in record]
    assert retries == [0, 1, 0, 1], "the policy's retry, then the whole delivery again"


async def test_a_killed_host_goes_on_where_it_was_and_a_feed_from_now_misses_nothing(start_host, account, items):
    host = start_host("feed_app", STORE=account.connection_string, FEED_PREFIX="restart")
    await wait_until(lambda: len(ids(host)) >= 25)
    first = await checkpoints(account, "restart", lambda found: len(found) == 4 and None not in found.values())
    await put(items, "before the kill")
    await wait_until(lambda: "before the kill" in ids(host, "new_changes") and "before the kill" in ids(host))
    await checkpoints(account, "restart", lambda found: len(set(found.items()) - set(first.items())) == 2)
    already = len(ids(host))
    host.kill()
    await put(items, "while dead")

    again = start_host("feed_app", data=host.data, STORE=account.connection_string, FEED_PREFIX="restart")
    await wait_until(lambda: "while dead" in ids(again) and "while dead" in ids(again, "new_changes"))

    assert len(ids(again)) == already + 1, "no batch of before came again"


async def test_two_hosts_share_the_ranges(start_host, account, items):
    settings = {"STORE": account.connection_string, "FEED_PREFIX": "pair"}
    first = start_host("feed_app", **settings)
    await wait_until(lambda: len(_leases(first)) == 2)
    second = start_host("feed_app", **settings)

    await wait_until(lambda: len(_leases(first)) == len(_leases(second)) == 1, 15)
    await wait_until(lambda: len(ids(first) + ids(second)) >= 20)
    before = (len(ids(first)), len(ids(second)))
    await put(items, *(f"shared{number}" for number in range(30)))
    await wait_until(lambda: sum(name.startswith("shared") for name in ids(first) + ids(second)) == 30)

    assert len(ids(first)) > before[0]
    assert len(ids(second)) > before[1]


def _leases(host: HostProcess) -> list[str]:
    return next(entry["leases"] for entry in host.metrics()["listeners"] if entry["function"] == "every_change")


async def test_the_host_waits_for_the_account_and_survives_its_death(start_host, start_account, free_port, tmp_path):
    port = free_port()
    key = "dGVzdCBrZXk="
    text = f"AccountEndpoint=http://127.0.0.1:{port}/;AccountKey={key};"
    host = start_host("feed_app", STORE=text, FEED_PREFIX="away")
    await wait_until(lambda: "every_change: shop/items is away" in host.log())

    first = start_account(tmp_path, port, key)
    async with CosmosClient(first.url, key) as client:
        await put(client.get_database_client("shop").get_container_client("items"), "one")
    await wait_until(lambda: "one" in ids(host))
    first.kill()
    await wait_until(lambda: host.log().count("every_change: shop/items is away") == 2)
    second = start_account(tmp_path, port, key)
    async with CosmosClient(second.url, key) as client:
        await put(client.get_database_client("shop").get_container_client("items"), "two")
    await wait_until(lambda: "two" in ids(host))

    assert ids(host).count("one") in (1, 2), "the death may come before the token was stored"


async def test_outputs_are_upserted_and_a_container_is_made_where_the_binding_says_so(host, account):
    documents = [{"id": f"copy{number}", "pk": "p", "text": "ä"} for number in range(3)]
    async with aiohttp.ClientSession() as web:
        for changed in (documents, [{**documents[0], "text": "changed"}]):
            async with web.post(f"{host.url}/api/copy", json=changed) as answer:
                assert (answer.status, await answer.text()) == (200, "copied")
        statuses = [(await web.get(f"{host.url}/api/make/{name}")).status for name in ("here", "nowhere")]

    async with CosmosClient(account.url, account.key) as client:
        other = client.get_database_client("shop").get_container_client("other")
        copied = {item["id"]: item["text"] async for item in other.read_all_items()}
        here = client.get_database_client("made").get_container_client("here")
        made = await here.read_item("x", "y")
    assert copied == {"copy0": "changed", "copy1": "ä", "copy2": "ä"}
    assert made["id"] == "x"
    assert statuses == [200, 500], "an output that cannot be delivered fails its invocation"
