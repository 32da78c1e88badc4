"""Queries through the real SDK: in one partition and, in strict mode, across two ranges."""

import aiohttp
import pytest
from azure.cosmos import CosmosClient, exceptions

SWEEP = (
    "SELECT c.id, c.partitionKey FROM c WHERE c.type = 'notification' AND (c.deliveries.email.wakeAt <= @now "
    "OR c.deliveries.sms.wakeAt <= @now OR c.deliveries.push.wakeAt <= @now OR c.deliveries.webhook.wakeAt <= @now)"
)


@pytest.fixture
async def filled(container):
    for number in range(40):
        item = {"id": str(number), "pk": f"p{number % 4}", "n": number, "even": number % 2 == 0, "tags": ["x", number]}
        await container.create_item(item)
    return container


async def run(container, query, *, parameters=None, **options):
    names = [{"name": name, "value": value} for name, value in (parameters or {}).items()]
    return [row async for row in container.query_items(query, parameters=names, **options)]


@pytest.mark.parametrize("scope", [{}, {"partition_key": "p1"}])
async def test_filters_with_parameters(filled, scope):
    rows = await run(filled, "SELECT VALUE c.n FROM c WHERE c.n >= @low AND c.n < 20", parameters={"@low": 10}, **scope)

    assert sorted(rows) == [n for n in range(10, 20) if not scope or n % 4 == 1]


async def test_order_by_top_offset_limit_and_distinct_across_ranges(filled):
    assert await run(filled, "SELECT VALUE c.n FROM c ORDER BY c.n DESC") == list(range(39, -1, -1))
    assert await run(filled, "SELECT TOP 3 c.n FROM c ORDER BY c.n") == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert await run(filled, "SELECT VALUE c.n FROM c ORDER BY c.n OFFSET 5 LIMIT 4") == [5, 6, 7, 8]
    assert sorted(await run(filled, "SELECT DISTINCT VALUE c.pk FROM c")) == ["p0", "p1", "p2", "p3"]
    assert [row["n"] for row in await run(filled, "SELECT * FROM c WHERE c.even ORDER BY c.n")] == list(range(0, 40, 2))
    assert len(await run(filled, "SELECT TOP 7 * FROM c")) == 7


async def test_aggregates_across_ranges(filled):
    assert await run(filled, "SELECT VALUE COUNT(1) FROM c WHERE c.n > 9") == [30]
    assert await run(filled, "SELECT VALUE SUM(c.n) FROM c") == [780]
    assert await run(filled, "SELECT VALUE AVG(c.n) FROM c") == [19.5]


async def test_aggregates_and_groups_inside_a_partition(filled):
    rows = await run(
        filled,
        "SELECT c.even, COUNT(1) AS total, MAX(c.n) AS highest FROM c WHERE c.n > 3 GROUP BY c.even",
        partition_key="p2",
    )

    assert rows == [{"even": True, "total": 9, "highest": 38}]
    assert await run(filled, "SELECT VALUE MIN(c.n) FROM c", partition_key="p3") == [3]
    assert await run(filled, "SELECT COUNT(1) FROM c", partition_key="p3") == [{"$1": 10}]


async def test_joins_and_subqueries(filled):
    assert await run(
        filled, "SELECT c.id, t AS tag FROM c JOIN t IN c.tags WHERE IS_NUMBER(t) AND t = 5", partition_key="p1"
    ) == [{"id": "5", "tag": 5}]
    assert await run(filled, "SELECT VALUE c.id FROM c WHERE EXISTS(SELECT VALUE t FROM t IN c.tags WHERE t = 9)") == [
        "9"
    ]
    assert await run(
        filled, "SELECT ARRAY(SELECT VALUE t FROM t IN c.tags WHERE IS_STRING(t)) AS names FROM c WHERE c.n = 4"
    ) == [{"names": ["x"]}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT c.even, COUNT(1) AS n FROM c GROUP BY c.even",
        "SELECT COUNT(1) AS n FROM c",
        "SELECT FROM c",
        "SELEC * FROM c",
    ],
)
async def test_what_azure_refuses_across_partitions_is_refused(filled, query):
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await run(filled, query)

    assert refused.value.status_code == 400


async def test_pages_of_a_partition_resume_in_a_new_iterator(filled):
    query = "SELECT VALUE c.n FROM c WHERE c.n >= 0"
    pages = filled.query_items(query, partition_key="p1", max_item_count=3).by_page()
    first = [value async for value in await anext(pages)]
    token = pages.continuation_token

    rest = filled.query_items(query, partition_key="p1", max_item_count=3).by_page(token)
    following = [value async for page in rest async for value in page]

    assert len(first) == 3
    assert sorted(first + following) == list(range(1, 40, 4))


async def test_pages_across_ranges_resume_in_a_new_iterator(filled):
    query = "SELECT VALUE c.n FROM c WHERE c.n >= 0"
    pages = filled.query_items(query, max_item_count=3).by_page()
    found = [n async for n in await anext(pages)]
    while pages.continuation_token:
        pages = filled.query_items(query, max_item_count=3).by_page(pages.continuation_token)
        found += [n async for n in await anext(pages)]

    assert sorted(found) == list(range(40))


async def test_only_queries_that_need_merging_ask_for_a_plan(filled, emulator):
    async with aiohttp.ClientSession(emulator.url) as http:

        async def calls(query):
            await http.post("/_emulator/stats/reset")
            await run(filled, query)
            report = await (await http.get("/_emulator/stats")).json()
            return {entry["operation"]: entry["requests"] for entry in report["operations"]}

        assert await calls("SELECT c.id FROM c WHERE c.n > 100") == {"query": 1}
        assert await calls("SELECT c.id FROM c WHERE c.pk = 'p1' AND c.n > 1") == {"query": 1}
        planned = await calls("SELECT c.id FROM c ORDER BY c.n")
        assert (planned["query_plan"], planned["query"]) == (1, 3)


def test_a_condition_on_the_key_needs_no_permission_to_cross_partitions(emulator, account_key, filled):
    with CosmosClient(emulator.url, account_key) as client:
        container = client.get_database_client("tests").get_container_client(filled.id)

        rows = list(container.query_items("SELECT VALUE c.n FROM c WHERE c.pk = 'p3'"))

    assert sorted(rows) == list(range(3, 40, 4))


async def test_diagnostics_of_a_query(filled):
    rows = filled.query_items(
        "SELECT * FROM c WHERE c.n = 5", partition_key="p1", populate_query_metrics=True, populate_index_metrics=True
    )

    assert len([row async for row in rows]) == 1
    headers = filled.client_connection.last_response_headers
    metrics = dict(entry.split("=") for entry in headers["x-ms-documentdb-query-metrics"].split(";"))
    assert (metrics["retrievedDocumentCount"], metrics["outputDocumentCount"]) == ("10", "1")
    assert "/n/?" in [entry["IndexSpec"] for entry in headers["x-ms-cosmos-index-utilization"]["UtilizedSingleIndexes"]]


async def test_ordered_pages_of_a_partition(filled):
    pages = filled.query_items(
        "SELECT VALUE c.n FROM c ORDER BY c.n DESC", partition_key="p1", max_item_count=4
    ).by_page()

    assert [[value async for value in page] async for page in pages] == [[37, 33, 29, 25], [21, 17, 13, 9], [5, 1]]


async def test_the_sweep_finds_what_is_due_and_nothing_else(container):
    times = {"email": "2026-01-01T00:00:05Z", "sms": "2026-01-01T00:00:20Z"}
    for number in range(30):
        channel = ("email", "sms", "push")[number % 3]
        delivery = {"wakeAt": times[channel]} if channel in times else {}
        kind = "notification" if number < 15 else "idempotency"
        item = {
            "id": str(number),
            "pk": str(number),
            "partitionKey": "t",
            "type": kind,
            "deliveries": {channel: delivery},
        }
        await container.create_item(item)

    for _ in range(2):
        rows = await run(container, SWEEP, parameters={"@now": "2026-01-01T00:00:10Z"})
        assert sorted(int(row["id"]) for row in rows) == [0, 3, 6, 9, 12]

    await container.patch_item("3", "3", [{"op": "remove", "path": "/deliveries/email/wakeAt"}])
    await container.patch_item(
        "4", "4", [{"op": "set", "path": "/deliveries/sms/wakeAt", "value": "2026-01-01T00:00:01Z"}]
    )
    await container.create_item(
        {"id": "new", "pk": "n", "type": "notification", "deliveries": {"push": {"wakeAt": "2025"}}}
    )
    await container.delete_item("6", "6")

    rows = await run(container, SWEEP, parameters={"@now": "2026-01-01T00:00:10Z"})
    assert sorted(row["id"] for row in rows) == ["0", "12", "4", "9", "new"]


async def test_many_items_are_read_at_once(container):
    for batch in range(8):
        creates = [("create", ({"id": f"{batch}-{n}", "pk": str(batch)},)) for n in range(100)]
        await container.execute_item_batch(creates, str(batch), no_response=True)
    wanted = [(f"{batch}-{n}", str(batch)) for batch in range(8) for n in range(80)]

    found = await container.read_items([*wanted, ("absent", "1")])

    assert sorted(item["id"] for item in found) == sorted(item_id for item_id, _ in wanted)


async def test_read_items_and_read_all_items(filled):
    wanted = [(str(number), f"p{number % 4}") for number in (3, 17, 22, 38)]

    assert sorted(item["n"] for item in await filled.read_items(wanted)) == [3, 17, 22, 38]
    assert len([item async for item in filled.read_all_items()]) == 40
