"""Killed under load, the emulator has every write it acknowledged; concurrent conditional writes lose nothing."""

import asyncio

from azure.core import MatchConditions
from azure.core.exceptions import AzureError
from azure.cosmos import PartitionKey, exceptions
from azure.cosmos.aio import CosmosClient

WRITERS = 12
WANTED = 400


async def test_no_acknowledged_write_is_lost_when_the_process_is_killed(start_emulator, account_key, tmp_path):
    running = start_emulator(tmp_path)
    acknowledged: set[str] = set()
    enough = asyncio.Event()

    async def write(container, writer):
        try:
            for number in range(10_000):
                ids = [f"{writer}-{number}-{part}" for part in range(3)]
                if writer % 2:
                    batch = [("create", ({"id": item_id, "pk": str(writer)},)) for item_id in ids]
                    await container.execute_item_batch(batch, str(writer))
                    acknowledged.update(ids)
                else:
                    await container.upsert_item({"id": ids[0], "pk": str(writer)})
                    acknowledged.add(ids[0])
                if len(acknowledged) > WANTED:
                    enough.set()
        except AzureError:
            return

    async with CosmosClient(running.url, account_key, retry_total=0, retry_connect=0) as client:
        database = await client.create_database("d")
        container = await database.create_container("c", PartitionKey("/pk"))
        writers = [asyncio.create_task(write(container, writer)) for writer in range(WRITERS)]
        await asyncio.wait_for(enough.wait(), 30)
        running.kill()
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)

    running = start_emulator(tmp_path)
    try:
        async with CosmosClient(running.url, account_key) as client:
            container = client.get_database_client("d").get_container_client("c")
            stored = {item["id"] async for item in container.query_items("SELECT c.id FROM c")}
            fed = [item["id"] async for item in container.query_items_change_feed(start_time="Beginning")]
    finally:
        assert running.stop() == 0

    assert acknowledged <= stored
    assert sorted(fed) == sorted(stored)
    assert all(sum(f"{item_id.rsplit('-', 1)[0]}-{part}" in stored for part in range(3)) == 3
               for item_id in stored if int(item_id.split("-")[0]) % 2)  # fmt: skip


async def test_concurrent_conditional_increments_lose_nothing(container):
    await container.create_item({"id": "1", "pk": "a", "n": 0, "m": 0})

    async def increment():
        for _ in range(5):
            while True:
                item = await container.read_item("1", "a")
                item["n"] += 1
                try:
                    await container.replace_item(
                        "1", item, etag=item["_etag"], match_condition=MatchConditions.IfNotModified
                    )
                    break
                except exceptions.CosmosAccessConditionFailedError:
                    continue
            await container.patch_item("1", "a", [{"op": "incr", "path": "/m", "value": 1}])

    await asyncio.gather(*(increment() for _ in range(6)))

    item = await container.read_item("1", "a")
    assert (item["n"], item["m"]) == (30, 30)
