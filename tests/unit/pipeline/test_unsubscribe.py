"""A marketing mail brings a link; who follows it gets no more of them, from the answer on, and everything else."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from shared.domain.errors import NotFound, RateExceeded, StoreUnavailable
from shared.domain.status import DeliveryStatus
from shared.pipeline.deliver import deliver
from shared.pipeline.unsubscribe import follow_link, show_link
from shared.pipeline.unsubscribe_links import FOLLOWED_A_MINUTE, PATH, UnsubscribeLinks
from tests.fakes.accepted_chunks import accept
from tests.fakes.stale_workers import WORKERS, sends_around
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import ADDRESS, TENANT, World, a_request

Story = Callable[[World], Awaitable[None]]


def tell(story: Story) -> None:
    async def told() -> None:
        world = World()
        world.preferences.start = world.clock.now().timestamp()
        world.restart()
        await story(world)

    run_virtually(told())


async def _link(world: World) -> str:
    """The token in a marketing mail that was sent to the usual address."""
    await deliver(await accept(world, category="marketing"), world.services)
    url = world.email.accepted[-1].unsubscribe_url
    assert url is not None
    prefix = f"https://notify.example{PATH}/"
    assert url.startswith(prefix)
    return url.removeprefix(prefix)


async def _status(world: World, **fields: object) -> tuple[DeliveryStatus, str | None]:
    done = await world.submit(a_request(**fields))
    [delivery] = [each.deliveries["email"] for each in world.notifications if each.tracking_id == done.tracking_id]
    return delivery.status, delivery.reason


@pytest.mark.parametrize("category", ["security", "legal", "transactional"])
def test_other_mails_bring_no_link(category: str):
    async def story(world: World) -> None:
        await deliver(await accept(world, category=category), world.services)

        assert world.email.accepted[-1].unsubscribe_url is None

    tell(story)


def test_without_a_public_address_there_is_no_link():
    async def story(world: World) -> None:
        world.with_(links=UnsubscribeLinks(None, b"bucket secret"))
        await deliver(await accept(world, category="marketing"), world.services)

        assert world.email.accepted[-1].unsubscribe_url is None

    tell(story)


@pytest.mark.parametrize("recipient", [{"email": ADDRESS}, {"customerId": "another", "email": ADDRESS.upper()}])
def test_who_follows_the_link_gets_no_more_marketing_whatever_customer_is_named(recipient: dict[str, str]):
    async def story(world: World) -> None:
        token = await _link(world)
        await follow_link(token, "List-Unsubscribe=One-Click", "", world.services)

        suppressed = (DeliveryStatus.SUPPRESSED, "address_unsubscribed")
        assert await _status(world, recipient=recipient, category="marketing") == suppressed
        for category in ("security", "legal", "transactional"):
            assert (await _status(world, recipient=recipient, category=category))[0] is DeliveryStatus.QUEUED

    tell(story)


def test_to_look_at_the_link_changes_nothing():
    async def story(world: World) -> None:
        token = await _link(world)
        page = await show_link(token, "de-AT, en;q=0.5", world.services)
        await asyncio.sleep(5)

        assert "Abmelden" in page
        assert (await _status(world, category="marketing"))[0] is DeliveryStatus.QUEUED

    tell(story)


def test_what_is_on_the_bus_when_the_link_is_followed_is_not_sent_by_a_process_that_knew_of_nothing():
    async def story(world: World) -> None:
        token = await _link(world)
        chunk = await accept(world, category="marketing")
        elsewhere = world.fresh_process()
        await elsewhere.consents.keeps(TENANT)
        await follow_link(token, "", "", world.services)
        await deliver(chunk, elsewhere)

        assert len(world.email.accepted) == 1
        assert {each.deliveries["email"].status for each in world.notifications} == {
            DeliveryStatus.SENT,
            DeliveryStatus.SUPPRESSED,
        }

    tell(story)


def test_following_it_twice_is_as_good_as_once_and_it_can_be_taken_back():
    async def story(world: World) -> None:
        token = await _link(world)
        await follow_link(token, "", "", world.services)
        await follow_link(token, "", "", world.services)
        await follow_link(token, "action=subscribe", "", world.services)

        assert (await _status(world, category="marketing"))[0] is DeliveryStatus.QUEUED

    tell(story)


def test_each_act_is_in_the_audit_trail_without_an_address():
    async def story(world: World) -> None:
        token = await _link(world)
        await follow_link(token, "", "", world.services)
        await follow_link(token, "action=subscribe", "", world.services)
        [partition] = await world.services.audit.newest(TENANT)
        entries = await world.services.audit.entries(partition, 2**53, 10)

        actions = [entry.fact.action for entry in reversed(entries)]
        assert [each for each in actions if each.startswith("unsubscribe")] == [
            "unsubscribe.followed",
            "unsubscribe.taken_back",
        ]
        assert ADDRESS not in repr(entries)

    tell(story)


def test_it_is_not_answered_before_the_store_has_it():
    async def story(world: World) -> None:
        token = await _link(world)
        world.preferences.away = True
        with pytest.raises(StoreUnavailable):
            await follow_link(token, "", "", world.services)

    tell(story)


def test_a_forged_link_is_not_found_and_an_often_followed_one_has_to_wait():
    async def story(world: World) -> None:
        token = await _link(world)
        with pytest.raises(NotFound):
            await follow_link(token[:-3] + "AAA", "", "", world.services)
        for _ in range(FOLLOWED_A_MINUTE):
            await show_link(token, "", world.services)
        with pytest.raises(RateExceeded) as refused:
            await show_link(token, "", world.services)
        world.clock.advance(refused.value.retry_after)

        assert refused.value.retry_after <= timedelta(minutes=1)
        assert await show_link(token, "", world.services)

    tell(story)


@pytest.mark.parametrize("seed", range(15))
def test_no_send_starts_after_a_followed_link_was_answered_with_stale_memories_on_20_workers(seed: int):
    """As test_consents.py has it for profiles."""

    async def story(world: World) -> None:
        token = await _link(world)
        link = world.services.links.read(token, world.clock.now())
        assert link is not None

        sends = await sends_around(
            world, link.mark, lambda: follow_link(token, "", "", world.fresh_process()), random.Random(seed)
        )

        assert len(sends.began) > WORKERS
        assert max(sends.began) < sends.acknowledged

    tell(story)
