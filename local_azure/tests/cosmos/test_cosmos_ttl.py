"""Time to live, with a clock the test turns."""

import pytest
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient

from local_azure.cosmos.service import Service


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def service(tmp_path, clock, account_key):
    running = Service.open(tmp_path, ranges=2, account_key=account_key, clock=clock)
    running.port = await running.listen(0)
    yield running
    await running.stop()


@pytest.fixture
async def database(service, account_key):
    async with CosmosClient(f"http://127.0.0.1:{service.port}", account_key) as client:
        yield await client.create_database("d")


async def present(container):
    return sorted([item["id"] async for item in container.query_items("SELECT c.id FROM c", partition_key="a")])


async def test_default_override_and_never(database, clock):
    container = await database.create_container("c", PartitionKey("/pk"), default_ttl=100)
    for item_id, ttl in (("default", None), ("short", 10), ("never", -1)):
        await container.create_item({"id": item_id, "pk": "a", **({} if ttl is None else {"ttl": ttl})})

    clock.now += 50
    assert await present(container) == ["default", "never"]
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await container.read_item("short", "a")
    clock.now += 100
    assert await present(container) == ["never"]


async def test_without_a_default_nothing_expires_until_one_is_set(database, clock):
    container = await database.create_container("c", PartitionKey("/pk"))
    await container.create_item({"id": "1", "pk": "a", "ttl": 10})
    clock.now += 1000
    assert await present(container) == ["1"]

    await database.replace_container(container, PartitionKey("/pk"), default_ttl=-1)

    assert await present(container) == []


async def test_an_expired_item_is_gone_everywhere_and_its_id_is_free(database, clock, service):
    container = await database.create_container("c", PartitionKey("/pk"), default_ttl=10)
    await container.create_item({"id": "1", "pk": "a", "n": 1})
    clock.now += 11

    counted = [n async for n in container.query_items("SELECT VALUE COUNT(1) FROM c", partition_key="a")]
    assert counted == [0]
    assert [item async for item in container.query_items_change_feed(start_time="Beginning")] == []
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await container.patch_item("1", "a", [{"op": "incr", "path": "/n", "value": 1}])
    assert (await container.create_item({"id": "1", "pk": "a", "n": 2}))["n"] == 2

    clock.now += 11
    opened = service.emulator.catalog.container("d", "c")
    assert (opened.remove_expired(100), opened.table.count(0)) == (1, 0)


async def test_a_write_renews_the_time(database, clock):
    container = await database.create_container("c", PartitionKey("/pk"), default_ttl=10)
    await container.create_item({"id": "1", "pk": "a", "n": 1})
    for _ in range(3):
        clock.now += 8
        await container.patch_item("1", "a", [{"op": "incr", "path": "/n", "value": 1}])

    assert (await container.read_item("1", "a"))["n"] == 4
