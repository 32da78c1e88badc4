"""What the daily timer does about data keys, over the real keyring."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.adapters.keyring import CosmosKeyring
from shared.adapters.local_key_file import LocalKeyFile
from shared.contracts.sealing import PROFILES, end_of, week_of
from shared.pipeline.data_keys import KEPT_AFTER_WEEK, look_after_data_keys
from tests.fakes.world import TENANT, World
from tests.unit.adapters.test_keyring import write_keys


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys.json", "k1")


def a_world(key_file: Path) -> tuple[World, CosmosKeyring]:
    world = World()
    ring = CosmosKeyring(world.database, LocalKeyFile(key_file))  # type: ignore[arg-type]
    world.keyring = ring  # type: ignore[assignment]
    world.services = world.fresh_process()
    return world, ring


async def _ids(ring: CosmosKeyring) -> set[str]:
    return {key.id for key in await ring.stored()}


async def test_after_a_rotation_every_key_is_wrapped_anew_once(key_file: Path) -> None:
    world, ring = a_world(key_file)
    await world.submit()
    await ring.to_seal(TENANT, PROFILES)
    write_keys(key_file, "k1", "k2-new")

    first = await look_after_data_keys(world.services)
    second = await look_after_data_keys(world.services)

    assert (first.rewrapped, second.rewrapped) == (2, 0)
    assert {key.wrapped_by for key in await ring.stored()} == {"k2-new"}


async def test_the_next_weeks_key_is_there_before_the_week_is(key_file: Path) -> None:
    world, ring = a_world(key_file)
    await world.submit()
    this_week = week_of(world.clock.now())
    world.clock.advance_to(end_of(this_week) - timedelta(days=1))

    care = await look_after_data_keys(world.services)

    assert care.made == 1
    assert await _ids(ring) == {this_week, week_of(end_of(this_week))}


async def test_a_key_is_destroyed_when_all_it_sealed_is_gone_and_not_before(key_file: Path) -> None:
    world, ring = a_world(key_file)
    await world.submit()
    await ring.to_seal(TENANT, PROFILES)
    this_week = week_of(world.clock.now())

    world.clock.advance_to(end_of(this_week) + KEPT_AFTER_WEEK - timedelta(seconds=1))
    await look_after_data_keys(world.services)
    assert this_week in await _ids(ring)

    world.clock.advance(timedelta(seconds=1))
    await look_after_data_keys(world.services)
    assert this_week in await _ids(ring)  # the notification was replayed, say, and is still there

    world.documents.clear()
    care = await look_after_data_keys(world.services)

    assert care.destroyed == 1
    assert await _ids(ring) == {PROFILES}


async def test_what_waits_for_its_time_is_sealed_with_the_key_of_that_week(key_file: Path) -> None:
    world, ring = a_world(key_file)
    send_at = world.clock.now() + timedelta(days=100)

    await world.submit(sendAt=send_at.isoformat().replace("+00:00", "Z"))

    assert await _ids(ring) == {week_of(send_at)}


async def test_one_key_that_cannot_be_wrapped_anew_does_not_stop_the_others(key_file: Path) -> None:
    world, ring = a_world(key_file)
    await world.submit()
    write_keys(key_file, "k2-new")
    await ring.to_seal(TENANT, PROFILES)  # wrapped with the new key; the first can't be unwrapped any more

    care = await look_after_data_keys(world.services)

    assert care.failed == 1
    assert {key.id: key.wrapped_by for key in await ring.stored()}[PROFILES] == "k2-new"
