"""Items through the real SDK: create, read, upsert, replace, delete, conditions, headers."""

import pytest
from azure.core import MatchConditions
from azure.cosmos import PartitionKey, exceptions


async def test_a_created_item_is_read_back_with_its_system_properties(container):
    created = await container.create_item({"id": "1", "pk": "a", "text": "grüße", "list": [1, 2.5, None]})

    read = await container.read_item("1", "a")

    assert created == read
    assert (read["text"], read["list"]) == ("grüße", [1, 2.5, None])
    assert {"_rid", "_self", "_etag", "_attachments", "_ts"} <= read.keys()


async def test_creating_twice_is_a_conflict_and_the_same_id_in_another_partition_is_not(container):
    await container.create_item({"id": "1", "pk": "a"})

    with pytest.raises(exceptions.CosmosResourceExistsError):
        await container.create_item({"id": "1", "pk": "a"})
    await container.create_item({"id": "1", "pk": "b"})


async def test_reading_replacing_and_deleting_what_is_absent_is_not_found(container):
    for call in (
        container.read_item("x", "a"),
        container.replace_item("x", {"id": "x", "pk": "a"}),
        container.delete_item("x", "a"),
    ):
        with pytest.raises(exceptions.CosmosResourceNotFoundError):
            await call


async def test_upsert_creates_then_replaces_and_keeps_the_resource_id(container):
    first = await container.upsert_item({"id": "1", "pk": "a", "n": 1})
    second = await container.upsert_item({"id": "1", "pk": "a", "n": 2})

    assert (first["_rid"], second["n"]) == (second["_rid"], 2)
    assert first["_etag"] != second["_etag"]
    assert first.get_response_headers()["x-ms-request-charge"] == "5.71"
    assert second.get_response_headers()["x-ms-request-charge"] == "10.29"


async def test_etag_conditions(container):
    item = await container.create_item({"id": "1", "pk": "a", "n": 1})
    changed = await container.replace_item(
        "1", {"id": "1", "pk": "a", "n": 2}, etag=item["_etag"], match_condition=MatchConditions.IfNotModified
    )

    for write in (container.replace_item, lambda _, body, **options: container.upsert_item(body, **options)):
        with pytest.raises(exceptions.CosmosAccessConditionFailedError):
            await write("1", {"id": "1", "pk": "a"}, etag=item["_etag"], match_condition=MatchConditions.IfNotModified)
    with pytest.raises(exceptions.CosmosAccessConditionFailedError):
        await container.delete_item("1", "a", etag=item["_etag"], match_condition=MatchConditions.IfNotModified)
    await container.delete_item("1", "a", etag=changed["_etag"], match_condition=MatchConditions.IfNotModified)


async def test_replace_may_change_the_id(container):
    await container.create_item({"id": "old", "pk": "a"})
    await container.create_item({"id": "taken", "pk": "a"})

    await container.replace_item("old", {"id": "new", "pk": "a"})

    assert (await container.read_item("new", "a"))["id"] == "new"
    with pytest.raises(exceptions.CosmosResourceExistsError):
        await container.replace_item("new", {"id": "taken", "pk": "a"})


async def test_an_item_may_be_named_by_its_dictionary(container):
    item = await container.create_item({"id": "1", "pk": "a", "n": 1})

    assert (await container.read_item(item, "a"))["n"] == 1
    await container.replace_item(item, {"id": "1", "pk": "a", "n": 2})
    await container.delete_item(item, "a")


async def test_ids_and_keys_with_unusual_characters(container):
    for item_id in ("a b", "ünï-日本", "per%cent", "plus+and&", "quote'\"", "t:1|2"):
        await container.create_item({"id": item_id, "pk": item_id})
        assert (await container.read_item(item_id, item_id))["id"] == item_id


@pytest.mark.parametrize("key", ["s", 1, 1.5, True, False, None])
async def test_partition_keys_of_every_type(container, key):
    await container.create_item({"id": "1", "pk": key})

    assert (await container.read_item("1", key))["pk"] == key


async def test_no_response_on_write_sends_no_body(container):
    answer = await container.create_item({"id": "1", "pk": "a"}, no_response=True)

    assert not dict(answer)
    assert (await container.read_item("1", "a"))["id"] == "1"


@pytest.mark.parametrize(
    "body",
    [{"pk": "a"}, {"id": 5, "pk": "a"}, {"id": "", "pk": "a"}, {"id": "1", "pk": "a", "ttl": 0}, {"id": "x" * 1100}],
)
async def test_what_azure_refuses_is_refused(container, body):
    with pytest.raises((exceptions.CosmosHttpResponseError, TypeError)) as refused:
        await container.create_item(body)

    assert getattr(refused.value, "status_code", 400) == 400


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # the client's, about itself
async def test_an_item_over_two_mebibytes_is_too_large(container):
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await container.create_item({"id": "1", "pk": "a", "text": "x" * (2 * 1024 * 1024)})

    assert refused.value.status_code == 413


async def test_response_headers_of_an_item(container):
    answer = await container.create_item({"id": "1", "pk": "a"})
    headers = answer.get_response_headers()

    assert headers["etag"] == answer["_etag"]
    assert headers["x-ms-session-token"].startswith(headers["x-ms-documentdb-partitionkeyrangeid"] + ":-1#")
    assert headers["x-ms-activity-id"]


async def test_a_recreated_container_is_noticed_by_the_client(client, database):
    container = await database.create_container("recreated", PartitionKey("/pk"))
    await container.create_item({"id": "1", "pk": "a"})
    await database.delete_container("recreated")
    await database.create_container("recreated", PartitionKey("/pk"))

    await container.create_item({"id": "1", "pk": "a"})

    assert [item["id"] async for item in container.query_items("SELECT * FROM c", partition_key="a")] == ["1"]


async def test_hierarchical_keys(database):
    container = await database.create_container("levels", PartitionKey(["/tenant", "/user"], kind="MultiHash"))
    for tenant in "ab":
        for user in range(3):
            await container.create_item({"id": f"{tenant}{user}", "tenant": tenant, "user": user})

    point = await container.read_item("a1", ["a", 1])
    prefix = [item["id"] async for item in container.query_items("SELECT * FROM c", partition_key=["b"])]

    assert point["user"] == 1
    assert sorted(prefix) == ["b0", "b1", "b2"]
