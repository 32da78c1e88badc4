"""A customer who writes STOP gets nothing on the channel any more from the answer on, until START."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from shared.domain.errors import StoreUnavailable
from shared.domain.reply import Reply, ReplyRules, number_of
from shared.domain.status import DeliveryStatus
from shared.domain.suppressed_address import mark_of
from shared.pipeline.deliver import deliver
from shared.pipeline.receipts import Taken, receive_receipts
from shared.ports import ReceiptRequest
from tests.fakes.accepted_chunks import accept
from tests.fakes.fake_provider import FakeReceiptSource
from tests.fakes.stale_workers import WORKERS, sends_around
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import TENANT, World, a_request

Story = Callable[[World], Awaitable[None]]
NUMBER = number_of("+15005550001")
OURS = "+1555"
SMS = {
    "recipient": {"phone": "+15005550001"},
    "channels": ["sms"],
    "content": {"sms": {"text": "Your order is on its way."}},
}


class Listening(FakeReceiptSource):
    """A provider through which ``heard`` comes in."""

    heard: Sequence[Reply] = ()

    def replies(self, request: ReceiptRequest) -> Sequence[Reply]:
        return self.heard

    def reply_document(self, text: str | None) -> tuple[bytes, str] | None:
        return (text or "").encode(), "text/plain"


def tell(story: Story) -> None:
    async def told() -> None:
        world = World()
        world.providers["sms"] = Listening("sms", "fake-sms")
        world.preferences.start = world.clock.now().timestamp()
        world.restart()
        await story(world)

    run_virtually(told())


async def _writes(world: World, text: str, *, to: str = OURS, minutes: int = 0, services: object = None) -> Taken:
    source = world.providers["sms"]
    assert isinstance(source, Listening)
    assert NUMBER is not None
    source.heard = [Reply(f"m-{text}-{minutes}", NUMBER, to, text, world.clock.now() + timedelta(minutes=minutes))]
    return await receive_receipts("fake-sms", ReceiptRequest("/", {}, {}, b""), services or world.services)  # type: ignore[arg-type]


async def _status(world: World, **fields: object) -> DeliveryStatus:
    done = await world.submit(a_request(**{**SMS, **fields}))
    [delivery] = [each.deliveries["sms"] for each in world.notifications if each.tracking_id == done.tracking_id]
    return delivery.status


@pytest.mark.parametrize("category", ["marketing", "transactional", "security"])
def test_stop_stops_everything_on_the_channel_and_start_lifts_it(category: str):
    async def story(world: World) -> None:
        await _writes(world, "Stopp!")
        stopped = await _status(world, category=category)
        await _writes(world, "start")
        await asyncio.sleep(2)

        assert stopped is DeliveryStatus.SUPPRESSED
        assert await _status(world, category=category) is DeliveryStatus.QUEUED

    tell(story)


def test_what_is_on_the_bus_when_stop_is_answered_is_not_sent():
    async def story(world: World) -> None:
        chunk = await accept(world, **SMS)
        elsewhere = world.fresh_process()
        await elsewhere.consents.keeps(TENANT)
        await _writes(world, "STOP")
        await deliver(chunk, elsewhere)

        assert world.delivery("sms").status is DeliveryStatus.SUPPRESSED
        assert world.providers["sms"].ledger == []

    tell(story)


def test_a_start_that_comes_again_after_a_later_stop_lifts_nothing():
    async def story(world: World) -> None:
        await _writes(world, "STOP", minutes=0)
        await _writes(world, "START", minutes=-1)
        await asyncio.sleep(2)

        assert await _status(world) is DeliveryStatus.SUPPRESSED

    tell(story)


def test_a_start_does_not_lift_a_bounce():
    async def story(world: World) -> None:
        assert NUMBER is not None
        mark = mark_of(world.services.bucket_secret, TENANT, "sms", NUMBER)
        assert mark is not None
        await world.preferences.suppress(TENANT, mark, "address_bounced", world.clock.now())
        await _writes(world, "START")
        await asyncio.sleep(2)

        assert await _status(world) is DeliveryStatus.SUPPRESSED

    tell(story)


def test_help_is_answered_and_anything_else_changes_nothing():
    async def story(world: World) -> None:
        assert (await _writes(world, "Hilfe")).answer == b"Write STOP to stop."
        assert (await _writes(world, "thank you")).answer == b""
        assert await _status(world) is DeliveryStatus.QUEUED

    tell(story)


def test_every_reply_is_in_the_audit_trail_without_number_or_text():
    async def story(world: World) -> None:
        for text in ("STOP", "STOP", "hello there", "START"):
            await _writes(world, text)
        [partition] = await world.services.audit.newest(TENANT)
        entries = await world.services.audit.entries(partition, 2**53, 10)

        actions = [entry.fact.action for entry in reversed(entries) if entry.fact.action.startswith("reply.")]
        assert actions == ["reply.stop", "reply.other", "reply.start"]
        assert "5005550001" not in repr(entries)
        assert "hello" not in repr(
            [entry.fact.detail["channel"] for entry in entries if "channel" in entry.fact.detail]
        )

    tell(story)


def test_a_shared_number_stops_for_all_of_its_tenants():
    async def story(world: World) -> None:
        both = (TENANT, type(TENANT)("bank"))
        world.with_(reply_rules=ReplyRules({"*": both}))
        await _writes(world, "STOP", to="+1999")

        assert {tenant for tenant, _ in world.preferences.suppressions} == set(both)

    tell(story)


def test_a_reply_to_nobodys_number_is_not_taken():
    async def story(world: World) -> None:
        with pytest.raises(StoreUnavailable):
            await _writes(world, "STOP", to="+1999")

    tell(story)


def test_it_is_not_answered_before_the_store_has_it():
    async def story(world: World) -> None:
        world.preferences.away = True
        with pytest.raises(StoreUnavailable):
            await _writes(world, "STOP")

    tell(story)


@pytest.mark.parametrize("seed", range(15))
def test_no_send_starts_after_a_stop_was_answered_with_stale_memories_on_20_workers(seed: int):
    async def story(world: World) -> None:
        assert NUMBER is not None
        mark = mark_of(world.services.bucket_secret, TENANT, "sms", NUMBER)
        assert mark is not None

        sends = await sends_around(
            world, mark, lambda: _writes(world, "STOP", services=world.fresh_process()), random.Random(seed)
        )

        assert len(sends.began) > WORKERS
        assert max(sends.began) < sends.acknowledged

    tell(story)
