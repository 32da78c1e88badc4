"""What is quarantined waits on the bus, unclaimed, and goes out when it is released."""

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationStatus
from shared.domain.errors import Transient
from shared.domain.notification import Category, Lane
from shared.domain.quarantine import LONGEST_HOLD, SHORTEST_HOLD, Because, Quarantine, Subject
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.quarantine import FRESH_SECONDS
from shared.pipeline.recover import sweep
from shared.pipeline.retry import continue_retries
from shared.pipeline.services import STATUS, SUBMITTED
from tests.fakes.braked_world import BrakedWorld, chunk_in
from tests.fakes.clock import START
from tests.fakes.world import TENANT

WELCOME = {"template": {"id": "welcome-new-user"}, "content": None}


def _of(template: str | None = None, **fields: Any) -> Quarantine:
    return Quarantine(Subject(TENANT, template), START, Because.OPERATOR, "ops", **fields)


async def _welcome(world: BrakedWorld, **fields: Any) -> None:
    found = await world.services.templates.find(TENANT, "welcome-new-user", None)
    assert found is not None
    await world.submit(**WELCOME, data=dict.fromkeys(found.required, "Ada"), **fields)


async def test_what_is_quarantined_is_accepted_and_waits_unclaimed() -> None:
    world = BrakedWorld()
    await world.quarantine(_of())
    await world.submit()

    [message] = await world.deliver_all()

    delivery = world.delivery()
    assert (delivery.status, delivery.attempt, world.email.ledger) == (DeliveryStatus.QUEUED, 0, [])
    assert message.due_at is not None
    assert 0.7 * SHORTEST_HOLD < message.due_at - world.clock.now() < 1.3 * LONGEST_HOLD
    assert chunk_in(message).is_held


async def test_what_is_released_goes_out_with_nothing_spent() -> None:
    world = BrakedWorld()
    await world.quarantine(_of())
    await world.submit()
    [message] = await world.deliver_all()
    await world.store.release(_of().id, "ops", world.clock.now())
    world.pass_time(700)

    await deliver(chunk_in(message), world.services)

    delivery = world.delivery()
    assert (delivery.status, delivery.attempt) == (DeliveryStatus.SENT, 1)


@pytest.mark.parametrize("passes", [{"priority": "high"}, {"category": "security"}])
async def test_high_and_security_pass(passes: dict[str, str]) -> None:
    world = BrakedWorld()
    await world.quarantine(_of())
    await world.submit(**passes)

    assert await world.deliver_all() == []
    assert world.delivery().status is DeliveryStatus.SENT


async def test_high_and_security_are_held_when_they_are_named() -> None:
    world = BrakedWorld()
    everything = _of(lanes=frozenset(Lane), categories=frozenset(Category))
    await world.quarantine(everything)
    await world.submit(priority="high", category="security")

    assert len(await world.deliver_all()) == 1


async def test_a_template_is_held_and_the_rest_of_its_tenant_is_not() -> None:
    world = BrakedWorld()
    await world.quarantine(_of("welcome-new-user"))
    await _welcome(world)
    await world.submit()

    held = await world.deliver_all()

    assert [chunk_in(each).template and chunk_in(each).template.id for each in held] == ["welcome-new-user"]  # type: ignore[union-attr]
    assert len(world.email.ledger) == 1


async def test_how_much_is_held_is_counted_once_however_often_it_comes_back() -> None:
    world = BrakedWorld()
    await world.quarantine(_of())
    await _welcome(world)
    await world.submit()
    for _ in range(5):
        messages = await world.deliver_all()
        world.pass_time(700)
        for message in messages:
            await deliver(chunk_in(message), world.services)
    [quarantine] = await world.store.active()

    assert quarantine.held == {"welcome-new-user": 1, "": 1}


async def test_what_expires_meanwhile_is_told_so_and_not_sent() -> None:
    world = BrakedWorld()
    await world.quarantine(_of())
    expires_at = world.clock.now() + timedelta(seconds=10)
    await world.submit(expiresAt=expires_at.isoformat())

    [message] = await world.deliver_all()
    world.pass_time(11)
    await deliver(chunk_in(message), world.services)

    assert message.due_at == expires_at
    assert (world.delivery().status, world.email.ledger) == (DeliveryStatus.EXPIRED, [])


async def test_a_retry_knows_its_template_and_is_held_too() -> None:
    world = BrakedWorld()
    world.email.script = [Transient("http_503")]
    await _welcome(world)
    await world.deliver_all()
    await world.quarantine(_of("welcome-new-user"))
    for message in world.publisher.take(STATUS):
        event = NotificationStatus.model_validate_json(message.body)
        await continue_retries(event, world.orchestrations, world.services)
    world.pass_time(60)
    await world.orchestrations.run_due(world.clock.now(), world.services)

    [held] = await world.deliver_all()

    assert chunk_in(held).category is Category.TRANSACTIONAL
    assert len(world.email.ledger) == 1
    assert world.delivery().attempt == 1


async def test_the_sweeper_adds_no_copies_of_what_is_held() -> None:
    world = BrakedWorld()
    await world.quarantine(_of())
    await world.submit()
    await world.deliver_all()
    for _ in range(10):
        world.pass_time(700)
        await sweep(world.services)

    assert world.publisher.published[SUBMITTED] == []
    await world.store.release(_of().id, "ops", world.clock.now())
    world.pass_time(700)
    await sweep(world.services)
    assert len(world.publisher.published[SUBMITTED]) == 1


async def test_a_process_reads_every_two_seconds_and_not_for_each_message() -> None:
    world = BrakedWorld()
    for _ in range(40):
        await world.submit()
        await world.deliver_all()
        world.pass_time(0.1)

    assert world.database.steps.names.count("query") <= 4 / FRESH_SECONDS + 1


async def test_while_the_store_is_away_what_is_known_goes_on_to_hold() -> None:
    world = BrakedWorld()
    await world.quarantine(_of())
    await world.submit()
    [message] = await world.deliver_all()
    world.database.away = True
    world.pass_time(700)

    await deliver(chunk_in(message), world.services)

    assert len(world.publisher.published[SUBMITTED]) == 1
    assert world.email.ledger == []


async def test_without_a_store_nothing_is_quarantined() -> None:
    world = BrakedWorld()
    services = world.with_(quarantines=type(world.services.quarantines)())
    await world.submit()

    await world.deliver_all(services)

    assert world.delivery().status is DeliveryStatus.SENT
