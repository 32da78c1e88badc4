"""Partial update through the real SDK: the six operations, nested paths, predicates, errors."""

import pytest
from azure.core import MatchConditions
from azure.cosmos import exceptions


@pytest.fixture
async def item(container):
    body = {
        "id": "1",
        "pk": "a",
        "n": 1,
        "deliveries": {"email": {"status": "queued", "attempts": [{"no": 1}]}},
        "tags": ["x", "y", "z"],
    }
    return await container.create_item(body)


async def patch(container, *operations, **options):
    return await container.patch_item("1", "a", list(operations), **options)


async def test_all_six_operations(container, item):
    result = await patch(
        container,
        {"op": "add", "path": "/deliveries/email/attempts/-", "value": {"no": 2}},
        {"op": "set", "path": "/deliveries/email/status", "value": "sending"},
        {"op": "replace", "path": "/tags/0", "value": "first"},
        {"op": "remove", "path": "/tags/2"},
        {"op": "incr", "path": "/n", "value": 2.5},
        {"op": "incr", "path": "/fresh", "value": 1},
        {"op": "move", "from": "/deliveries/email/attempts/0/no", "path": "/firstAttempt"},
        {"op": "add", "path": "/tags/1", "value": "inserted"},
    )

    assert result["deliveries"] == {"email": {"status": "sending", "attempts": [{}, {"no": 2}]}}
    assert (result["tags"], result["n"], result["fresh"]) == (["first", "inserted", "y"], 3.5, 1)
    assert result["firstAttempt"] == 1
    assert await container.read_item("1", "a") == result
    assert result["_etag"] != item["_etag"]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "/absent", "value": 1},
        {"op": "remove", "path": "/absent"},
        {"op": "set", "path": "/no/parent", "value": 1},
        {"op": "add", "path": "/tags/9", "value": 1},
        {"op": "incr", "path": "/tags", "value": 1},
        {"op": "set", "path": "/id", "value": "2"},
        {"op": "set", "path": "/pk", "value": "b"},
        {"op": "set", "path": "/_ts", "value": 1},
        {"op": "set", "path": "noslash", "value": 1},
        {"op": "twist", "path": "/n", "value": 1},
        {"op": "set", "path": "/n"},
    ],
)
async def test_what_cannot_be_applied_is_a_bad_request_and_changes_nothing(container, item, operation):
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await patch(container, {"op": "incr", "path": "/n", "value": 1}, operation)

    assert refused.value.status_code == 400
    assert await container.read_item("1", "a") == item


async def test_more_than_ten_operations_are_refused(container, item):
    operations = [{"op": "incr", "path": "/n", "value": 1}] * 11

    with pytest.raises(exceptions.CosmosHttpResponseError, match="10"):
        await patch(container, *operations)


@pytest.mark.parametrize(
    ("predicate", "holds"),
    [
        ("from c where c.deliveries.email.status = 'queued'", True),
        ("FROM c WHERE c.deliveries.email.status = 'sent'", False),
        ("from c where c.n < 2 and not is_defined(c.absent)", True),
        ("from c where c.absent = 1", False),
        ("from x where x['n'] in (1, 2) and x.tags[0] = \"x\"", True),
        ("from c where array_contains(c.tags, 'y') and exists(select value t from t in c.tags where t = 'z')", True),
    ],
)
async def test_predicates(container, item, predicate, holds):
    operation = {"op": "set", "path": "/touched", "value": True}

    if holds:
        assert (await patch(container, operation, filter_predicate=predicate))["touched"] is True
    else:
        with pytest.raises(exceptions.CosmosAccessConditionFailedError):
            await patch(container, operation, filter_predicate=predicate)
        assert await container.read_item("1", "a") == item


@pytest.mark.parametrize("predicate", ["c.n = 1", "from c", "from c where", "from c where c.n = ", "select * from c"])
async def test_a_malformed_predicate_is_a_bad_request(container, item, predicate):
    with pytest.raises(exceptions.CosmosHttpResponseError) as refused:
        await patch(container, {"op": "set", "path": "/n", "value": 2}, filter_predicate=predicate)

    assert refused.value.status_code == 400


async def test_patch_honours_an_etag(container, item):
    operation = {"op": "incr", "path": "/n", "value": 1}
    await patch(container, operation, etag=item["_etag"], match_condition=MatchConditions.IfNotModified)

    with pytest.raises(exceptions.CosmosAccessConditionFailedError):
        await patch(container, operation, etag=item["_etag"], match_condition=MatchConditions.IfNotModified)
