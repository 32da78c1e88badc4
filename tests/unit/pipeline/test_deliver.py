"""One message, one chunk, one attempt each: what comes of what the provider says."""

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationStatus
from shared.domain.errors import (
    InDoubt,
    Misconfigured,
    Rejected,
    TemplateUnusable,
    Throttled,
    Transient,
)
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.services import DEAD_LETTERS, STATUS
from shared.ports import Accepted
from tests.fakes.accepted_chunks import accept, accept_together, attempt_of, told
from tests.fakes.steps import FaultsAt
from tests.fakes.world import ADDRESS, CALLER, World


async def test_what_the_provider_takes_is_sent_recorded_and_announced() -> None:
    world = World()
    chunk = await accept(world)

    await deliver(chunk, world.services)

    delivery = world.delivery()
    [sent] = world.email.ledger
    assert (sent.channel, sent.address.mailbox, sent.content.subject) == ("email", ADDRESS, "Your order")  # type: ignore[union-attr]
    assert (delivery.status, delivery.wake_at) == (DeliveryStatus.SENT, None)
    assert (delivery.provider, delivery.provider_message_id) == ("fake-email", "message-1")
    assert delivery.attempts[0].id == sent.attempt_id
    assert [(entry.status.value, entry.provider) for entry in world.notifications[0].history] == [
        ("sent", "fake-email")
    ]
    assert told(world) == [("sent", 1)]


async def test_a_template_is_rendered_with_the_pinned_version_and_the_notifications_data() -> None:
    world = World()
    found = await world.services.templates.find(CALLER.tenant_id, "welcome-new-user", None)
    assert found is not None
    chunk = await accept(
        world,
        template={"id": "welcome-new-user", "locale": "de"},
        content=None,
        data=dict.fromkeys(found.required, "Ada"),
    )

    await deliver(chunk, world.services)

    [sent] = world.email.ledger
    assert "Ada" in (sent.content.html or "")  # type: ignore[union-attr]
    assert "\n" not in sent.content.subject  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [Transient("http_503"), Throttled("http_429"), Misconfigured("bad_key")])
async def test_what_may_pass_is_announced_with_the_time_of_the_next_attempt(error: Exception) -> None:
    world = World()
    world.email.script = [error]
    chunk = await accept(world)

    await deliver(chunk, world.services)

    delivery = world.delivery()
    [message] = world.publisher.published[STATUS]
    [item] = NotificationStatus.model_validate_json(message.body).items
    assert (delivery.status, item.status) == (DeliveryStatus.RETRYING, DeliveryStatus.RETRYING)
    assert delivery.due_at is not None
    assert item.due_at is not None
    assert abs(delivery.due_at - item.due_at) < timedelta(milliseconds=1)
    assert world.clock.now() < delivery.due_at < delivery.wake_at  # type: ignore[operator]
    assert message.properties["retrying"] is True


async def test_what_the_provider_rejects_fails_with_its_reason_and_without_a_dead_letter() -> None:
    world = World()
    world.email.script = [Rejected("no_such_user")]
    chunk = await accept(world)

    await deliver(chunk, world.services)

    delivery = world.delivery()
    assert (delivery.status, delivery.reason, delivery.wake_at) == (DeliveryStatus.FAILED, "no_such_user", None)
    assert world.publisher.published[DEAD_LETTERS] == []
    assert told(world) == [("failed", 1)]


async def test_what_is_given_up_goes_to_the_dead_letters_with_its_history_and_without_address_or_content() -> None:
    world = World()
    world.email.otherwise = Transient("http_503")
    chunk = await accept(world, data={"secret": "4711"})
    for attempt in range(1, 7):
        again = attempt_of(chunk, attempt)
        await deliver(again, world.services)

    [letter] = world.publisher.published[DEAD_LETTERS]
    story = json.loads(letter.body)
    assert world.delivery().status is DeliveryStatus.FAILED
    assert world.delivery().reason == "attempts_exhausted"
    assert [attempt["number"] for attempt in story["attempts"]] == [1, 2, 3, 4, 5, 6]
    assert [attempt["outcome"] for attempt in story["attempts"]] == ["transient"] * 6
    assert [attempt["reason"] for attempt in story["attempts"]] == ["http_503"] * 6
    for secret in (ADDRESS, "4711", "on its way", "Your order"):
        assert secret.encode() not in letter.body


@pytest.mark.parametrize(
    "fault",
    [InDoubt("timeout"), ValueError("garbage"), KeyError("x"), RuntimeError(), TimeoutError(), AssertionError()],
)
async def test_an_answer_nobody_understands_leaves_the_delivery_in_doubt_and_is_not_repeated(fault: Exception) -> None:
    world = World()
    world.email.script = [fault]
    chunk = await accept(world)

    await deliver(chunk, world.services)

    delivery = world.delivery()
    assert (delivery.status, delivery.was_in_doubt, delivery.due_at) == (DeliveryStatus.IN_DOUBT, True, None)
    assert delivery.wake_at == world.clock.now() + world.services.patience.in_doubt
    assert len(world.email.ledger) == 1


async def test_what_is_too_late_is_not_sent() -> None:
    world = World()
    chunk = await accept(world, expiresAt="2026-11-24T12:01:00Z")
    world.clock.advance(60)

    await deliver(chunk, world.services)

    assert (world.delivery().status, world.delivery().wake_at) == (DeliveryStatus.EXPIRED, None)
    assert world.email.ledger == []
    assert told(world) == [("expired", 1)]


async def test_a_template_that_does_not_fit_its_data_is_rejected_before_anything_is_sent() -> None:
    world = World()
    found = await world.services.templates.find(CALLER.tenant_id, "welcome-new-user", None)
    assert found is not None

    class Unusable:
        def render(self, *_: object) -> Any:
            raise TemplateUnusable("UndefinedError")

    chunk = await accept(
        world, template={"id": "welcome-new-user"}, content=None, data=dict.fromkeys(found.required, "x")
    )
    await deliver(chunk, world.with_(renderer=Unusable()))

    assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.FAILED, "template_unusable")
    assert world.email.ledger == []
    assert [letter.properties["tag"] for letter in world.publisher.published[DEAD_LETTERS]] == ["poison"]


async def test_a_template_that_is_away_for_now_is_tried_again() -> None:
    world = World()
    found = await world.services.templates.find(CALLER.tenant_id, "welcome-new-user", None)
    assert found is not None

    class Empty:
        async def find(self, *_: object) -> None:
            return None

    chunk = await accept(
        world, template={"id": "welcome-new-user"}, content=None, data=dict.fromkeys(found.required, "x")
    )
    await deliver(chunk, world.with_(templates=Empty()))

    assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.RETRYING, "template_not_found")


async def test_a_chunk_of_fifty_is_claimed_and_recorded_in_one_call_each() -> None:
    world = World()
    chunk = await accept_together(world, 50)
    steps = FaultsAt({})
    world.watch(steps)

    await deliver(chunk, world.services)

    assert steps.names.count("batch of patch") == 2
    assert steps.names.count("provider call") == 50
    assert {n.deliveries["email"].status for n in world.notifications} == {DeliveryStatus.SENT}
    assert len(world.publisher.published[STATUS]) == 1


async def test_an_awaited_notification_wakes_whoever_waits() -> None:
    world = World()
    chunk = await accept(world, wait=10)

    await deliver(chunk, world.services)

    [message] = world.publisher.published[STATUS]
    assert message.properties["awaited"] is True


async def test_an_answer_that_is_the_delivery_ends_it() -> None:
    world = World()
    world.email.otherwise = Accepted(delivered=True)
    chunk = await accept(world)

    await deliver(chunk, world.services)

    assert world.delivery().status is DeliveryStatus.DELIVERED
