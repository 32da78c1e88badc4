"""Profiles: what is written is read back, what makes no sense is refused, what takes something away is waited for."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from shared.contracts.preferences_api import MAX_PREFERENCES_BYTES
from shared.domain.errors import InvalidSubmission, NotFound, VersionChanged
from shared.domain.identifiers import TenantId
from shared.pipeline.consents import ACKNOWLEDGED_AFTER_SECONDS
from shared.pipeline.preferences import Condition, change_preferences, read_preferences, replace_preferences
from shared.ports import Caller
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, World

PROFILE: dict[str, Any] = {
    "addresses": {
        "email": "ada@example.com",
        "phone": "+4915112345678",
        "deviceTokens": [{"platform": "fcm", "token": "token-1", "lastSeen": "2026-11-01T10:00:00Z"}],
    },
    "locale": "de",
    "timeZone": "Europe/Berlin",
    "consents": {"marketing": {"*": {"granted": False, "source": "form", "at": "2026-01-01T00:00:00Z"}}},
    "quietHours": {"start": "22:00", "end": "07:00"},
    "fallbackOrder": ["push", "sms"],
    "pausedUntil": "2027-01-01T00:00:00Z",
}
ANYTHING = Condition()


def _in(world: World, story: Callable[[World], Awaitable[Any]]) -> Any:
    async def told() -> Any:
        return await story(world)

    return run_virtually(told())


async def _put(world: World, body: object, condition: Condition = ANYTHING, customer: str = "ada") -> Any:
    return await replace_preferences(customer, json.dumps(body).encode(), condition, CALLER, world.services)


async def _patch(world: World, body: object, condition: Condition = ANYTHING) -> Any:
    return await change_preferences("ada", json.dumps(body).encode(), condition, CALLER, world.services)


async def _read(world: World) -> dict[str, Any]:
    shown: dict[str, Any] = orjson.loads((await read_preferences("ada", CALLER, world.services)).answer)
    return shown


def test_what_is_written_is_read_back():
    async def story(world: World) -> None:
        written = await _put(world, PROFILE)
        read = await _read(world)

        assert written.is_new
        assert {name: read[name] for name in PROFILE} == PROFILE
        assert read["customerId"] == "ada"

    _in(World(), story)


def test_a_merge_patch_changes_what_it_names():
    async def story(world: World) -> None:
        await _put(world, PROFILE)
        await _patch(
            world, {"addresses": {"phone": None}, "consents": {"marketing": {"sms": {"granted": True}}}, "locale": "en"}
        )
        read = await _read(world)

        assert "phone" not in read["addresses"]
        assert read["locale"] == "en"
        assert read["consents"]["marketing"]["*"]["granted"] is False
        assert read["consents"]["marketing"]["sms"]["granted"] is True
        assert read["addresses"]["email"] == "ada@example.com"

    _in(World(), story)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"addresses": {"email": "no mailbox"}}, "/addresses/email"),
        ({"addresses": {"phone": "0151"}}, "/addresses/phone"),
        ({"addresses": {"customerId": "eve"}}, "/addresses"),
        ({"addresses": {"deviceTokens": [{"platform": "fcm", "token": "a b"}]}}, "/addresses/deviceTokens/0/token"),
        ({"addresses": {"deviceTokens": [{"platform": "fcm", "token": "t"}] * 11}}, "/addresses/deviceTokens"),
        ({"timeZone": "Mars/Base"}, "/timeZone"),
        ({"timeZone": "../../etc/passwd"}, "/timeZone"),
        ({"locale": "german"}, "/locale"),
        ({"quietHours": {"start": "22:00", "end": "22:00"}}, "/quietHours"),
        ({"quietHours": {"start": "24:00", "end": "07:00"}}, "/quietHours/start"),
        ({"consents": {"nonsense": {}}}, "/consents/nonsense"),
        ({"consents": {"marketing": {"email": True}}}, "/consents/marketing/email"),
        ({"fallbackOrder": ["sms", "sms"]}, ""),
        ({"fallbackOrder": ["pigeon"]}, "/fallbackOrder/0"),
        ({"unknown": 1}, "/unknown"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(change: dict[str, Any], pointer: str):
    async def story(world: World) -> None:
        with pytest.raises(InvalidSubmission) as refusal:
            await _put(world, PROFILE | change)

        assert pointer in [error.pointer for error in refusal.value.errors]
        assert not world.preferences.profiles

    _in(World(), story)


def test_a_body_that_is_too_large_or_no_json_is_refused():
    async def story(world: World) -> None:
        await _put(world, PROFILE)
        for body, status in ((b" " * (MAX_PREFERENCES_BYTES + 1), 413), (b"{", 422)):
            with pytest.raises(InvalidSubmission) as refusal:
                await replace_preferences("ada", body, ANYTHING, CALLER, world.services)
            assert refusal.value.status == status
        for body, status in ((b"{", 400), (b"[]", 422)):
            with pytest.raises(InvalidSubmission) as refusal:
                await change_preferences("ada", body, ANYTHING, CALLER, world.services)
            assert refusal.value.status == status

    _in(World(), story)


@pytest.mark.parametrize("customer", ["", "a/b", "a b", "!changes", "x" * 129, "a\u202eb", "a?b", "a#b"])
def test_a_name_that_no_customer_can_have_is_not_found(customer: str):
    async def story(world: World) -> None:
        with pytest.raises(NotFound):
            await _put(world, PROFILE, customer=customer)

    _in(World(), story)


def test_another_tenants_customer_is_not_found():
    async def story(world: World) -> None:
        await _put(world, PROFILE)
        stranger = Caller(TenantId("stranger"), "stranger", frozenset())
        with pytest.raises(NotFound):
            await read_preferences("ada", stranger, world.services)

    _in(World(), story)


def test_conditions_hold_or_refuse():
    async def story(world: World) -> None:
        first = await _put(world, PROFILE, Condition(if_absent=True))
        second = await _put(world, PROFILE | {"locale": "en"}, Condition(if_match=first.etag))
        for stale in (Condition(if_match=first.etag), Condition(if_absent=True)):
            with pytest.raises(VersionChanged):
                await _put(world, PROFILE, stale)
        with pytest.raises(VersionChanged):
            await _patch(world, {"locale": "fr"}, Condition(if_match=first.etag))

        assert (await _patch(world, {"locale": "fr"}, Condition(if_match=second.etag))).etag != second.etag

    _in(World(), story)


def test_of_two_writers_at_once_one_is_told():
    async def story(world: World) -> None:
        await _put(world, PROFILE)
        world.preferences.latency = 0.2
        answers = await asyncio.gather(
            *(_patch(world, {"locale": locale}) for locale in ("en", "fr")), return_exceptions=True
        )

        assert sorted(type(answer).__name__ for answer in answers) == ["PreferencesAnswer", "VersionChanged"]

    _in(World(), story)


@pytest.mark.parametrize(
    ("change", "waits"),
    [
        ({"consents": {"marketing": {"*": {"granted": False, "source": "link"}}}}, True),
        ({"pausedUntil": "2028-01-01T00:00:00Z"}, True),
        ({"addresses": {"email": "new@example.com"}}, True),
        ({"quietHours": {"start": "20:00", "end": "08:00"}}, True),
        ({"consents": {"marketing": {"sms": {"granted": True}}}}, False),
        ({"fallbackOrder": ["sms"]}, False),
    ],
)
def test_what_takes_something_away_is_answered_when_every_process_knows(change: dict[str, Any], waits: bool):
    async def story(world: World) -> None:
        time = asyncio.get_running_loop().time
        await _put(world, PROFILE)
        began = time()
        await _patch(world, change)

        assert time() - began == (ACKNOWLEDGED_AFTER_SECONDS if waits else 0)

    _in(World(), story)
