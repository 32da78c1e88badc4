"""The keyring over the store in memory and a key file on disk, as in one process after the other."""

import asyncio
import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.keyring import CONTAINER, CosmosKeyring, Wrapped
from shared.adapters.local_key_file import LocalKeyFile
from shared.contracts.sealing import PROFILES
from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId
from tests.fakes.in_memory_cosmos import InMemoryDatabase

SHOP = TenantId("shop")
PLACE = "shop\nhere"


def write_keys(path: Path, *names: str) -> Path:
    """A key file whose newest key is the last of ``names``."""
    known = json.loads(path.read_text())["keys"] if path.exists() else {}
    keys = {name: known.get(name) or base64.b64encode(os.urandom(32)).decode() for name in names}
    path.write_text(json.dumps({"newest": names[-1], "keys": keys}))
    return path


def take_away(key_file: Path) -> None:
    key_file.unlink()


def spoil(key_file: Path, text: str) -> None:
    key_file.write_text(text)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys.json", "k1")


def a_process(database: InMemoryDatabase, key_file: Path) -> CosmosKeyring:
    return CosmosKeyring(database, LocalKeyFile(key_file))  # type: ignore[arg-type]


async def test_what_one_process_seals_another_opens(key_file: Path) -> None:
    database = InMemoryDatabase()
    sealed = (await a_process(database, key_file).to_seal(SHOP, "w7")).seal(b"hello", PLACE)

    key = await a_process(database, key_file).to_open(SHOP, "w7")

    assert key
    assert key.open(sealed, PLACE) == b"hello"


async def test_processes_that_make_a_key_at_once_have_the_same(key_file: Path) -> None:
    database = InMemoryDatabase()
    rings = [a_process(database, key_file) for _ in range(4)]

    keys = await asyncio.gather(*(ring.to_seal(SHOP, "w7") for ring in rings for _ in range(3)))

    sealed = keys[0].seal(b"hello", PLACE)
    assert {key.open(sealed, PLACE) for key in keys} == {b"hello"}


async def test_tenants_weeks_and_profiles_have_keys_of_their_own(key_file: Path) -> None:
    ring = a_process(InMemoryDatabase(), key_file)
    keys = [
        await ring.to_seal(tenant, key_id) for tenant in (SHOP, TenantId("bank")) for key_id in ("w7", "w8", PROFILES)
    ]

    for key in keys:
        opened = [other for other in keys if _opens(other, key.seal(b"x", PLACE))]
        assert opened == [key]


def _opens(key, sealed: str) -> bool:  # type: ignore[no-untyped-def]
    try:
        key.open(sealed, PLACE)
    except ValueError:
        return False
    return True


async def test_a_known_key_asks_nobody(key_file: Path) -> None:
    database = InMemoryDatabase()
    ring = a_process(database, key_file)
    key = await ring.to_seal(SHOP, "w7")
    database.away = True
    take_away(key_file)

    assert ring.known(SHOP, "w7") is key
    assert await ring.to_seal(SHOP, "w7") is key
    assert await ring.to_open(SHOP, "w7") is key


@pytest.mark.parametrize("away", ["store", "key vault"])
async def test_while_a_new_key_cannot_be_had_the_newest_known_one_is_used(key_file: Path, away: str) -> None:
    database = InMemoryDatabase()
    ring = a_process(database, key_file)
    await ring.to_seal(SHOP, "w6")
    newest = await ring.to_seal(SHOP, "w7")
    if away == "store":
        database.away = True
    else:
        take_away(key_file)

    assert await ring.to_seal(SHOP, "w8") is newest
    with pytest.raises(StoreUnavailable):
        await ring.to_seal(TenantId("bank"), "w8")
    with pytest.raises(StoreUnavailable):
        await ring.to_seal(SHOP, PROFILES)  # a week's key is destroyed one day, a profile is not


async def test_what_is_sealed_with_an_unknown_key_waits_for_the_store(key_file: Path) -> None:
    database = InMemoryDatabase()
    await a_process(database, key_file).to_seal(SHOP, "w7")
    ring = a_process(database, key_file)
    database.away = True

    with pytest.raises(StoreUnavailable):
        await ring.to_open(SHOP, "w7")

    database.away = False
    assert await ring.to_open(SHOP, "w7")


async def test_who_is_away_is_not_asked_for_each_notification(key_file: Path) -> None:
    database = InMemoryDatabase()
    calls: list[str] = []
    ring = a_process(database, key_file)
    newest = await ring.to_seal(SHOP, "w7")
    database.away = True
    container = database.container(CONTAINER)
    read = container.read_item

    async def counted(item: str, partition_key: str) -> Any:
        calls.append(item)
        return await read(item, partition_key)

    container.read_item = counted  # type: ignore[method-assign]

    for _ in range(100):
        assert await ring.to_seal(SHOP, "w8") is newest

    assert len(calls) == 1


async def test_a_rotated_key_is_used_at_once_and_the_old_one_can_go_after_wrapping_anew(key_file: Path) -> None:
    database = InMemoryDatabase()
    ring = a_process(database, key_file)
    sealed = (await ring.to_seal(SHOP, "w7")).seal(b"hello", PLACE)
    write_keys(key_file, "k1", "k2-new")

    assert await ring.newest_wrapping() == "k2-new"
    for stored in await ring.stored():
        assert await ring.rewrap(stored)
    write_keys(key_file, "k2-new")

    assert [stored.wrapped_by for stored in await ring.stored()] == ["k2-new"]
    key = await a_process(database, key_file).to_open(SHOP, "w7")
    assert key
    assert key.open(sealed, PLACE) == b"hello"


async def test_a_destroyed_key_opens_nothing(key_file: Path) -> None:
    database = InMemoryDatabase()
    ring = a_process(database, key_file)
    await ring.to_seal(SHOP, "w7")
    [stored] = await ring.stored()

    await ring.destroy(stored)
    await ring.destroy(stored)

    assert await ring.to_open(SHOP, "w7") is None
    assert database.container(CONTAINER).documents == {}


async def test_the_store_holds_no_data_key(key_file: Path) -> None:
    database = InMemoryDatabase()
    wrapper = LocalKeyFile(key_file)
    await a_process(database, key_file).to_seal(SHOP, "w7")
    [document] = database.container(CONTAINER).documents.values()

    wrapped = base64.b64decode(document["wrapped"])
    secret = await wrapper.unwrap(Wrapped(document["wrappedBy"], wrapped))

    assert len(secret) == 32
    assert secret not in wrapped


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"newest": "k2", "keys": {}}', '{"newest": "k", "keys": {"k": "AAAA"}}']
)
async def test_a_file_that_is_no_key_file_is_as_good_as_none(key_file: Path, text: str) -> None:
    spoil(key_file, text)

    with pytest.raises(StoreUnavailable):
        await a_process(InMemoryDatabase(), key_file).to_seal(SHOP, "w7")


async def test_a_changed_wrapped_key_is_noticed(key_file: Path) -> None:
    wrapper = LocalKeyFile(key_file)
    wrapped = await wrapper.wrap(bytes(32))

    with pytest.raises(ValueError, match="unwrap"):
        await wrapper.unwrap(Wrapped(wrapped.by, bytes([wrapped.data[0] ^ 1]) + wrapped.data[1:]))
    with pytest.raises(StoreUnavailable):
        await wrapper.unwrap(Wrapped("k9", wrapped.data))
