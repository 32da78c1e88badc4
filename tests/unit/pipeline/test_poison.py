"""What nobody can read is a dead letter at once, with a reason and without what it says."""

import json
from typing import Any

import pytest

from shared.contracts.callback_payload import CallbackBatch
from shared.contracts.events import NotificationStatus, NotificationSubmitted
from shared.domain.errors import PublishFailed
from shared.pipeline.poison import MAX_MESSAGE_BYTES, read_or_bury
from shared.pipeline.services import DEAD_LETTERS
from tests.fakes.world import World

CANARY = "ada@example.com"
CHUNK: dict[str, Any] = {
    "schemaVersion": 1,
    "tenantId": "shop",
    "occurredAt": "2026-11-24T12:00:00Z",
    "partitionKey": "shop:beef",
    "channel": "email",
    "priority": "normal",
    "deliveries": [{"trackingId": "01M86PTPG0FM4ZR32P5GKMSV2T"}],
}


def _json(**changes: Any) -> bytes:
    return json.dumps(CHUNK | changes).encode()


async def _letter(world: World, body: bytes) -> dict[str, Any]:
    assert (
        await read_or_bury(NotificationSubmitted, body, "notifications-submitted/email-normal", world.services) is None
    )
    [letter] = world.publisher.take(DEAD_LETTERS)
    return dict(json.loads(letter.body))


@pytest.mark.parametrize(
    ("body", "reason", "pointers"),
    [
        (b'{"deliveries": [', "not_json", []),
        (b"", "not_json", []),
        (b"\xff\xfe", "not_json", []),
        (b"[]", "bad_schema", []),
        (_json(deliveries="many"), "bad_schema", ["/deliveries"]),
        (_json(deliveries=[]), "bad_schema", ["/deliveries"]),
        (_json(schemaVersion="1.5"), "bad_schema", ["/schemaVersion"]),
        (_json(schemaVersion=99), "unknown_version", ["/schemaVersion"]),
        (_json(junk="x" * MAX_MESSAGE_BYTES), "oversize", []),
        (_json(channel="fax"), "unknown_channel", ["/channel"]),
        (_json(partitionKey="bank:beef"), "foreign_partition", ["/partitionKey"]),
    ],
)
async def test_every_kind_of_poison_has_a_reason(body: bytes, reason: str, pointers: list[str]) -> None:
    letter = await _letter(World(), body)

    assert letter["reason"] == reason
    assert [each for each in pointers if each not in letter["pointers"]] == []
    assert letter["bytes"] == len(body)


async def test_what_can_be_read_is_read() -> None:
    world = World()

    event = await read_or_bury(NotificationSubmitted, _json(), "x", world.services)

    assert event is not None
    assert event.to_chunk().channel == "email"
    assert world.publisher.published == {}


async def test_the_same_bytes_are_the_same_letter_in_one_place_and_another_in_the_next() -> None:
    world = World()
    for entity in ("a", "a", "b"):
        await read_or_bury(NotificationStatus, b"?", entity, world.services)

    first, again, other = [letter.message_id for letter in world.publisher.take(DEAD_LETTERS)]

    assert first == again != other


@pytest.mark.parametrize(
    "body", [_json(deliveries=CANARY), _json(channel=CANARY), CANARY.encode(), json.dumps({CANARY: CANARY}).encode()]
)
async def test_the_bytes_of_a_stranger_are_kept_nowhere(body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    letter = await _letter(world, body)

    assert CANARY not in json.dumps(letter)
    assert CANARY not in caplog.text + str([vars(record) for record in caplog.records])


async def test_a_message_of_a_later_version_is_kept_to_be_put_back() -> None:
    letter = await _letter(World(), _json(schemaVersion=2))

    assert json.loads(letter["body"]) == CHUNK | {"schemaVersion": 2}


async def test_while_the_broker_is_away_it_comes_back() -> None:
    world = World()
    world.publisher.away = {DEAD_LETTERS}

    with pytest.raises(PublishFailed):
        await read_or_bury(CallbackBatch, b"{}", "callbacks", world.services)
