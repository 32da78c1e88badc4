"""Somebody makes the service send paid-for messages to numbers that pay them: what it costs, and whom it hurts."""

import logging
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationStatus, NotificationSubmitted, StatusItem
from shared.domain.identifiers import partition_of
from shared.domain.phone_country import country_of
from shared.domain.prices import Price, PriceBook
from shared.domain.status import DeliveryStatus
from shared.domain.tenant_policy import TenantPolicy
from shared.pipeline.deliver import deliver
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit_batch import submit_batch
from shared.pipeline.track import track
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body

HOME, PREMIUM, CAP = 10_000, 300_000, 60_000_000  # millionths: 0.01 and 0.30 an SMS, 60 a day
PRICES = PriceBook([Price("sms", PREMIUM), Price("sms", HOME, country="49"), Price("sms", HOME, country="44")])
COUNTRIES = ("994", "996", "963", "1876", "224", "371", "252", "960", "881", "370")
PREFIXES = [f"+{country}{prefix}" for country in COUNTRIES for prefix in range(700, 720)]  # two hundred
REQUESTS = 10_000


def an_sms(number: str) -> dict[str, Any]:
    return a_body(recipient={"phone": number}, channels=["sms"], content={"sms": {"text": "Your code is 123456"}}) | {
        "category": "security"
    }


def attack(requests: int = REQUESTS) -> list[dict[str, Any]]:
    return [an_sms(f"{PREFIXES[number % len(PREFIXES)]}{number:06}"[:15]) for number in range(requests)]


def customers(count: int, country: str = "49") -> list[dict[str, Any]]:
    return [an_sms(f"+{country}15112{number:06}") for number in range(count)]


async def send(world: World, bodies: list[dict[str, Any]]) -> None:
    for start in range(0, len(bodies), 1000):
        await submit_batch(a_batch(bodies[start : start + 1000]), CALLER, world.services)
        for message in world.publisher.take(SUBMITTED):
            await deliver(NotificationSubmitted.model_validate_json(message.body).to_chunk(), world.services)


def spent(world: World) -> Counter[str | None]:
    """By country, as the provider charges."""
    bill: Counter[str | None] = Counter()
    for message in world.providers["sms"].ledger:
        country = country_of(message.address.e164)
        bill[country] += PRICES.price_of("fake-sms", "sms", country)
    return bill


def signals(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.signal for record in caplog.records if record.message == "SMS pumping suspected"}  # type: ignore[attr-defined]


async def a_tenant_with_a_past(policy: TenantPolicy) -> World:
    """It sent to Germany the day before."""
    world = World(prices=PRICES)
    world.policies.decide(TENANT, policy)
    await send(world, customers(3))
    world.clock.advance(timedelta(hours=26))
    world.providers["sms"].ledger.clear()
    return world


async def test_attack_from_two_hundred_premium_prefixes_costs_a_part_of_the_cap_and_hurts_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = await a_tenant_with_a_past(TenantPolicy(daily_spend=CAP, max_sms_per_prefix_per_minute=1000))

    with caplog.at_level(logging.WARNING):
        await send(world, attack())
    await send(world, customers(300))

    bill = spent(world)
    assert bill.total() <= CAP
    assert bill.total() - bill["49"] <= CAP / 4
    assert bill["49"] == 300 * HOME
    assert "new_countries" in signals(caplog)
    reasons = Counter(each.deliveries["sms"].reason for each in world.notifications)
    assert reasons["spend_cap"] >= REQUESTS - CAP / 4 / PREMIUM  # every one of them is accounted for


async def test_velocity_alone_lets_each_country_have_its_cap_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    world = await a_tenant_with_a_past(TenantPolicy(max_sms_per_prefix_per_minute=20))

    with caplog.at_level(logging.WARNING):
        await send(world, attack(4000))
    await send(world, customers(15))

    calls = Counter(country_of(message.address.e164) for message in world.providers["sms"].ledger)
    assert all(calls[country] == 20 for country in COUNTRIES)
    assert calls["49"] == 15
    assert signals(caplog) == {"velocity"}
    statuses = Counter(each.deliveries["sms"].status for each in world.notifications)
    assert statuses[DeliveryStatus.SUPPRESSED] > 1000  # who would wait for more than a quarter of an hour
    assert statuses[DeliveryStatus.RETRYING] == pytest.approx(10 * 15 * 60 / (70 / 20), rel=0.02)


async def test_listed_countries_keep_an_attack_out_altogether() -> None:
    world = await a_tenant_with_a_past(TenantPolicy(sms_countries=frozenset({"49"}), daily_spend=CAP))

    await send(world, attack(500))
    await send(world, customers(100))

    assert spent(world) == {"49": 100 * HOME}


async def test_country_where_hardly_anything_arrives_is_closed_and_others_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(prices=PRICES)
    world.policies.decide(TENANT, TenantPolicy(daily_spend=CAP))
    await send(world, customers(60))
    await send(world, customers(60, country="44"))

    for notification in world.notifications:
        is_german = notification.deliveries["sms"].address.e164.startswith("+49")  # type: ignore[attr-defined]
        item = StatusItem(
            tracking_id=notification.tracking_id,
            status=DeliveryStatus.DELIVERED if is_german else DeliveryStatus.FAILED,
            attempt=1,
            timestamp=world.clock.now(),
        )
        await track(
            NotificationStatus(
                tenant_id=TENANT,
                occurred_at=world.clock.now(),
                partition_key=partition_of(TENANT, notification.tracking_id),
                channel="sms",
                recorded=False,
                items=[item],
            ),
            world.services,
        )
    world.clock.advance(30)
    before = spent(world)
    with caplog.at_level(logging.WARNING):
        await send(world, customers(5) + customers(5, country="44"))

    assert spent(world) - before == {"49": 5 * HOME}
    assert signals(caplog) == {"low_delivery"}
    assert Counter(each.deliveries["sms"].reason for each in world.notifications)["low_delivery"] == 5


async def test_closed_country_is_tried_again_when_its_receipts_are_old() -> None:
    world = World(prices=PRICES)
    world.policies.decide(TENANT, TenantPolicy(daily_spend=CAP))
    for _ in range(60):
        await world.services.checks.guard.note_receipt(TENANT, "44", delivered=False, now=world.clock.now().timestamp())

    await send(world, customers(1, country="44"))
    world.clock.advance(timedelta(hours=2))
    await send(world, customers(1, country="44"))

    assert spent(world) == {"44": HOME}


async def test_receipts_of_tenants_that_are_not_guarded_cost_no_read() -> None:
    world = World(prices=PRICES)
    await send(world, customers(1))
    [notification] = world.notifications
    before = len(world.database.steps.names)

    await track(
        NotificationStatus(
            tenant_id=TENANT,
            occurred_at=world.clock.now(),
            partition_key=notification.partition_key,
            channel="sms",
            recorded=False,
            items=[
                StatusItem(
                    tracking_id=notification.tracking_id,
                    status=DeliveryStatus.DELIVERED,
                    attempt=1,
                    timestamp=world.clock.now(),
                )
            ],
        ),
        world.services,
    )

    assert len(world.database.steps.names) - before == 1
