"""The change feed through the real SDK: starts, order, feed ranges, continuation over a killed process."""

from datetime import UTC, datetime, timedelta

from azure.cosmos import PartitionKey
from azure.cosmos.aio import CosmosClient


async def read_feed(container, **start):
    """(ids, continuation) of one drain of the feed."""
    feed = container.query_items_change_feed(**start)
    found = [item["id"] async for item in feed]
    return found, container.client_connection.last_response_headers["etag"]


async def fill(container, *item_ids):
    for item_id in item_ids:
        await container.upsert_item({"id": item_id, "pk": item_id})


async def test_from_the_beginning_updates_collapse_and_deletes_are_absent(container):
    await fill(container, "1", "2", "3", "1")
    await container.delete_item("2", "2")

    found, _ = await read_feed(container, start_time="Beginning")

    assert sorted(found) == ["1", "3"]


async def test_from_now_only_later_changes_appear(container):
    await fill(container, "1", "2")
    found, token = await read_feed(container, start_time="Now")
    assert found == []

    await fill(container, "3", "1")

    assert sorted((await read_feed(container, continuation=token))[0]) == ["1", "3"]


async def test_from_a_point_in_time(container):
    await fill(container, "1")

    assert (await read_feed(container, start_time=datetime.now(UTC) - timedelta(hours=1)))[0] == ["1"]
    assert (await read_feed(container, start_time=datetime.now(UTC) + timedelta(hours=1)))[0] == []


async def test_continuation_sees_each_change_once(container):
    await fill(container, *map(str, range(25)))
    found, token = await read_feed(container, start_time="Beginning", max_item_count=4)
    assert sorted(map(int, found)) == list(range(25))

    assert (await read_feed(container, continuation=token))[0] == []
    await fill(container, "7", "new")
    found, token = await read_feed(container, continuation=token)
    assert sorted(found) == ["7", "new"]
    await container.patch_item("7", "7", [{"op": "set", "path": "/x", "value": 1}])
    await container.execute_item_batch([("upsert", ({"id": "new", "pk": "new"},))], "new")
    assert sorted((await read_feed(container, continuation=token))[0]) == ["7", "new"]


async def test_feed_ranges_share_the_changes_without_overlap(container):
    await fill(container, *map(str, range(40)))
    ranges = [feed_range async for feed_range in container.read_feed_ranges()]
    assert len(ranges) == 2

    parts = [(await read_feed(container, start_time="Beginning", feed_range=part))[0] for part in ranges]

    assert all(parts)
    assert sorted(map(int, parts[0] + parts[1])) == list(range(40))


async def test_one_partition_key(container):
    await fill(container, *map(str, range(10)))

    assert (await read_feed(container, start_time="Beginning", partition_key="4"))[0] == ["4"]


async def test_a_continuation_survives_a_killed_process(start_emulator, account_key, tmp_path):
    running = start_emulator(tmp_path)
    async with CosmosClient(running.url, account_key) as client:
        database = await client.create_database("d")
        container = await database.create_container("c", PartitionKey("/pk"))
        await fill(container, *map(str, range(20)))
        _, token = await read_feed(container, start_time="Beginning")
        await container.delete_item("19", "19")
    running.kill()

    running = start_emulator(tmp_path)
    try:
        async with CosmosClient(running.url, account_key) as client:
            container = client.get_database_client("d").get_container_client("c")
            assert (await read_feed(container, continuation=token))[0] == []
            await fill(container, "3", "new")
            assert sorted((await read_feed(container, continuation=token))[0]) == ["3", "new"]
    finally:
        assert running.stop() == 0
