from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.address import EmailAddress
from shared.domain.chunk import MAX_CHUNK_DELIVERIES, Chunk, ChunkItem, chunks_of, put_off
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId, new_tracking_id, partition_key
from shared.domain.notification import Category, Delivery, Lane, Notification, TemplateRef
from shared.domain.status import DeliveryStatus

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TENANT = TenantId("shop")


def _notification(bucket: int = 1, channels: tuple[str, ...] = ("email",), **fields: object) -> Notification:
    tracking_id = new_tracking_id(NOW, bucket)
    base: dict[str, object] = {
        "tracking_id": tracking_id,
        "tenant_id": TENANT,
        "partition_key": partition_key(TENANT, bucket),
        "created_at": NOW,
        "lane": Lane.NORMAL,
        "category": Category.TRANSACTIONAL,
        "deliveries": {
            name: Delivery(name, DeliveryStatus.QUEUED, EmailAddress("a@example.com"), NOW) for name in channels
        },
    }
    return Notification(**(base | fields))  # type: ignore[arg-type]


def test_a_thousand_alike_become_twenty_chunks_of_fifty() -> None:
    chunks = list(chunks_of([_notification() for _ in range(1000)]))

    assert [len(chunk.items) for chunk in chunks] == [MAX_CHUNK_DELIVERIES] * 20


@pytest.mark.parametrize("count", [1, 49, 50, 51, 101])
def test_no_delivery_is_left_out_or_doubled(count: int) -> None:
    notifications = [_notification(channels=("email", "sms")) for _ in range(count)]

    seen = [(item.tracking_id, chunk.channel) for chunk in chunks_of(notifications) for item in chunk.items]

    assert len(seen) == len(set(seen)) == count * 2
    assert all(len(chunk.items) <= MAX_CHUNK_DELIVERIES for chunk in chunks_of(notifications))


@pytest.mark.parametrize(
    "difference",
    [
        {"lane": Lane.HIGH},
        {"template": TemplateRef("a", "1.0.0", "en")},
        {"template": TemplateRef("a", "1.0.0", "de")},
        {"send_at": NOW + timedelta(hours=1)},
        {"correlation_id": "c"},
        {"bucket": 2},
    ],
)
def test_what_differs_in_a_shared_fact_travels_apart(difference: dict[str, object]) -> None:
    chunks = list(chunks_of([_notification(), _notification(**difference)]))  # type: ignore[arg-type]

    assert [len(chunk.items) for chunk in chunks] == [1, 1]


def test_a_chunk_says_what_its_deliveries_share() -> None:
    template = TemplateRef("welcome", "1.0.0", "en")
    due = NOW + timedelta(hours=1)
    notification = _notification(template=template, send_at=due, lane=Lane.LOW, customer_id="c1", traceparent="tp")

    [chunk] = chunks_of([notification])

    assert (chunk.tenant_id, chunk.partition_key, chunk.channel) == (TENANT, notification.partition_key, "email")
    assert (chunk.lane, chunk.template, chunk.due_at, chunk.traceparent) == (Lane.LOW, template, due, "tp")
    assert [(item.tracking_id, item.attempt, item.customer_id) for item in chunk.items] == [
        (notification.tracking_id, 1, "c1")
    ]


def test_what_is_put_off_comes_back_then_or_when_it_expires() -> None:
    until, over = NOW + timedelta(minutes=10), NOW + timedelta(minutes=1)
    lasting, short = ChunkItem(TrackingId("A")), ChunkItem(TrackingId("B"), expires_at=over)
    chunk = Chunk(TenantId("t"), PartitionKey("t:1"), "email", Lane.LOW, (lasting, short), wanted_at=NOW)

    assert [(part.items, part.due_at, part.wanted_at) for part in put_off(chunk, until)] == [
        ((lasting,), until, until),
        ((short,), over, over),
    ]
