"""A tenant that is decided for and not sent to, and flips from one to the other at every moment of a delivery."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.events import NotificationStatus, NotificationSubmitted
from shared.domain.errors import StoreUnavailable, TemplateUnusable, Transient
from shared.domain.receipt import ReceiptKind
from shared.domain.status import DeliveryStatus, is_outcome
from shared.domain.tenant_policy import Mode, ProviderShare, TenantPolicy
from shared.pipeline.call_limits import CallLimits
from shared.pipeline.services import STATUS, SUBMITTED, Patience
from shared.pipeline.shadow import SHADOW, deliver_as_decided
from shared.pipeline.submit_batch import submit_batch
from tests.fakes.callback_consumer import an_endpoint
from tests.fakes.channels_in_turn import CONTENT, RECIPIENT, in_turn
from tests.fakes.real_world import RealWorld
from tests.fakes.steps import Fault, FaultsAt
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import CALLER, TENANT, World, a_batch, a_body, a_request

S = DeliveryStatus
SHADOWED, LIVE = TenantPolicy(mode=Mode.SHADOW), TenantPolicy()
WITHHELD = (S.SUPPRESSED, "shadow_mode")


def _world(policy: TenantPolicy = SHADOWED) -> World:
    world = World()
    world.policies.decide(TENANT, policy)
    return world


def _ends(world: World) -> list[tuple[S, str | None]]:
    return [(each.status, each.reason) for one in world.notifications for each in one.deliveries.values()]


def _calls(world: World) -> int:
    return sum(len(provider.ledger) for provider in world.providers.values())


def _live(world: World, **request: Any) -> RealWorld:
    around = RealWorld(world)

    async def live() -> None:
        await world.submit(a_request(**request))
        await around.quiesce()

    run_virtually(live())
    return around


@pytest.mark.parametrize("channel", ["email", "sms", "push", "webhook"])
def test_a_shadow_is_accepted_recorded_and_not_sent(channel: str) -> None:
    world = _world()

    _live(world, channels=[channel], recipient=RECIPIENT, content=CONTENT)

    assert (_ends(world), _calls(world)) == ([WITHHELD], 0)
    [attempt] = world.delivery(channel).attempts
    assert (attempt.provider, attempt.outcome, attempt.reason) == (SHADOW, "withheld", "shadow_mode")
    assert world.delivery(channel).wake_at is None


def test_a_push_to_several_devices_is_withheld_as_one() -> None:
    world = _world()
    devices = [{"platform": "fcm", "token": f"device-{number}"} for number in range(3)]

    _live(world, channels=["push"], recipient={"deviceTokens": devices}, content=CONTENT)

    assert (_ends(world), _calls(world)) == ([WITHHELD], 0)


def test_of_channels_in_turn_a_shadow_decides_as_if_the_first_was_sent() -> None:
    world = _world()

    _live(world, **in_turn("push", "sms", deadline=60))

    assert (_ends(world), _calls(world)) == ([WITHHELD, WITHHELD], 0)


def test_a_shadow_still_finds_a_template_that_does_not_fit() -> None:
    world = _world()
    world.with_(renderer=_NothingFits())

    data = {"orderId": "A-1001", "orderTotal": "€ 49.90"}
    _live(world, content=None, template={"id": "order-confirmation"}, data=data)

    assert _ends(world) == [(S.FAILED, "template_unusable")]


class _NothingFits:
    def render(self, *_: object) -> dict[str, str]:
        raise TemplateUnusable("x")


def test_consumers_are_not_called_about_shadows() -> None:
    world = _world()
    every = ("SENT", "DELIVERED", "FAILED", "BOUNCED", "UNSUBSCRIBED")

    run_virtually(world.endpoints.save(an_endpoint(TENANT, statuses=every)))
    _live(world)

    assert world.publisher.published["callbacks"] == []


async def test_whoever_waits_hears_that_it_was_withheld() -> None:
    world = _world()
    await world.submit(a_request(wait=10))
    [message] = world.publisher.take(SUBMITTED)
    await deliver_as_decided(NotificationSubmitted.model_validate_json(message.body).to_chunk(), world.services)

    [told] = world.publisher.take(STATUS)
    assert told.properties["awaited"]
    assert NotificationStatus.model_validate_json(told.body).items[0].status is S.SUPPRESSED


def test_a_share_of_customers_is_sent_to_and_always_the_same_ones() -> None:
    policy = TenantPolicy(live_percent=30)
    world = _world(policy)
    bodies = [a_body(recipient={"customerId": f"cust-{n % 40}", "email": "a@example.com"}) for n in range(120)]
    around = RealWorld(world)

    async def live() -> None:
        await submit_batch(a_batch(bodies), CALLER, world.services)
        await around.quiesce()

    run_virtually(live())

    for notification in world.notifications:
        is_live = policy.is_live_for(TENANT, notification.customer_id or "")
        expected = (S.DELIVERED, None) if is_live else WITHHELD
        delivery = notification.deliveries["email"]
        assert (delivery.status, delivery.reason) == expected
    assert 0 < _calls(world) < 120


def test_without_a_customer_the_notification_itself_decides() -> None:
    policy = TenantPolicy(live_percent=50)
    world = _world(policy)
    around = RealWorld(world)

    async def live() -> None:
        await submit_batch(a_batch([a_body(recipient={"email": "a@example.com"})] * 60), CALLER, world.services)
        await around.quiesce()

    run_virtually(live())

    for notification in world.notifications:
        is_live = policy.is_live_for(TENANT, notification.tracking_id)
        assert (notification.deliveries["email"].status is S.DELIVERED) == is_live
    assert 0 < _calls(world) < 60


@pytest.mark.parametrize(("before", "after", "calls"), [(LIVE, SHADOWED, 0), (SHADOWED, LIVE, 1)])
@pytest.mark.parametrize("request_", [{}, {"sendAt": "2026-11-24T13:00:00Z"}])
def test_a_flip_acts_on_what_was_accepted_and_is_not_sent(
    before: TenantPolicy, after: TenantPolicy, calls: int, request_: dict[str, Any]
) -> None:
    world = _world(before)

    async def scene() -> None:
        await world.submit(a_request(**request_))
        world.policies.decide(TENANT, after)
        await RealWorld(world).quiesce()

    run_virtually(scene())

    assert _calls(world) == calls
    assert _ends(world) == [(S.DELIVERED, None) if calls else WITHHELD]


def test_a_flip_to_shadow_stops_a_retry() -> None:
    world = _world(LIVE)
    world.email.otherwise = Transient("http_503")
    around = RealWorld(world)

    async def scene() -> None:
        await world.submit(a_request())
        [message] = world.publisher.take(SUBMITTED)
        await around.redeliver(message)
        world.policies.decide(TENANT, SHADOWED)
        await around.quiesce()

    run_virtually(scene())

    assert (_ends(world), _calls(world)) == ([WITHHELD], 1)


def test_a_flip_to_shadow_stops_the_next_channel() -> None:
    world = _world(LIVE)
    around = RealWorld(world, {})

    async def scene() -> None:
        await world.submit(a_request(**in_turn("push", "sms", deadline=600)))
        await around.live_for(world.patience.publish)
        world.policies.decide(TENANT, SHADOWED)
        await around.quiesce()

    run_virtually(scene())

    assert (_ends(world), _calls(world)) == ([(S.SENT, None), WITHHELD], 1)


def test_receipts_of_what_was_sent_before_the_flip_are_still_believed() -> None:
    world = _world(LIVE)
    around = RealWorld(world, None)

    async def scene() -> None:
        await world.submit(a_request())
        await around.quiesce()
        world.policies.decide(TENANT, SHADOWED)
        around.receipts = ReceiptKind.BOUNCED
        await around.quiesce()

    run_virtually(scene())

    assert _ends(world) == [(S.BOUNCED, None)]


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("policies", [(LIVE, SHADOWED), (SHADOWED, LIVE), (SHADOWED, SHADOWED)])
def test_a_failure_at_any_step_and_a_flip_lose_nothing(fault: Fault, policies: Sequence[TenantPolicy]) -> None:
    async def live(faults: dict[int, Fault]) -> tuple[World, int]:
        world = World(patience=replace(Patience(), store=timedelta(seconds=5)))
        world.policies.decide(TENANT, policies[0])
        await world.submit(a_request())
        steps = FaultsAt(faults)
        world.watch(steps)
        around = RealWorld(world)
        await around.live_for(timedelta(seconds=1))
        world.policies.decide(TENANT, policies[1])
        await around.quiesce()
        return world, len(steps.names)

    _, count = run_virtually(live({}))
    for index in range(count):
        world, _ = run_virtually(live({index: fault}))
        delivery = world.delivery()
        assert is_outcome(delivery.status), index
        assert delivery.wake_at is None, index
        assert policies != (SHADOWED, SHADOWED) or _calls(world) == 0, index
        assert _calls(world) or (delivery.status, delivery.reason) == WITHHELD or delivery.was_in_doubt, index


def test_an_order_of_real_providers_does_not_confuse_a_shadow() -> None:
    providers = {"email": (ProviderShare("fake-email", 90), ProviderShare("another"))}
    world = _world(TenantPolicy(mode=Mode.SHADOW, providers=providers, prefer_cheapest=True))

    _live(world)

    assert (_ends(world), _calls(world)) == ([WITHHELD], 0)


class _NobodyMayAsk:
    """The clock of a provider's limit, in a test in which nobody needs it."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


def test_shadows_wait_for_no_turn_and_use_none_up() -> None:
    world = _world()
    world.with_(limits=CallLimits(_NobodyMayAsk(), {"fake-email": 1.0}))

    _live(world)

    assert _ends(world) == [WITHHELD]


def test_who_can_not_ask_for_the_policy_sends_nothing() -> None:
    world = World(patience=replace(Patience(), store=timedelta(seconds=5)))
    world.policies.decide(TENANT, TenantPolicy(is_assumed=True))

    async def scene() -> None:
        await world.submit(a_request())
        [message] = world.publisher.take(SUBMITTED)
        await deliver_as_decided(NotificationSubmitted.model_validate_json(message.body).to_chunk(), world.services)

    with pytest.raises(StoreUnavailable):
        run_virtually(scene())

    assert (_calls(world), world.delivery().status) == (0, S.QUEUED)
