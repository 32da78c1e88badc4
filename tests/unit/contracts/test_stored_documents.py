import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.channels import CHANNELS
from shared.channels.push import RegisteredDevices
from shared.channels.slack import SlackContent, SlackHook
from shared.channels.whatsapp import WhatsAppContent
from shared.contracts.stored_documents import key_document, key_record_of, notification_document, notification_of, stamp
from shared.domain.address import Devices, DeviceToken, EmailAddress, PhoneNumber, UnreadAddress, WebhookUrl
from shared.domain.content import EmailContent, PushContent, SmsContent, UnreadContent, WebhookContent
from shared.domain.idempotency import KeyRecord
from shared.domain.identifiers import AttemptId, PartitionKey, TenantId, TrackingId
from shared.domain.notification import (
    Attempt,
    Category,
    Delivery,
    Fallback,
    HistoryEntry,
    Lane,
    Notification,
    TargetResult,
    TemplateRef,
)
from shared.domain.status import DeliveryStatus

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
maybe = st.none() | words
instants = st.integers(0, 4_000_000_000_000).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(words, children, max_size=3),
    max_leaves=6,
)
devices = st.builds(DeviceToken, st.sampled_from(["fcm", "apns"]), words)
KINDS = {
    "email": (st.builds(EmailAddress, words), st.builds(EmailContent, words, maybe, maybe)),
    "sms": (st.builds(PhoneNumber, words), st.builds(SmsContent, words)),
    "push": (
        st.builds(Devices, st.lists(devices, max_size=3, unique=True).map(tuple)) | st.builds(RegisteredDevices, words),
        st.builds(PushContent, words, words, st.dictionaries(words, words, max_size=3), maybe),
    ),
    "webhook": (st.builds(WebhookUrl, words), st.builds(WebhookContent, words)),
    "slack": (
        st.builds(SlackHook, words),
        st.builds(
            SlackContent, words, st.lists(st.dictionaries(words, json_values, max_size=2), max_size=2).map(tuple)
        ),
    ),
    "whatsapp": (
        st.builds(PhoneNumber, words),
        st.builds(WhatsAppContent, words)
        | st.builds(WhatsAppContent, st.none(), words, st.dictionaries(words, words, max_size=3)),
    ),
    "pigeon": (  # which another version of the service has
        st.builds(UnreadAddress, st.dictionaries(words, json_values, max_size=3)),
        st.builds(UnreadContent, st.dictionaries(words, json_values, max_size=3)),
    ),
}
results = st.builds(TargetResult, st.integers(0, 9), words, maybe, maybe)
attempts = st.builds(
    Attempt,
    words.map(AttemptId),
    st.integers(1, 50),
    instants,
    maybe,
    maybe,
    maybe,
    maybe,
    st.none() | instants,
    targets=st.lists(results, max_size=2).map(tuple),
)


def _delivery(channel: str) -> st.SearchStrategy[Delivery]:
    addresses, contents = KINDS[channel]
    return st.builds(
        Delivery,
        channel=st.just(channel),
        status=st.sampled_from(DeliveryStatus),
        address=addresses,
        wake_at=st.none() | instants,
        content=st.none() | contents,
        attempt=st.integers(0, 50),
        due_at=st.none() | instants,
        deadline_at=st.none() | instants,
        reason=maybe,
        attempts=st.lists(attempts, max_size=2).map(tuple),
    )


deliveries = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: _delivery(name) for name in names})
)
entries = st.builds(HistoryEntry, instants, words, st.sampled_from(DeliveryStatus), st.integers(0, 9), maybe, maybe)


notifications = st.builds(
    Notification,
    tracking_id=words.map(TrackingId),
    tenant_id=words.map(TenantId),
    partition_key=words.map(PartitionKey),
    created_at=instants,
    lane=st.sampled_from(Lane),
    category=st.sampled_from(Category),
    deliveries=deliveries,
    customer_id=maybe,
    template=st.none() | st.builds(TemplateRef, words, words, words),
    data=st.dictionaries(words, json_values, max_size=3),
    reference=maybe,
    correlation_id=maybe,
    traceparent=maybe,
    batch_id=maybe,
    send_at=st.none() | instants,
    expires_at=st.none() | instants,
    metadata=st.dictionaries(words, words, max_size=3),
    awaited=st.booleans(),
    history=st.lists(entries, max_size=3).map(tuple),
    fallback=st.none()
    | st.builds(
        Fallback,
        st.lists(words, max_size=3).map(tuple),
        st.none() | st.integers(1, 86_400).map(lambda seconds: timedelta(seconds=seconds)),
    ),
)
records = st.builds(
    KeyRecord,
    words,
    words.map(TenantId),
    words.map(PartitionKey),
    words,
    instants,
    instants,
    words | st.just(""),
    words,
)


def _through_the_store(document: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(document, allow_nan=False))


def test_every_channels_address_and_content_are_tried_here() -> None:
    assert set(KINDS) >= set(CHANNELS)


@given(notification=notifications)
def test_a_notification_comes_back_as_it_was_stored(notification: Notification) -> None:
    assert notification_of(_through_the_store(notification_document(notification))) == notification


def test_a_document_from_before_fallbacks_is_read_as_one_without() -> None:
    notification = notification_of(
        {
            "id": "01M86PTPG0FM4ZR32P5GKMSV2T",
            "tenantId": "shop",
            "partitionKey": "shop:0001",
            "createdAt": "2026-11-24T12:00:00.000Z",
            "lane": "normal",
            "category": "security",
            "deliveries": {
                "sms": {"status": "sent", "address": {"phone": "+4915112345678"}, "attempt": 1, "attempts": []}
            },
            "history": [],
        }
    )

    assert (notification.fallback, notification.cancelled_at) == (None, None)
    assert notification.deliveries["sms"].deadline_at is None


@given(record=records)
def test_a_key_comes_back_as_it_was_stored_and_expires_after_a_day(record: KeyRecord) -> None:
    document = _through_the_store(key_document(record))

    assert key_record_of(document) == record
    assert document["ttl"] == 86_400


@given(first=instants, second=instants)
def test_stored_instants_sort_as_text(first: datetime, second: datetime) -> None:
    assert (first < second) == ((stamp(first) or "") < (stamp(second) or ""))
