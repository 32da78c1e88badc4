from datetime import timedelta

import pytest

from shared.contracts.events import NotificationStatus
from shared.domain.errors import NotFound, PublishFailed, ReceiptNotAuthentic
from shared.domain.identifiers import AttemptRef, TenantId, TrackingId, partition_of
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.status import status_of_receipt
from shared.pipeline.receipts import receive_receipts
from shared.pipeline.services import STATUS
from shared.ports import ReceiptRequest
from tests.fakes.clock import START
from tests.fakes.world import World

REQUEST = ReceiptRequest("/api/v1/receipts/fake-email", {}, {}, b"{}")
ONE = TrackingId("01M86PTPG0FM4ZR32P5GKMSV2T")
OTHER = TrackingId("01M86PTPG0FM4ZR32P5GKMSV2V")


def _receipt(kind: ReceiptKind, tracking_id: TrackingId = ONE, channel: str = "email", **fields: object) -> Receipt:
    reference = AttemptRef(TenantId("shop"), tracking_id, channel, 2)
    facts: dict[str, object] = {"occurred_at": START, "raw_code": kind.value}
    return Receipt(reference.attempt_id, kind, **(facts | fields))  # type: ignore[arg-type]


async def _receive(world: World, *receipts: Receipt) -> list[NotificationStatus]:
    world.email.receipts = list(receipts)
    await receive_receipts("fake-email", REQUEST, world.services)
    return [NotificationStatus.model_validate_json(message.body) for message in world.publisher.published[STATUS]]


@pytest.mark.parametrize("kind", [kind for kind in ReceiptKind if status_of_receipt(kind)])
async def test_what_changes_a_status_goes_onto_the_bus_unrecorded(kind: ReceiptKind) -> None:
    world = World()

    [event] = await _receive(world, _receipt(kind, reason="why", provider_message_id="m1"))

    [item] = event.items
    assert (event.tenant_id, event.partition_key, event.channel) == (
        "shop",
        partition_of(TenantId("shop"), ONE),
        "email",
    )
    assert (item.tracking_id, item.attempt, item.status) == (ONE, 2, status_of_receipt(kind))
    assert (item.provider, item.reason, item.provider_message_id) == ("fake-email", "why", "m1")
    [message] = world.publisher.published[STATUS]
    assert message.properties["recorded"] is False
    assert message.properties["retrying"] is False


@pytest.mark.parametrize("kind", [kind for kind in ReceiptKind if not status_of_receipt(kind)])
async def test_engagement_and_the_unknown_publish_nothing(kind: ReceiptKind) -> None:
    assert await _receive(World(), _receipt(kind)) == []


async def test_events_travel_together_by_partition_and_channel() -> None:
    events = await _receive(
        World(),
        _receipt(ReceiptKind.SENT),
        _receipt(ReceiptKind.DELIVERED),
        _receipt(ReceiptKind.DELIVERED, channel="sms"),
        _receipt(ReceiptKind.DELIVERED, tracking_id=TrackingId("01M86PTPG0ZZZZR32P5GKMSV2T")),
    )

    assert sorted(len(event.items) for event in events) == [1, 1, 2]


async def test_events_about_no_attempt_of_ours_are_left_out() -> None:
    stranger = Receipt("somebody-elses", ReceiptKind.DELIVERED, START, "delivered")

    [event] = await _receive(World(), stranger, _receipt(ReceiptKind.DELIVERED))

    assert len(event.items) == 1


async def test_no_receipt_is_from_the_future() -> None:
    [event] = await _receive(World(), _receipt(ReceiptKind.DELIVERED, occurred_at=START + timedelta(minutes=10)))

    assert event.items[0].timestamp == START


async def test_a_forgery_changes_nothing() -> None:
    world = World()
    world.email.receipts = [_receipt(ReceiptKind.DELIVERED)]
    world.email.forgery = ReceiptNotAuthentic("signature")

    with pytest.raises(ReceiptNotAuthentic):
        await receive_receipts("fake-email", REQUEST, world.services)

    assert world.publisher.published == {}


async def test_a_provider_nobody_knows_is_not_found() -> None:
    with pytest.raises(NotFound):
        await receive_receipts("pigeon", REQUEST, World().services)


async def test_without_the_broker_the_provider_hears_no_success() -> None:
    world = World()
    world.email.receipts = [_receipt(ReceiptKind.DELIVERED)]
    world.publisher.away = {STATUS}

    with pytest.raises(PublishFailed):
        await receive_receipts("fake-email", REQUEST, world.services)
