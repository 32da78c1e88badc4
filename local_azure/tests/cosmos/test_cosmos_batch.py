"""Transactional batch through the real SDK: results, conditions, rollback, limits."""

import pytest
from azure.cosmos import exceptions

SET_DONE = [{"op": "set", "path": "/status", "value": "done"}]


async def ids(container):
    return [item["id"] async for item in container.query_items("SELECT c.id FROM c", partition_key="a")]


async def changes(container):
    return [item["id"] async for item in container.query_items_change_feed(start_time="Beginning")]


async def test_every_kind_of_operation_in_one_batch(container):
    await container.create_item({"id": "old", "pk": "a", "status": "new"})
    await container.create_item({"id": "gone", "pk": "a"})

    results = await container.execute_item_batch(
        [
            ("create", ({"id": "1", "pk": "a", "status": "new"},)),
            ("upsert", ({"id": "2", "pk": "a"},)),
            ("replace", ("old", {"id": "old", "pk": "a", "status": "replaced"})),
            ("read", ("old",)),
            ("patch", ("1", SET_DONE), {"filter_predicate": "from c where c.status = 'new'"}),
            ("delete", ("gone",)),
        ],
        "a",
    )

    assert [result["statusCode"] for result in results] == [201, 201, 200, 200, 200, 204]
    assert results[3]["resourceBody"]["status"] == "replaced"
    assert results[4]["resourceBody"]["status"] == "done"
    assert results[0]["eTag"] == results[0]["resourceBody"]["_etag"]
    assert sorted(await ids(container)) == ["1", "2", "old"]
    assert float(results.get_response_headers()["x-ms-request-charge"]) > 10


async def test_a_failing_operation_undoes_the_others(container):
    await container.create_item({"id": "taken", "pk": "a", "status": "new"})

    with pytest.raises(exceptions.CosmosBatchOperationError) as failed:
        await container.execute_item_batch(
            [
                ("create", ({"id": "1", "pk": "a"},)),
                ("patch", ("taken", SET_DONE)),
                ("create", ({"id": "taken", "pk": "a"},)),
                ("create", ({"id": "2", "pk": "a"},)),
            ],
            "a",
        )

    assert (failed.value.error_index, failed.value.status_code) == (2, 409)
    assert [entry["statusCode"] for entry in failed.value.operation_responses] == [424, 424, 409, 424]
    assert await ids(container) == ["taken"]
    assert await changes(container) == ["taken"]
    assert (await container.read_item("taken", "a"))["status"] == "new"
    await container.create_item({"id": "next", "pk": "a"})
    assert await changes(container) == ["taken", "next"]


@pytest.mark.parametrize(
    ("operation", "status"),
    [
        (("patch", ("1", SET_DONE), {"filter_predicate": "from c where c.status = 'other'"}), 412),
        (("patch", ("absent", SET_DONE)), 404),
        (("patch", ("1", [{"op": "remove", "path": "/absent"}])), 400),
        (("replace", ("1", {"id": "1", "pk": "a"}), {"if_match_etag": '"other"'}), 412),
        (("delete", ("1",), {"if_match_etag": '"other"'}), 412),
        (("create", ({"id": "2", "pk": "b"},)), 400),
        (("read", ("absent",)), 404),
    ],
)
async def test_statuses_of_failing_operations(container, operation, status):
    await container.create_item({"id": "1", "pk": "a", "status": "new"})

    with pytest.raises(exceptions.CosmosBatchOperationError) as failed:
        await container.execute_item_batch([("create", ({"id": "x", "pk": "a"},)), operation], "a")

    assert (failed.value.error_index, failed.value.status_code) == (1, status)
    assert await ids(container) == ["1"]


async def test_etags_inside_a_batch(container):
    item = await container.create_item({"id": "1", "pk": "a", "status": "new"})

    results = await container.execute_item_batch(
        [
            ("replace", ("1", {"id": "1", "pk": "a", "n": 1}), {"if_match_etag": item["_etag"]}),
            ("patch", ("1", SET_DONE), {"if_none_match_etag": item["_etag"]}),
        ],
        "a",
    )

    assert results[1]["resourceBody"]["status"] == "done"


async def test_a_hundred_operations_are_allowed_and_more_are_not(container):
    creates = [("create", ({"id": str(number), "pk": "a"},)) for number in range(101)]

    assert len(await container.execute_item_batch(creates[:100], "a")) == 100
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await container.execute_item_batch([("upsert", operation[1]) for operation in creates], "a")
    assert refused.value.status_code == 400


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # the client's, about itself
async def test_a_batch_over_two_mebibytes_is_too_large(container):
    creates = [("create", ({"id": str(number), "pk": "a", "text": "x" * 300_000},)) for number in range(8)]

    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await container.execute_item_batch(creates, "a")

    assert refused.value.status_code == 413


async def test_no_response_leaves_bodies_out(container):
    results = await container.execute_item_batch(
        [("create", ({"id": "1", "pk": "a"},)), ("patch", ("1", SET_DONE))], "a", no_response=True
    )

    assert [result["statusCode"] for result in results] == [201, 200]
    assert not any("resourceBody" in result for result in results)
