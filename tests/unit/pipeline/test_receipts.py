from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.contracts.events import NotificationStatus
from shared.domain.errors import NotFound, PublishFailed, ReceiptNotAuthentic, StoreUnavailable
from shared.domain.identifiers import AttemptRef, TenantId, TrackingId, new_tracking_id, partition_of
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.status import status_of_receipt
from shared.pipeline.owners import with_tenants
from shared.pipeline.receipts import Taken, receive_receipts
from shared.pipeline.services import STATUS
from shared.ports import ReceiptRequest
from tests.fakes.clock import START
from tests.fakes.fake_provider import FakeReceiptSource
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


async def _stored(world: World) -> TrackingId:
    await world.submit()
    return world.notifications[0].tracking_id


async def test_a_receipt_that_names_no_tenant_finds_it_by_the_tracking_id() -> None:
    world = World()
    tracking_id = await _stored(world)
    nameless = AttemptRef(TenantId(""), tracking_id, "email", 1)

    [event] = await _receive(world, Receipt(nameless.attempt_id, ReceiptKind.FAILED, START, "suppressed"))

    assert (event.tenant_id, event.partition_key) == ("shop", partition_of(TenantId("shop"), tracking_id))
    assert event.items[0].tracking_id == tracking_id


async def test_a_receipt_that_names_no_tenant_and_is_about_nobodys_notification_is_left_out() -> None:
    nameless = AttemptRef(TenantId(""), ONE, "email", 1)

    assert await _receive(World(), Receipt(nameless.attempt_id, ReceiptKind.FAILED, START, "suppressed")) == []


async def test_tenants_are_looked_for_only_where_it_changes_something() -> None:
    world = World()
    tracking_id = await _stored(world)
    nameless = AttemptRef(TenantId(""), tracking_id, "email", 1)
    world.database.away = True

    assert await _receive(world, Receipt(nameless.attempt_id, ReceiptKind.OPENED, START, "view")) == []
    assert len(await _receive(world, _receipt(ReceiptKind.DELIVERED))) == 1
    with pytest.raises(StoreUnavailable):
        await _receive(world, Receipt(nameless.attempt_id, ReceiptKind.FAILED, START, "suppressed"))


async def test_hundreds_of_nameless_receipts_ask_a_hundred_at_a_time() -> None:
    asked: list[int] = []

    class Nobody:
        async def owners_of(self, ids: Sequence[TrackingId]) -> Mapping[TrackingId, TenantId]:
            asked.append(len(ids))
            return {}

    references = [AttemptRef(TenantId(""), new_tracking_id(START, 7), "email", 1) for _ in range(250)]

    assert await with_tenants([*references, *references], Nobody()) == {}
    assert asked == [100, 100, 50]


class Asking(FakeReceiptSource):
    """A source whose vendor wants an answer before it posts."""

    def handshake(self, request: ReceiptRequest) -> bytes | None:
        return b'{"validationResponse":"1"}' if request.body == b"hello?" else None


async def test_a_handshake_is_answered_and_publishes_nothing() -> None:
    world = World(providers={"email": Asking("email", "fake-email")})
    world.email.receipts = [_receipt(ReceiptKind.DELIVERED)]

    taken = await receive_receipts("fake-email", replace(REQUEST, body=b"hello?"), world.services)

    assert taken == Taken(0, b'{"validationResponse":"1"}')
    assert world.publisher.published == {}
    assert await receive_receipts("fake-email", REQUEST, world.services) == Taken(1)


async def test_a_forged_handshake_gets_no_answer() -> None:
    world = World(providers={"email": Asking("email", "fake-email")})
    world.email.forgery = ReceiptNotAuthentic("key")

    with pytest.raises(ReceiptNotAuthentic):
        await receive_receipts("fake-email", replace(REQUEST, body=b"hello?"), world.services)
