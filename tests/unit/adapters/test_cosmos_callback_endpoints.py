"""Endpoints in the store: secrets sealed, changes conditional, the tenant's list fresh for a few seconds."""

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.cosmos_callback_endpoints import CONTAINER, FRESH_FOR_SECONDS, CosmosCallbackEndpointStore
from shared.adapters.secret_box import SecretBox
from shared.domain.callback_endpoint import CallbackEndpoint, EndpointHealth, SigningSecret
from shared.domain.errors import NotFound, VersionChanged
from shared.domain.identifiers import TenantId
from tests.fakes.callback_consumer import SECRET, an_endpoint
from tests.fakes.clock import START
from tests.fakes.in_memory_cosmos import InMemoryDatabase

BOX = SecretBox(base64.b64encode(b"k" * 32).decode())
SHOP = TenantId("shop")


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _store(database: InMemoryDatabase, clock: Clock | None = None) -> CosmosCallbackEndpointStore:
    return CosmosCallbackEndpointStore(database, BOX, clock or Clock())  # type: ignore[arg-type]


def _full() -> CallbackEndpoint:
    return replace(
        an_endpoint("shop"),
        secrets=(SigningSecret("sk2", SECRET, START), SigningSecret("sk1", SECRET, START, START + timedelta(hours=1))),
        description="Orders",
        metadata={"team": "checkout"},
        health=EndpointHealth(START, START, START + timedelta(minutes=1), 3),
        enabled=False,
        disabled_reason="failing",
        disabled_at=START,
    )


async def test_an_endpoint_comes_back_as_it_was_stored_and_its_secrets_are_sealed() -> None:
    database = InMemoryDatabase()

    await _store(database).create(_full())

    read = await _store(database).read_now(SHOP, "ep1")
    assert replace(read, version=None) == _full()
    assert SECRET not in json.dumps(list(database.container(CONTAINER).documents.values()))


async def test_an_endpoint_stored_before_secrets_had_ids_is_read() -> None:
    database = InMemoryDatabase()
    old: dict[str, Any] = {
        "id": "ep1",
        "partitionKey": "shop",
        "type": "endpoint",
        "url": "https://consumer.example/ep1",
        "statuses": ["SENT", "DELIVERED"],
        "secrets": [BOX.seal(SECRET, "ep1")],
        "createdAt": "2026-11-24T12:00:00.000Z",
        "enabled": True,
        "disabledReason": None,
    }
    await database.container(CONTAINER).create_item(old)

    read = await _store(database).read_now(SHOP, "ep1")

    assert replace(read, version=None) == an_endpoint("shop")


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda store, endpoint: store.replace(replace(endpoint, description="another")),
        lambda store, endpoint: store.delete(SHOP, endpoint.id),
    ],
)
async def test_a_change_to_what_is_no_more_as_it_was_read_is_refused(
    meanwhile: Callable[[CosmosCallbackEndpointStore, CallbackEndpoint], Awaitable[Any]],
) -> None:
    store = _store(InMemoryDatabase())
    await store.create(an_endpoint("shop"))
    read = await store.read_now(SHOP, "ep1")
    await meanwhile(store, read)

    with pytest.raises(VersionChanged):
        await store.replace(replace(read, enabled=False))


async def test_a_change_shows_here_at_once_and_elsewhere_within_seconds() -> None:
    database, clock = InMemoryDatabase(), Clock()
    here, elsewhere = _store(database, clock), _store(database, clock)
    await here.create(an_endpoint("shop"))
    assert await elsewhere.list_for(SHOP) == await here.list_for(SHOP)

    await here.replace(replace(await here.read_now(SHOP, "ep1"), description="changed"))

    assert [each.description for each in await here.list_for(SHOP)] == ["changed"]
    assert [each.description for each in await elsewhere.list_for(SHOP)] == [None]
    assert [each.description for each in await elsewhere.list_now(SHOP)] == ["changed"]
    clock.seconds = FRESH_FOR_SECONDS
    assert [each.description for each in await elsewhere.list_for(SHOP)] == ["changed"]


async def test_a_removed_endpoint_is_not_found() -> None:
    store = _store(InMemoryDatabase())
    await store.create(an_endpoint("shop"))
    await store.delete(SHOP, "ep1")

    for attempt in (store.read(SHOP, "ep1"), store.read_now(SHOP, "ep1"), store.delete(SHOP, "ep1")):
        with pytest.raises(NotFound):
            await attempt
