"""An address that said no through a provider is not sent to again, by whichever consumer request."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.domain.errors import Rejected
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.status import DeliveryStatus
from shared.pipeline.consents import READ_EVERY_SECONDS
from shared.pipeline.deliver import deliver
from shared.pipeline.receipts import receive_receipts
from shared.pipeline.suppressions import heed_receipts
from shared.ports import ReceiptRequest
from tests.fakes.accepted_chunks import accept
from tests.fakes.virtual_time import run_virtually
from tests.fakes.world import ADDRESS, World, a_request

Story = Callable[[World], Awaitable[None]]


def tell(story: Story) -> None:
    async def told() -> None:
        await story(World())

    run_virtually(told())


def _receipt(world: World, kind: ReceiptKind, reason: str | None = None) -> Receipt:
    return Receipt(world.email.ledger[0].attempt_id, kind, world.clock.now(), kind.value, reason)


@pytest.mark.parametrize(
    ("kind", "reason", "suppression"),
    [
        (ReceiptKind.BOUNCED, "hard_bounce", "address_bounced"),
        (ReceiptKind.COMPLAINED, None, "address_complained"),
        (ReceiptKind.UNSUBSCRIBED, None, "address_unsubscribed"),
        (ReceiptKind.FAILED, "unsubscribed", "address_unsubscribed"),
        (ReceiptKind.FAILED, "suppressed_bounced", "address_bounced"),
    ],
)
def test_what_a_receipt_says_for_good_holds_for_the_next_notification(
    kind: ReceiptKind, reason: str | None, suppression: str
):
    async def story(world: World) -> None:
        await deliver(await accept(world), world.services)
        world.email.receipts = [_receipt(world, kind, reason)]
        await receive_receipts("fake-email", ReceiptRequest("/", {}, {}, b"[]"), world.services)
        await asyncio.sleep(READ_EVERY_SECONDS * 2)
        done = await world.submit(a_request(recipient={"email": ADDRESS}))

        [later] = [each.deliveries["email"] for each in world.notifications if each.tracking_id == done.tracking_id]
        assert (later.status, later.reason) == (DeliveryStatus.SUPPRESSED, suppression)

    tell(story)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (ReceiptKind.DELIVERED, None),
        (ReceiptKind.OPENED, None),
        (ReceiptKind.BOUNCED, "blocked"),
        (ReceiptKind.FAILED, "spam_content"),
    ],
)
def test_what_may_pass_or_is_about_the_message_suppresses_nobody(kind: ReceiptKind, reason: str | None):
    async def story(world: World) -> None:
        await deliver(await accept(world), world.services)

        assert await heed_receipts([_receipt(world, kind, reason)], world.services) == 0

    tell(story)


def test_an_address_that_a_provider_refuses_as_unsubscribed_is_not_tried_again():
    async def story(world: World) -> None:
        world.email.script = [Rejected("unsubscribed")]
        await deliver(await accept(world), world.services)
        await asyncio.sleep(READ_EVERY_SECONDS * 2)
        await world.submit(a_request(recipient={"email": ADDRESS}))

        assert sorted(each.deliveries["email"].status.value for each in world.notifications) == ["failed", "suppressed"]

    tell(story)


def test_a_receipt_about_nothing_of_ours_suppresses_nobody():
    async def story(world: World) -> None:
        stranger = Receipt(
            "shop.01ARZ3NDEKTSV4RRFFQ69G5FAV.email.1", ReceiptKind.COMPLAINED, world.clock.now(), "spamreport"
        )

        assert await heed_receipts([stranger], world.services) == 0

    tell(story)
