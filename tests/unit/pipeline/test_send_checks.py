"""The decisions before a call: caps for customers, caps on spending, and what is asked where nothing is capped."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationSubmitted
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.errors import InDoubt, Rejected, Transient
from shared.domain.notification import Delivery
from shared.domain.prices import Price, PriceBook
from shared.domain.tenant_policy import FrequencyCap, TenantPolicy
from shared.pipeline.deliver import deliver
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.accepted_chunks import attempt_of
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body

PRICES = PriceBook([Price("sms", 100_000), Price("sms", 10_000, country="49")])
THREE_A_DAY = TenantPolicy(frequency_caps={"sms": FrequencyCap(3, timedelta(hours=24))})


def an_sms(number: str = "+4915112345678", customer: str | None = "cust-1", **changes: Any) -> dict[str, Any]:
    recipient = {"phone": number} | ({"customerId": customer} if customer else {})
    body = {"recipient": recipient, "channels": ["sms"], "content": {"sms": {"text": "Sale!"}}}
    return a_body(**(body | changes))


async def accepted(world: World, bodies: Sequence[dict[str, Any]]) -> list[Chunk]:
    await submit_batch(a_batch(list(bodies)), CALLER, world.services)
    return [
        NotificationSubmitted.model_validate_json(message.body).to_chunk()
        for message in world.publisher.take(SUBMITTED)
    ]


async def sent(world: World, *bodies: dict[str, Any]) -> list[Delivery]:
    """What became of the bodies, in order."""
    known = {each.tracking_id for each in world.notifications}
    for chunk in await accepted(world, bodies):
        await deliver(chunk, world.services)
    fresh = [each for each in world.notifications if each.tracking_id not in known]
    return [next(iter(each.deliveries.values())) for each in fresh]


def outcomes(deliveries: Sequence[Delivery]) -> list[tuple[str, str | None]]:
    return sorted((delivery.status.value, delivery.reason) for delivery in deliveries)


def under(policy: TenantPolicy, **settings: Any) -> World:
    world = World(prices=PRICES, **settings)
    world.policies.decide(TENANT, policy)
    return world


def marketing(**changes: Any) -> dict[str, Any]:
    return an_sms(category="marketing", **changes)


async def test_customer_gets_no_more_than_the_cap_and_the_rest_is_suppressed() -> None:
    world = under(THREE_A_DAY)

    deliveries = await sent(world, *(marketing() for _ in range(5)))

    assert outcomes(deliveries) == [("sent", None)] * 3 + [("suppressed", "frequency_cap")] * 2
    assert len(world.providers["sms"].ledger) == 3


async def test_another_customer_another_day_and_what_must_be_heard_are_not_capped() -> None:
    world = under(THREE_A_DAY)
    await sent(world, *(marketing() for _ in range(3)))

    others = await sent(world, marketing(customer="cust-2"), an_sms(category="security"), an_sms())
    world.clock.advance(timedelta(hours=24, seconds=1))
    tomorrow = await sent(world, marketing())

    assert outcomes([*others, *tomorrow]) == [("sent", None)] * 4


async def test_customer_without_a_name_is_counted_by_address() -> None:
    world = under(THREE_A_DAY)

    same = await sent(world, *(marketing(customer=None) for _ in range(4)))
    other = await sent(world, marketing(customer=None, number="+4915112345679"))

    assert outcomes(same)[-1] == ("suppressed", "frequency_cap")
    assert outcomes(other) == [("sent", None)]


async def test_retry_counts_once() -> None:
    world = under(THREE_A_DAY)
    world.providers["sms"].script = [Transient("busy"), Transient("busy")]
    [chunk] = await accepted(world, [marketing()])
    for number in (1, 2, 3):
        await deliver(attempt_of(chunk, number), world.services)

    more = await sent(world, *(marketing() for _ in range(3)))

    assert outcomes(more) == [("sent", None)] * 2 + [("suppressed", "frequency_cap")]


async def test_counts_say_nothing_about_who_is_counted() -> None:
    world = under(THREE_A_DAY)

    await sent(world, marketing(customer="ada@example.com"))

    stored = str(world.database.container("rate-limits").documents)
    assert "frequency" in stored
    assert "ada" not in stored
    assert "4915112345678" not in stored


async def test_spending_stops_at_the_cap_and_starts_again_a_day_later(caplog: pytest.LogCaptureFixture) -> None:
    world = under(TenantPolicy(daily_spend=45_000))

    with caplog.at_level(logging.WARNING):
        today = await sent(world, *(an_sms() for _ in range(6)))
    world.clock.advance(timedelta(hours=25))
    tomorrow = await sent(world, an_sms())

    assert outcomes(today) == [("sent", None)] * 4 + [("suppressed", "spend_cap")] * 2
    assert outcomes(tomorrow) == [("sent", None)]
    [warning] = [record for record in caplog.records if record.message == "SMS pumping suspected"]
    assert (warning.signal, warning.tenant_id) == ("spend_cap", TENANT)  # type: ignore[attr-defined]


async def test_segments_are_charged_one_by_one() -> None:
    world = under(TenantPolicy(daily_spend=25_000))
    long = an_sms(content={"sms": {"text": "x" * 200}})

    deliveries = await sent(world, long, long)

    assert outcomes(deliveries) == [("sent", None), ("suppressed", "spend_cap")]


@pytest.mark.parametrize(("answer", "left"), [(Rejected("landline"), 3), (Transient("busy"), 3), (InDoubt("lost"), 2)])
async def test_call_that_was_not_taken_costs_nothing(answer: Exception, left: int) -> None:
    world = under(TenantPolicy(daily_spend=30_000))
    world.providers["sms"].script = [answer]
    await sent(world, an_sms())

    deliveries = await sent(world, *(an_sms() for _ in range(4)))

    assert outcomes(deliveries).count(("sent", None)) == left


async def test_spending_is_counted_over_all_processes() -> None:
    world = under(TenantPolicy(daily_spend=45_000))

    deliveries = []
    for _ in range(6):
        world.restart()
        deliveries += await sent(world, an_sms())

    assert outcomes(deliveries).count(("sent", None)) == 4


async def test_only_listed_countries_are_sent_to() -> None:
    world = under(TenantPolicy(sms_countries=frozenset({"49", "1"})))

    deliveries = await sent(world, an_sms(), an_sms("+12025550123"), an_sms("+18765550123"), an_sms("+2101234567"))

    assert outcomes(deliveries) == [("sent", None)] * 2 + [("suppressed", "country_not_allowed")] * 2


async def test_suppressed_delivery_is_told_and_is_no_dead_letter() -> None:
    world = under(TenantPolicy(sms_countries=frozenset({"1"})))

    [delivery] = await sent(world, an_sms())

    assert delivery.attempts[0].outcome == "withheld"
    assert delivery.wake_at is None
    assert world.publisher.take("dead-letters") == []


async def test_what_no_policy_caps_costs_no_call() -> None:
    world = World(prices=PRICES)
    chunks = await accepted(world, [an_sms() for _ in range(3)])
    before = len(world.database.steps.names)

    for chunk in chunks:
        await deliver(chunk, world.services)

    steps = world.database.steps.names[before:]
    assert world.database.container("rate-limits").documents == {}
    assert steps == ["batch of patch", "batch of patch"]


async def test_other_channels_of_a_capped_tenant_cost_no_call() -> None:
    world = under(TenantPolicy(daily_spend=1, sms_countries=frozenset(), frequency_caps=THREE_A_DAY.frequency_caps))

    deliveries = await sent(world, a_body(category="marketing"), a_body())

    assert outcomes(deliveries) == [("sent", None)] * 2
    assert world.database.container("rate-limits").documents == {}


async def test_store_that_is_away_puts_the_delivery_off() -> None:
    world = under(THREE_A_DAY)
    limits = world.database.container("rate-limits")
    [chunk] = await accepted(world, [marketing()])
    limits.away = True

    await deliver(chunk, world.services)

    delivery = world.delivery("sms")
    assert (delivery.status.value, delivery.reason) == ("retrying", "not_checked")
    assert world.providers["sms"].ledger == []


async def test_more_than_a_minutes_worth_to_one_country_waits_for_its_turn() -> None:
    world = under(TenantPolicy(max_sms_per_prefix_per_minute=3))

    deliveries = await sent(world, *(an_sms() for _ in range(6)), an_sms("+447700900123"))

    assert outcomes(deliveries) == [("retrying", "country_turn")] * 3 + [("sent", None)] * 4
    waits = sorted((each.due_at - world.clock.now()).total_seconds() for each in deliveries if each.due_at)
    assert waits == pytest.approx([70 / 3, 140 / 3, 70], abs=1)


async def test_default_velocity_holds_for_tenants_without_their_own() -> None:
    world = World(prices=PRICES, sms_per_country_per_minute=2)

    deliveries = await sent(world, *(an_sms() for _ in range(3)))

    assert outcomes(deliveries) == [("retrying", "country_turn"), ("sent", None), ("sent", None)]


async def test_who_has_waited_goes_before_what_has_just_come() -> None:
    world = under(TenantPolicy(max_sms_per_prefix_per_minute=1))
    [chunk] = await accepted(world, [an_sms() for _ in range(3)])
    await deliver(chunk, world.services)
    waiting = next(each for each in world.notifications if each.deliveries["sms"].status.value == "retrying")

    world.clock.advance(71)
    [fresh] = await sent(world, an_sms())
    await deliver(replace(chunk, items=(ChunkItem(waiting.tracking_id, 2),)), world.services)

    after = await world.services.notifications.read(TENANT, waiting.tracking_id)
    assert after.deliveries["sms"].status.value == "sent"
    assert fresh.status.value == "retrying"


async def test_who_would_wait_too_long_is_suppressed(caplog: pytest.LogCaptureFixture) -> None:
    world = under(TenantPolicy(max_sms_per_prefix_per_minute=1))

    with caplog.at_level(logging.WARNING):
        deliveries = await sent(world, *(an_sms() for _ in range(16)))

    assert outcomes(deliveries).count(("suppressed", "too_many_to_country")) == 3
    assert outcomes(deliveries).count(("retrying", "country_turn")) == 12
    assert [record.signal for record in caplog.records if record.message == "SMS pumping suspected"] == ["velocity"]  # type: ignore[attr-defined]
