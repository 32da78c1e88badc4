"""What customers want is obeyed when a notification is accepted, and once more at the last moment before it is sent."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta

import pytest

from shared.domain.address import EmailAddress
from shared.domain.errors import StoreUnavailable
from shared.domain.preferences import Consent, Preferences, QuietHours
from shared.domain.status import DeliveryStatus
from shared.domain.suppressed_address import mark_of
from shared.pipeline.deliver import deliver
from shared.pipeline.services import SUBMITTED
from shared.pipeline.submit import submit
from tests.fakes.accepted_chunks import accept, accept_together
from tests.fakes.channels_in_turn import in_turn
from tests.fakes.real_world import RealWorld
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import ADDRESS, CALLER, TENANT, NoWaiter, World, a_request

NO = Consent(granted=False, source="link", at=datetime(2026, 1, 1, tzinfo=UTC))
OPTED_OUT = Preferences(consents={("marketing", "*"): NO})
SILENT = Preferences()

Story = Callable[[World], Awaitable[None]]


def tell(story: Story) -> None:
    """The story in virtual time, in a world whose store has the same time as its clock."""

    async def told() -> None:
        world = World()
        world.preferences.start = world.clock.now().timestamp()
        world.restart()
        await story(world)

    run_virtually(told())


async def _wants(world: World, preferences: Preferences) -> None:
    known = await world.preferences.read(TENANT, "cust-1")
    await world.preferences.replace(TENANT, "cust-1", preferences, known.version if known else "")
    await world.services.consents.changed(TENANT, "cust-1")


async def _suppress(world: World, reason: str) -> None:
    mark = mark_of(world.services.bucket_secret, TENANT, "email", EmailAddress(ADDRESS))
    assert mark is not None
    await world.preferences.suppress(TENANT, mark, reason, world.clock.now())
    await world.services.consents.changed(TENANT, mark=mark)


def _stands(world: World) -> tuple[DeliveryStatus, str | None]:
    return world.delivery().status, world.delivery().reason


def test_an_opted_out_customers_notification_is_accepted_suppressed_and_never_on_the_bus():
    async def story(world: World) -> None:
        await _wants(world, OPTED_OUT)
        await world.submit(a_request(category="marketing"))

        assert _stands(world) == (DeliveryStatus.SUPPRESSED, "opted_out")
        assert world.delivery().wake_at is None
        assert world.publisher.take(SUBMITTED) == []
        assert [entry.reason for entry in world.notifications[0].history] == ["opted_out"]

    tell(story)


@pytest.mark.parametrize("category", ["security", "legal", "transactional"])
def test_what_was_not_opted_out_of_is_sent(category: str):
    async def story(world: World) -> None:
        await _wants(world, OPTED_OUT)
        await deliver(await accept(world, category=category), world.services)

        assert _stands(world)[0] is DeliveryStatus.SENT

    tell(story)


def test_an_opt_out_after_accepting_stops_what_is_on_the_bus():
    async def story(world: World) -> None:
        await _wants(world, SILENT)
        chunk = await accept(world, category="marketing")
        await _wants(world, OPTED_OUT)
        await deliver(chunk, world.fresh_process())

        assert _stands(world) == (DeliveryStatus.SUPPRESSED, "opted_out")
        assert world.email.ledger == []

    tell(story)


def test_the_very_first_opt_out_of_a_tenant_stops_what_was_accepted_when_nothing_was_kept():
    async def story(world: World) -> None:
        chunk = await accept(world, category="marketing")
        elsewhere = world.fresh_process()
        await elsewhere.consents.keeps(TENANT)
        await _wants(world, OPTED_OUT)
        await deliver(chunk, elsewhere)

        assert _stands(world)[0] is DeliveryStatus.SUPPRESSED

    tell(story)


def test_a_whole_chunk_to_a_suppressed_address_is_left_out():
    async def story(world: World) -> None:
        chunk = await accept_together(world, 3)
        await _suppress(world, "address_unsubscribed")
        await deliver(chunk, world.services)

        assert {each.deliveries["email"].status for each in world.notifications} == {DeliveryStatus.SUPPRESSED}
        assert world.email.ledger == []

    tell(story)


@pytest.mark.parametrize("reason", ["address_bounced", "address_unsubscribed"])
def test_a_suppressed_address_is_refused_whoever_the_customer_is(reason: str):
    async def story(world: World) -> None:
        await _suppress(world, reason)
        await world.submit(a_request(recipient={"email": ADDRESS.upper()}, category="security"))

        assert _stands(world) == (DeliveryStatus.SUPPRESSED, reason)

    tell(story)


def test_quiet_hours_put_off_and_the_sweeper_knows_when():
    async def story(world: World) -> None:
        now = world.clock.now()
        end = (now + timedelta(hours=3)).replace(second=0, microsecond=0)
        await _wants(world, Preferences(quiet_hours=QuietHours(time(now.hour), end.time())))
        await world.submit(a_request())

        delivery = world.delivery()
        assert (delivery.status, delivery.due_at) == (DeliveryStatus.SCHEDULED, end)
        assert delivery.wake_at == end + world.patience.publish
        [message] = world.publisher.take(SUBMITTED)
        assert message.due_at == end

    tell(story)


def test_what_comes_late_into_quiet_hours_is_put_off_and_burns_no_attempt():
    async def story(world: World) -> None:
        await _wants(world, SILENT)
        chunk = await accept(world)
        world.clock.advance(timedelta(minutes=5))
        await asyncio.sleep(300)
        now = world.clock.now()
        end = (now + timedelta(hours=2)).replace(second=0, microsecond=0)
        await _wants(world, Preferences(quiet_hours=QuietHours(time(now.hour), end.time())))
        await deliver(chunk, world.services)

        delivery = world.delivery()
        assert (delivery.status, delivery.reason) == (DeliveryStatus.RETRYING, "put_off_by_customer")
        assert delivery.due_at == end
        assert world.email.ledger == []
        assert world.delivery().attempts[0].outcome == "putoff"

    tell(story)


def test_while_nobody_knows_what_customers_want_nothing_is_accepted_and_nothing_is_sent():
    async def story(world: World) -> None:
        await _wants(world, SILENT)
        chunk = await accept(world)
        await asyncio.sleep(2)
        world.preferences.away = True
        with pytest.raises(StoreUnavailable):
            await world.submit(a_request())
        await deliver(chunk, world.services)

        assert _stands(world) == (DeliveryStatus.RETRYING, "consent_unknown")
        assert world.email.ledger == []

    tell(story)


def test_a_young_notification_costs_no_look_up_before_it_is_sent():
    async def story(world: World) -> None:
        await _wants(world, SILENT)
        await asyncio.sleep(30)
        world.clock.advance(timedelta(seconds=world.preferences.start + 31.5 - world.clock.now().timestamp()))
        chunk = await accept(world)
        elsewhere = world.fresh_process()
        await elsewhere.consents.keeps(TENANT)
        world.preferences.calls.clear()
        await deliver(chunk, elsewhere)

        assert _stands(world)[0] is DeliveryStatus.SENT
        assert world.preferences.calls["read"] == 0

    tell(story)


def test_whoever_waits_for_what_is_suppressed_at_once_hears_so_at_once():
    async def story(world: World) -> None:
        await _wants(world, OPTED_OUT)
        waiter = NoWaiter(starts=True)
        request = a_request(category="marketing", wait=10)

        done = await submit(request, CALLER, world.services, waiter)

        assert done.settled
        assert waiter.started == []

    tell(story)


def test_when_the_customer_does_not_want_the_first_channel_the_next_takes_over():
    async def story(world: World) -> None:
        refuses_push = Preferences(consents={("marketing", "push"): NO})
        await _wants(world, refuses_push)
        await world.submit(a_request(category="marketing", **in_turn("push", "sms")))
        await RealWorld(world).quiesce()

        ends = {name: each.status for name, each in world.notifications[0].deliveries.items()}
        assert ends == {"push": DeliveryStatus.SUPPRESSED, "sms": DeliveryStatus.DELIVERED}

    tell(story)


def test_a_customer_who_does_not_want_the_second_channel_either_gets_nothing():
    async def story(world: World) -> None:
        await _wants(world, OPTED_OUT)
        await world.submit(a_request(category="marketing", **in_turn("push", "sms")))
        await RealWorld(world).quiesce()

        ends = {(each.status, each.reason) for each in world.notifications[0].deliveries.values()}
        assert ends == {(DeliveryStatus.SUPPRESSED, "opted_out")}
        assert not any(provider.ledger for provider in world.all_providers)

    tell(story)


def test_in_quiet_hours_no_channel_takes_over_and_in_the_morning_the_first_is_sent():
    async def story(world: World) -> None:
        await _wants(world, Preferences(quiet_hours=QuietHours(time(11, 0), time(19, 0))))
        await world.submit(a_request(category="marketing", **in_turn("push", "sms", deadline=60)))
        await RealWorld(world).quiesce()

        ends = {name: each.status for name, each in world.notifications[0].deliveries.items()}
        assert ends == {"push": DeliveryStatus.DELIVERED, "sms": DeliveryStatus.SUPPRESSED}
        assert not world.providers["sms"].ledger

    tell(story)
