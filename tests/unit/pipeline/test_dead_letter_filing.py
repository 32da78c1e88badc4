"""What was given up lies filed, once, whichever queue it came from."""

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.cosmos_dead_letters import CONTAINER
from shared.contracts.callback_payload import CallbackBatch
from shared.contracts.events import NotificationSubmitted
from shared.domain.dead_letter import BUS, DeadDelivery, DeadLetter, DeadMessage, Tag
from shared.domain.errors import StoreUnavailable, Transient
from shared.pipeline.dead_letter_filing import Undelivered, entity_of, file_letter, file_undelivered
from shared.pipeline.poison import read_or_bury
from shared.pipeline.services import DEAD_LETTERS, SUBMITTED
from tests.fakes.clock import START
from tests.fakes.real_world import RealWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import ADDRESS, TENANT, World

CHUNK: dict[str, Any] = {
    "tenantId": TENANT, "occurredAt": "2026-11-24T12:00:00Z", "partitionKey": "shop:beef", "channel": "email",
    "priority": "normal", "deliveries": [{"trackingId": "01M86PTPG0FM4ZR32P5GKMSV2T"}],
}  # fmt: skip
SUBSCRIPTION = "notifications-submitted/Subscriptions/email-normal"


def _documents(world: World) -> list[dict[str, Any]]:
    return list(world.database.container(CONTAINER).documents.values())


async def _filed(world: World) -> DeadLetter:
    [document] = _documents(world)
    return await world.services.dead_letters.read(document["tenantId"], f"{document['day']}.{document['id']}")


async def _file_all(world: World) -> None:
    for message in world.publisher.take(DEAD_LETTERS):
        await file_letter(message.body, START, world.services)


async def _exhausted() -> World:
    world = World()
    world.email.otherwise = Transient("provider_unavailable")
    await world.submit(template={"id": "order-confirmation"}, content=None, data={"orderId": "A", "orderTotal": "1"})
    await RealWorld(world, None).quiesce()
    return world


def test_a_delivery_that_was_given_up_is_filed_with_its_whole_story_and_nothing_personal() -> None:
    async def scenario() -> None:
        world = await _exhausted()
        attempts = world.delivery().attempts

        await _file_all(world)

        letter = await _filed(world)
        assert (letter.tenant_id, letter.tag, letter.reason) == (TENANT, Tag.EXHAUSTED, "attempts_exhausted")
        assert isinstance(letter.story, DeadDelivery)
        assert letter.story.attempts == attempts
        assert letter.story.attempt == len(attempts)
        assert letter.story.template is not None
        assert letter.story.template.id == "order-confirmation"
        assert letter.dead_since == attempts[-1].finished_at
        assert ADDRESS not in json.dumps(_documents(world))

    run_virtually(scenario())


def test_filing_a_copy_changes_nothing_but_their_number() -> None:
    async def scenario() -> None:
        world = await _exhausted()
        [message] = world.publisher.take(DEAD_LETTERS)
        for _ in range(3):
            await file_letter(message.body, START, world.services)
            world.clock.advance(timedelta(hours=30))

        assert (await _filed(world)).copies == 3

    run_virtually(scenario())


async def test_poison_is_filed_under_nobodys_name_without_its_bytes() -> None:
    world = World()
    await read_or_bury(NotificationSubmitted, b"ada@example.com {", "notifications-submitted/sms-high", world.services)

    await _file_all(world)

    letter = await _filed(world)
    assert (letter.tenant_id, letter.tag, letter.reason) == (BUS, Tag.POISON, "not_json")
    assert isinstance(letter.story, DeadMessage)
    assert (letter.story.entity, letter.story.size, letter.story.body) == ("notifications-submitted/sms-high", 17, None)
    assert ADDRESS not in json.dumps(_documents(world))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"tenantId": "shop"}', b"\xff"])
async def test_a_dead_letter_nobody_can_read_is_filed_as_what_it_is(body: bytes) -> None:
    world = World()

    await file_letter(body, START, world.services)

    letter = await _filed(world)
    assert (letter.tenant_id, letter.tag, letter.reason) == (BUS, Tag.POISON, "bad_schema")
    assert isinstance(letter.story, DeadMessage)
    assert letter.story.entity == DEAD_LETTERS


@pytest.mark.parametrize(
    ("source", "body", "reason", "tag", "is_kept"),
    [
        (SUBSCRIPTION, json.dumps(CHUNK).encode(), "MaxDeliveryCountExceeded", Tag.UNPROCESSED, True),
        (SUBSCRIPTION, json.dumps(CHUNK).encode(), "TTLExpiredException", Tag.EXPIRED, True),
        (SUBSCRIPTION, b"junk", "MaxDeliveryCountExceeded", Tag.POISON, False),
        ("somewhere-else", json.dumps(CHUNK).encode(), "MaxDeliveryCountExceeded", Tag.POISON, False),
    ],
)
async def test_what_the_broker_gave_up_on_is_filed_by_its_word(
    source: str, body: bytes, reason: str, tag: Tag, is_kept: bool
) -> None:
    world = World()
    for _ in range(2):
        await file_undelivered(Undelivered(source, reason, body, START), world.services)

    letter = await _filed(world)
    assert (letter.tenant_id, letter.tag, letter.reason, letter.copies) == (BUS, tag, reason, 2)
    assert isinstance(letter.story, DeadMessage)
    assert (letter.story.body is not None) == is_kept


async def test_of_an_envelope_only_what_belongs_there_is_kept() -> None:
    world = World()
    body = json.dumps(CHUNK | {"note": ADDRESS}).encode()

    await file_undelivered(Undelivered(SUBSCRIPTION, "x", body, START), world.services)

    [document] = _documents(world)
    assert ADDRESS not in json.dumps(document)
    assert NotificationSubmitted.model_validate_json(document["body"]).to_chunk().channel == "email"


async def test_callbacks_are_kept_so_that_they_can_be_put_back() -> None:
    world = World()
    batch = CallbackBatch(tenant_id=TENANT, partition_key="shop:beef", endpoint_id="ep1", items=[])

    body = batch.model_dump_json(by_alias=True).encode()
    await file_undelivered(Undelivered("callbacks", "x", body, START), world.services)

    [document] = _documents(world)
    assert CallbackBatch.model_validate_json(document["body"]) == batch


def test_a_dead_letter_that_died_itself_is_filed_as_what_it_was() -> None:
    async def scenario() -> None:
        world = await _exhausted()
        [message] = world.publisher.take(DEAD_LETTERS)

        await file_undelivered(
            Undelivered(DEAD_LETTERS, "MaxDeliveryCountExceeded", message.body, START), world.services
        )

        assert (await _filed(world)).tag is Tag.EXHAUSTED

    run_virtually(scenario())


@pytest.mark.parametrize(
    ("source", "entity"),
    [
        (SUBSCRIPTION, f"{SUBMITTED}/email-normal"),
        ("notifications-status/subscriptions/tracker/$deadletterqueue", "notifications-status/tracker"),
        ("callbacks", "callbacks"),
        ("", "unknown"),
    ],
)
def test_an_entity_is_called_as_elsewhere(source: str, entity: str) -> None:
    assert entity_of(source) == entity


def test_while_the_store_is_away_the_message_waits_and_then_comes_back() -> None:
    async def scenario() -> None:
        world = World()
        world.database.away = True
        with pytest.raises(StoreUnavailable):
            await file_letter(b"{}", START, world.services)
        world.database.away = False

        await file_letter(b"{}", START, world.services)

        assert (await _filed(world)).copies == 1

    run_virtually(scenario())
