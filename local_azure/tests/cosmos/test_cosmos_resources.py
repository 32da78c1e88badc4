"""Account, databases, containers, unique keys, offers through the real SDK; also the synchronous client."""

import base64
import json
import uuid

import aiohttp
import pytest
from azure.cosmos import CosmosClient, PartitionKey, ThroughputProperties, exceptions
from azure.cosmos.aio import CosmosClient as AsyncCosmosClient


async def test_databases(client):
    name = uuid.uuid4().hex
    database = await client.create_database(name)
    with pytest.raises(exceptions.CosmosResourceExistsError):
        await client.create_database(name)

    assert name in [entry["id"] async for entry in client.list_databases()]
    found = client.query_databases("SELECT * FROM d WHERE d.id = @id", parameters=[{"name": "@id", "value": name}])
    assert [entry["id"] async for entry in found] == [name]
    assert (await database.read())["id"] == name
    await client.delete_database(name)
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await database.read()


async def test_containers(database):
    name = uuid.uuid4().hex
    policy = {"indexingMode": "consistent", "excludedPaths": [{"path": "/secret/*"}], "compositeIndexes": []}
    container = await database.create_container(name, PartitionKey("/pk"), default_ttl=60, indexing_policy=policy)
    with pytest.raises(exceptions.CosmosResourceExistsError):
        await database.create_container(name, PartitionKey("/pk"))

    properties = await container.read()
    assert properties["partitionKey"] == {"paths": ["/pk"], "kind": "Hash", "version": 2}
    assert properties["defaultTtl"] == 60
    assert properties["indexingPolicy"] == {
        "indexingMode": "consistent",
        "automatic": True,
        "includedPaths": [{"path": "/*"}],
        "excludedPaths": [{"path": "/secret/*"}, {"path": '/"_etag"/?'}],
        "compositeIndexes": [],
    }
    assert name in [entry["id"] async for entry in database.list_containers()]
    with pytest.raises(exceptions.CosmosHttpResponseError):
        await database.replace_container(container, PartitionKey("/other"))
    await database.delete_container(name)
    with pytest.raises(exceptions.CosmosResourceNotFoundError):
        await container.read()


async def test_throughput(database):
    container = await database.create_container(uuid.uuid4().hex, PartitionKey("/pk"), offer_throughput=600)
    assert (await container.get_throughput()).offer_throughput == 600

    await container.replace_throughput(1000)
    assert (await container.get_throughput()).offer_throughput == 1000

    automatic = ThroughputProperties(auto_scale_max_throughput=4000)
    scaled = await database.create_container(uuid.uuid4().hex, PartitionKey("/pk"), offer_throughput=automatic)
    assert (await scaled.get_throughput()).auto_scale_max_throughput == 4000


async def test_unique_keys(database):
    policy = {"uniqueKeys": [{"paths": ["/email"]}, {"paths": ["/first", "/last"]}]}
    container = await database.create_container(uuid.uuid4().hex, PartitionKey("/pk"), unique_key_policy=policy)
    first = {"id": "1", "pk": "a", "email": "x", "first": "A", "last": "B"}
    await container.create_item(first)
    other = {"id": "2", "pk": "a", "email": "y", "first": "A", "last": "C"}
    await container.create_item(other)

    for conflicting in (
        {**first, "id": "3", "first": "Z"},
        {**first, "id": "3", "email": "z"},
        {**other, "email": "x"},
    ):
        with pytest.raises(exceptions.CosmosResourceExistsError):
            await container.upsert_item(conflicting)
    assert (await container.read_item("2", "a"))["email"] == "y"
    await container.create_item({**first, "pk": "b"})
    await container.upsert_item({**first, "email": "new"})
    await container.delete_item("2", "a")
    await container.create_item({**other, "id": "3"})


async def test_several_order_keys_need_a_composite_index(database, container):
    query = "SELECT VALUE c.n FROM c ORDER BY c.a DESC, c.n ASC"
    composite = [[{"path": "/a", "order": "ascending"}, {"path": "/n", "order": "descending"}]]
    indexed = await database.create_container(
        uuid.uuid4().hex, PartitionKey("/pk"), indexing_policy={"compositeIndexes": composite}
    )
    for number in range(12):
        await indexed.create_item({"id": str(number), "pk": str(number), "a": number % 3, "n": number})

    assert [n async for n in indexed.query_items(query)] == [2, 5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9]
    with pytest.raises(exceptions.CosmosHttpResponseError, match="composite index"):
        assert [n async for n in container.query_items(query)]


async def test_all_items_of_a_key_are_deleted(container):
    for number in range(10):
        await container.create_item({"id": str(number), "pk": "a" if number < 6 else "b"})

    await container.delete_all_items_by_partition_key("a")

    assert sorted([item["id"] async for item in container.read_all_items()]) == ["6", "7", "8", "9"]


async def test_the_advertised_endpoint_is_the_one_the_client_used(emulator):
    async with aiohttp.ClientSession() as http:
        answer = await http.get(f"{emulator.url}/", headers={"Host": "localhost:4711"})
        assert answer.status == 401
        health = await http.get(f"{emulator.url}/health")
        assert (health.status, (await health.json())["status"]) == (200, "ok")


async def test_another_key_is_refused(emulator):
    wrong = base64.b64encode(b"not the key of this emulator!!!!").decode()

    client = AsyncCosmosClient(emulator.url, wrong)
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await client.__aenter__()
    await client.close()

    assert refused.value.status_code == 401


def test_the_synchronous_client(emulator, account_key):
    with CosmosClient(emulator.url, account_key) as client:
        database = client.create_database_if_not_exists("tests")
        container = database.create_container(uuid.uuid4().hex, PartitionKey("/pk"))
        for number in range(20):
            container.upsert_item({"id": str(number), "pk": str(number % 4), "n": number})
        container.execute_item_batch([("create", ({"id": "b", "pk": "0", "n": -1},))], "0")
        container.patch_item("b", "0", [{"op": "set", "path": "/n", "value": -2}])

        query = "SELECT VALUE c.n FROM c ORDER BY c.n"
        assert list(container.query_items(query, enable_cross_partition_query=True)) == [-2, *range(20)]
        assert container.read_item("7", "3")["n"] == 7
        assert len(list(container.query_items_change_feed(start_time="Beginning"))) == 21
        with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
            list(container.query_items(query, enable_cross_partition_query=False))
        assert refused.value.status_code == 400


async def test_writes_keep_the_clients_routing_map(start_emulator, account_key, tmp_path):
    running = start_emulator(tmp_path)
    try:
        async with AsyncCosmosClient(running.url, account_key) as client, aiohttp.ClientSession() as http:
            database = await client.create_database("d")
            container = await database.create_container("c", PartitionKey("/pk"))
            for number in range(30):
                await container.upsert_item({"id": str(number), "pk": str(number)})
                await container.read_item(str(number), str(number))
                assert [n async for n in container.query_items("SELECT VALUE COUNT(1) FROM c")] == [number + 1]
            report = await (await http.get(f"{running.url}/_emulator/stats")).json()
    finally:
        running.stop()

    calls = {entry["operation"]: entry["requests"] for entry in report["operations"]}
    assert calls["pkranges"] <= 4
    assert (calls["upsert"], calls["read"], calls["query_plan"]) == (30, 30, 30)


async def test_topology_creates_what_is_absent_and_keeps_what_is_there(start_emulator, account_key, tmp_path):
    topology = tmp_path / "topology.json"
    entries = [{"id": "one", "partitionKey": "/pk", "defaultTtl": 30}, {"id": "two", "partitionKey": ["/a", "/b"]}]
    topology.write_text(json.dumps({"database": "d", "containers": entries[:1]}))
    running = start_emulator(tmp_path / "data", "--topology", str(topology))
    async with AsyncCosmosClient(running.url, account_key) as client:
        await client.get_database_client("d").get_container_client("one").create_item({"id": "1", "pk": "a", "ttl": -1})
    assert running.stop() == 0

    topology.write_text(json.dumps({"database": "d", "containers": entries}))
    running = start_emulator(tmp_path / "data", "--topology", str(topology))
    async with AsyncCosmosClient(running.url, account_key) as client:
        database = client.get_database_client("d")
        assert (await database.get_container_client("one").read_item("1", "a"))["id"] == "1"
        assert (await database.get_container_client("two").read())["partitionKey"]["kind"] == "MultiHash"
    assert running.stop() == 0
