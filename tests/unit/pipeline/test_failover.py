"""Two providers for one channel: who gets which attempt, on the real path."""

import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from shared.domain.capabilities import Capabilities
from shared.domain.errors import InDoubt, Misconfigured, Rejected, Throttled, Transient
from shared.domain.prices import Price, PriceBook
from shared.domain.status import DeliveryStatus
from shared.domain.tenant_policy import ProviderShare, TenantPolicy
from shared.pipeline.notifications import view_of
from shared.pipeline.services import DEAD_LETTERS
from tests.fakes.fake_provider import FakeReceiptSource
from tests.fakes.real_world import RealWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import TENANT, World

SMS = {
    "recipient": {"customerId": "cust-1", "phone": "+4915112345678"},
    "channels": ["sms"],
    "content": {"sms": {"text": "Your code is 4711"}},
}


def _world(channel: str = "email") -> tuple[World, FakeReceiptSource, FakeReceiptSource]:
    second = FakeReceiptSource(channel, f"second-{channel}")
    world = World(further={channel: [second]})
    return world, world.providers[channel], second


def _live(world: World, **request: Any) -> None:
    async def scene() -> None:
        await world.submit(**request)
        await RealWorld(world, receipts=None).quiesce()

    run_virtually(scene())


def _who(world: World, channel: str = "email") -> list[tuple[str | None, str | None]]:
    return [(attempt.provider, attempt.routed_because) for attempt in world.delivery(channel).attempts]


def test_the_second_provider_takes_over_when_the_first_has_had_its_attempts() -> None:
    world, first, _ = _world()
    first.otherwise = Transient("http_503")

    _live(world)

    assert _who(world) == [("fake-email", None)] * 6 + [("second-email", "attempts_used_up")]
    assert (world.delivery().status, world.delivery().provider) == (DeliveryStatus.SENT, "second-email")
    claimed = [attempt.claimed_at for attempt in world.delivery().attempts]
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(claimed)]
    assert [round(pause) for pause in pauses[:2]] == [1, 2]
    assert pauses[-1] < 0.1


def test_when_both_fail_the_dead_letter_tells_the_whole_story() -> None:
    world, first, second = _world()
    first.otherwise = second.otherwise = Transient("http_503")

    _live(world)

    [letter] = world.publisher.published[DEAD_LETTERS]
    tried = [attempt["provider"] for attempt in json.loads(letter.body)["attempts"]]
    assert tried == ["fake-email"] * 6 + ["second-email"] * 6
    assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.FAILED, "attempts_exhausted")


def test_a_wrong_account_costs_one_attempt_and_no_time() -> None:
    world, first, _ = _world()
    first.otherwise = Misconfigured("authentication_failed")

    _live(world)

    assert _who(world) == [("fake-email", None), ("second-email", "misconfigured")]
    assert world.delivery().attempts[-1].claimed_at - world.delivery().attempts[0].claimed_at < timedelta(seconds=0.1)


def test_a_rejected_message_is_not_tried_elsewhere() -> None:
    world, first, second = _world()
    first.otherwise = Rejected("invalid_address")

    _live(world)

    assert second.ledger == []
    assert (world.delivery().status, world.delivery().reason) == (DeliveryStatus.FAILED, "invalid_address")


def test_a_message_that_only_this_provider_rejects_is() -> None:
    world, first, _ = _world()
    first.otherwise = Rejected("country_not_enabled", elsewhere=True)

    _live(world)

    assert _who(world) == [("fake-email", None), ("second-email", "not_carried")]
    assert world.delivery().status is DeliveryStatus.SENT


@pytest.mark.parametrize("category", ["transactional", "marketing"])
def test_in_doubt_is_resolved_by_the_policy_before_anybody_else_is_called(category: str) -> None:
    world, first, second = _world()
    first.script = [InDoubt("no_answer")]

    _live(world, category=category)

    resent = category == "transactional"
    assert second.ledger == []  # the first provider has attempts left
    assert len(first.ledger) == (2 if resent else 1)
    assert world.delivery().status is (DeliveryStatus.SENT if resent else DeliveryStatus.FAILED)


def test_the_resend_of_a_last_attempt_in_doubt_goes_to_the_next_provider_and_waits_for_the_patience() -> None:
    world, first, second = _world()
    first.script = [Transient("http_503")] * 5 + [InDoubt("no_answer")]

    _live(world)

    before, after = world.delivery().attempts[-2:]
    assert [sent.attempt_id for sent in second.ledger] == [after.id]
    assert after.claimed_at - before.claimed_at >= world.patience.in_doubt
    assert world.delivery().was_in_doubt


def test_a_code_that_would_come_too_late_is_expired_and_not_sent() -> None:
    world = World()
    world.email.script = [Throttled("429", retry_after=timedelta(seconds=60))]

    _live(world, category="security", expiresAt="2026-11-24T12:00:30Z")

    assert (world.delivery().status, len(world.email.ledger)) == (DeliveryStatus.EXPIRED, 1)


def test_the_tenants_policy_says_the_order() -> None:
    world, first, second = _world()
    world.policies.decide(TENANT, TenantPolicy(providers={"email": (ProviderShare("second-email"),)}))

    _live(world)

    assert (len(first.ledger), len(second.ledger)) == (0, 1)


def test_a_pilot_gets_its_share() -> None:
    world, first, second = _world()
    shares = (ProviderShare("fake-email"), ProviderShare("second-email", 25))
    world.policies.decide(TENANT, TenantPolicy(providers={"email": shares}))

    async def scene() -> None:
        for _ in range(200):
            await world.submit()
        await RealWorld(world, receipts=None).quiesce()

    run_virtually(scene())

    assert len(first.ledger) + len(second.ledger) == 200
    assert 25 <= len(second.ledger) <= 80


def test_the_cheapest_for_the_country_goes_first_where_the_policy_says_so() -> None:
    world, first, second = _world("sms")
    book = PriceBook([Price("sms", 90, provider="fake-sms"), Price("sms", 40, provider="second-sms", country="49")])
    world.policies.decide(TENANT, TenantPolicy(prefer_cheapest=True))
    world.with_(prices=book)

    _live(world, **SMS)

    assert (len(first.ledger), len(second.ledger)) == (0, 1)


def test_a_provider_that_does_not_reach_the_country_is_spared_the_call() -> None:
    world, first, second = _world("sms")
    first.capabilities = Capabilities(number_prefixes=("+1",))

    _live(world, **SMS)

    assert (len(first.ledger), len(second.ledger)) == (0, 1)
    assert _who(world, "sms") == [("second-sms", "not_carried")]


def test_where_nobody_reaches_the_country_the_delivery_fails_and_says_so() -> None:
    world, first, second = _world("sms")
    first.capabilities = second.capabilities = Capabilities(number_prefixes=("+1",))

    _live(world, **SMS)

    assert (world.delivery("sms").status, world.delivery("sms").reason) == (DeliveryStatus.FAILED, "not_carried")
    assert first.ledger == second.ledger == []


def test_answers_show_who_made_each_attempt_and_why() -> None:
    world, first, _ = _world()
    first.otherwise = Misconfigured("authentication_failed")

    _live(world)

    [delivery] = view_of(world.notifications[0]).deliveries
    assert delivery.provider == "second-email"
    assert [(each.provider, each.routed_because) for each in delivery.attempts or ()] == [
        ("fake-email", None),
        ("second-email", "misconfigured"),
    ]
