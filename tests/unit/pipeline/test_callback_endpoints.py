import json
from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.errors import InvalidSubmission, NotFound
from shared.domain.identifiers import TenantId
from shared.pipeline.callback_endpoints import (
    MAX_ENDPOINTS,
    list_endpoints,
    read_endpoint,
    register_endpoint,
    remove_endpoint,
    replace_endpoint,
    revoke_secret,
    rotate_secret,
    try_endpoint,
)
from tests.fakes.world import CALLER, TENANT, World

STRANGER = replace(CALLER, tenant_id=TenantId("bank"))


def _body(**changes: Any) -> bytes:
    return json.dumps({"url": "https://consumer.example/hook", "statuses": ["SENT"]} | changes).encode()


async def test_a_new_endpoint_shows_its_secret_once() -> None:
    world = World()

    view = await register_endpoint(_body(), CALLER, world.services)

    assert view.secret is not None
    assert view.secret.startswith("whsec_")
    assert 24 <= len(b64decode(view.secret.removeprefix("whsec_"))) <= 64
    assert [each.value for each in (await world.endpoints.read(TENANT, view.id)).secrets] == [view.secret]
    assert (await read_endpoint(view.id, CALLER, world.services)).secret is None
    assert [each.secret for each in (await list_endpoints(CALLER, world.services)).endpoints] == [None]


async def test_every_endpoint_has_an_id_and_a_secret_of_its_own() -> None:
    world = World()

    views = [await register_endpoint(_body(), CALLER, world.services) for _ in range(5)]

    assert len({view.id for view in views}) == len({view.secret for view in views}) == 5


async def test_statuses_named_twice_are_kept_once() -> None:
    view = await register_endpoint(_body(statuses=["SENT", "FAILED", "SENT"]), CALLER, World().services)

    assert view.statuses == ["SENT", "FAILED"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", ""),
        (b"[]", ""),
        (_body(url=None), "/url"),
        (_body(url="http://consumer.example"), "/url"),
        (_body(url="x" * 3000), "/url"),
        (_body(statuses=[]), "/statuses"),
        (_body(statuses=["OPENED"]), "/statuses/0"),
        (_body(statuses="SENT"), "/statuses"),
        (_body(secret="mine"), "/secret"),
        (_body(description=""), "/description"),
        (_body(description="two\nlines"), "/description"),
        (_body(metadata={"team": 7}), "/metadata/team"),
        (_body(metadata={str(n): "x" for n in range(21)}), "/metadata"),
    ],
)
async def test_what_can_not_be_called_is_refused_where_it_is_wrong(body: bytes, pointer: str) -> None:
    world = World()

    with pytest.raises(InvalidSubmission) as refused:
        await register_endpoint(body, CALLER, world.services)

    assert [error.pointer for error in refused.value.errors] == [pointer]
    assert world.endpoints.endpoints == {}


async def test_a_tenant_has_so_many_and_no_more() -> None:
    world = World()
    for _ in range(MAX_ENDPOINTS):
        await register_endpoint(_body(), CALLER, world.services)

    with pytest.raises(InvalidSubmission):
        await register_endpoint(_body(), CALLER, world.services)
    await register_endpoint(_body(), STRANGER, world.services)


async def test_replacing_keeps_the_secret_and_enables_again() -> None:
    world = World()
    view = await register_endpoint(_body(), CALLER, world.services)
    before = await world.endpoints.read(TENANT, view.id)
    await world.endpoints.save(replace(before, enabled=False, disabled_reason="gone"))

    shown = await replace_endpoint(view.id, _body(url="https://new.example"), CALLER, world.services)

    after = await world.endpoints.read(TENANT, view.id)
    assert (shown.url, shown.state, shown.secret) == ("https://new.example", "enabled", None)
    assert (after.secrets, after.created_at, after.disabled_reason) == (before.secrets, before.created_at, None)


async def test_a_disabled_endpoint_says_why() -> None:
    world = World()
    view = await register_endpoint(_body(), CALLER, world.services)
    stored = await world.endpoints.read(TENANT, view.id)
    await world.endpoints.save(replace(stored, enabled=False, disabled_reason="gone"))

    assert (await read_endpoint(view.id, CALLER, world.services)).state == "disabled:gone"


async def test_another_tenants_endpoint_does_not_exist() -> None:
    world = World()
    view = await register_endpoint(_body(), CALLER, world.services)

    for attempt in (
        read_endpoint(view.id, STRANGER, world.services),
        replace_endpoint(view.id, _body(), STRANGER, world.services),
        remove_endpoint(view.id, STRANGER, world.services),
        try_endpoint(view.id, STRANGER, world.services),
        rotate_secret(view.id, b"", STRANGER, world.services),
        revoke_secret(view.id, "sk1", STRANGER, world.services),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await list_endpoints(STRANGER, world.services)).endpoints == []


async def test_a_removed_endpoint_is_gone() -> None:
    world = World()
    view = await register_endpoint(_body(), CALLER, world.services)

    await remove_endpoint(view.id, CALLER, world.services)

    with pytest.raises(NotFound):
        await remove_endpoint(view.id, CALLER, world.services)


async def test_description_and_metadata_are_kept_shown_and_replaced() -> None:
    world = World()
    view = await register_endpoint(_body(description="Orders", metadata={"team": "checkout"}), CALLER, world.services)

    shown = await read_endpoint(view.id, CALLER, world.services)
    replaced = await replace_endpoint(view.id, _body(description="All orders"), CALLER, world.services)

    assert (shown.description, shown.metadata) == ("Orders", {"team": "checkout"})
    assert (replaced.description, replaced.metadata) == ("All orders", None)


async def test_what_is_changed_is_in_the_audit_trail_without_secrets_or_urls() -> None:
    world = World()
    view = await register_endpoint(_body(url="https://consumer.example/hook?token=canary"), CALLER, world.services)
    await replace_endpoint(view.id, _body(), CALLER, world.services)
    await rotate_secret(view.id, b"", CALLER, world.services)
    await remove_endpoint(view.id, CALLER, world.services)

    entries = [doc for doc in world.database.container("audit-logs").documents.values() if doc.get("type") == "entry"]
    assert sorted(entry["action"] for entry in entries) == [
        "callback_endpoint.change",
        "callback_endpoint.register",
        "callback_endpoint.remove",
        "callback_endpoint.rotate_secret",
    ]
    assert "canary" not in json.dumps(entries)
    assert "whsec_" not in json.dumps(entries)
