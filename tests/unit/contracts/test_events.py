import json
from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contracts.callback_payload import CallbackBatch, CallbackItem
from shared.contracts.events import (
    NotificationStatus,
    NotificationSubmitted,
    StatusItem,
    dead_letter_message,
    status_message,
    submitted_message,
)
from shared.domain.chunk import Chunk, ChunkItem
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Category, Lane, TemplateRef
from shared.domain.status import DeliveryStatus
from tests.fakes.clock import START

ID = TrackingId("01M86PTPG0FM4ZR32P5GKMSV2T")
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
maybe = st.none() | words
chunks = st.builds(
    Chunk,
    tenant_id=words.map(TenantId),
    partition_key=words.map(PartitionKey),
    channel=words,
    lane=st.sampled_from(Lane),
    items=st.lists(st.builds(ChunkItem, words.map(TrackingId), st.integers(1, 50), maybe), min_size=1, max_size=50).map(
        tuple
    ),
    template=st.none() | st.builds(TemplateRef, words, words, words),
    category=st.none() | st.sampled_from(Category),
    due_at=st.none(),
    wanted_at=st.datetimes(timezones=st.just(UTC)),
    is_held=st.booleans(),
    correlation_id=maybe,
    traceparent=maybe,
)


@given(chunk=chunks)
def test_a_chunk_comes_off_the_bus_as_it_went_on(chunk: Chunk) -> None:
    body = submitted_message(chunk, START).body

    assert NotificationSubmitted.model_validate_json(body).to_chunk() == chunk


def test_what_a_chunk_was_wanted_for_survives_being_held_back() -> None:
    late = START + timedelta(seconds=3)
    chunk = Chunk(TenantId("t"), PartitionKey("t:1"), "email", Lane.LOW, (ChunkItem(ID),), due_at=late, wanted_at=START)

    event = NotificationSubmitted.model_validate_json(submitted_message(chunk, late).body)

    assert event.to_chunk().wanted_at == START


def test_an_older_message_is_wanted_when_it_was_published() -> None:
    chunk = Chunk(TenantId("t"), PartitionKey("t:1"), "email", Lane.LOW, (ChunkItem(ID),))
    document = json.loads(submitted_message(chunk, START).body)
    del document["wantedAt"], document["isHeld"]

    assert NotificationSubmitted.model_validate(document).to_chunk().wanted_at == START


def _status(*statuses: tuple[DeliveryStatus, int], recorded: bool = True) -> NotificationStatus:
    return NotificationStatus(
        tenant_id="shop",
        occurred_at=START,
        partition_key="shop:beef",
        channel="email",
        recorded=recorded,
        items=[
            StatusItem(tracking_id=ID, status=status, attempt=attempt, timestamp=START, due_at=START)
            for status, attempt in statuses
        ],
    )


def test_a_status_event_comes_off_the_bus_as_it_went_on() -> None:
    event = _status((DeliveryStatus.RETRYING, 1), (DeliveryStatus.SENT, 2))

    assert NotificationStatus.model_validate_json(event.to_json()) == event


def _submitted() -> dict[str, Any]:
    chunk = Chunk(TenantId("shop"), PartitionKey("shop:beef"), "email", Lane.NORMAL, (ChunkItem(ID),))
    return json.loads(submitted_message(chunk, START).body)


EXAMPLES = {
    NotificationSubmitted: _submitted(),
    NotificationStatus: json.loads(_status((DeliveryStatus.SENT, 1)).to_json()),
    CallbackBatch: json.loads(
        CallbackBatch(
            tenant_id="shop",
            partition_key="shop:beef",
            endpoint_id="ep",
            items=[CallbackItem(tracking_id=ID, channel="email", status="SENT", at=START)],
        )
        .to_message()
        .body
    ),
}
each_message = pytest.mark.parametrize("model", EXAMPLES, ids=lambda model: model.__name__)


def _with_unknown_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_unknown_fields(part) for name, part in value.items()} | {"fieldOfTomorrow": {"a": [1]}}
    return [_with_unknown_fields(part) for part in value] if isinstance(value, list) else value


@each_message
def test_fields_of_tomorrow_are_ignored_at_every_depth(model: Any) -> None:
    assert model.model_validate(_with_unknown_fields(EXAMPLES[model])) == model.model_validate(EXAMPLES[model])


@each_message
@pytest.mark.parametrize("version", [2, 0, "1", None, "v1"])
def test_a_version_nobody_knows_is_undecodable(model: Any, version: Any) -> None:
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(EXAMPLES[model] | {"schemaVersion": version}))


@each_message
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff", b'{"schemaVersion": 1}'])
def test_what_is_no_message_is_undecodable(model: Any, body: bytes) -> None:
    with pytest.raises(ValidationError):
        model.model_validate_json(body)


def test_one_event_is_not_taken_for_the_other() -> None:
    with pytest.raises(ValidationError):
        NotificationStatus.model_validate(EXAMPLES[NotificationSubmitted])
    with pytest.raises(ValidationError):
        NotificationSubmitted.model_validate(EXAMPLES[NotificationStatus])


def test_a_chunk_is_held_back_by_the_broker_until_it_is_due() -> None:
    due = START + timedelta(hours=1)
    chunk = Chunk(TenantId("shop"), PartitionKey("p"), "sms", Lane.HIGH, (ChunkItem(ID),), due_at=due)

    message = submitted_message(chunk, START)

    assert message.due_at == due
    assert message.properties == {"channel": "sms", "lane": "high", "schemaVersion": 1}


@pytest.mark.parametrize(
    ("items", "recorded", "retrying"),
    [
        ([(DeliveryStatus.SENT, 1)], True, False),
        ([(DeliveryStatus.RETRYING, 1)], True, True),
        ([(DeliveryStatus.SENT, 1), (DeliveryStatus.RETRYING, 1)], True, True),
        ([(DeliveryStatus.SENT, 2)], True, True),
        ([(DeliveryStatus.DELIVERED, 2)], False, False),
    ],
)
def test_the_retry_subscription_gets_what_an_orchestration_may_wait_for(
    items: list[tuple[DeliveryStatus, int]], recorded: bool, retrying: bool
) -> None:
    message = status_message(_status(*items, recorded=recorded), awaited=False)

    assert message.properties["retrying"] is retrying
    assert message.properties["recorded"] is recorded


def test_a_dead_letter_is_plain_json_with_a_reason_to_filter_by() -> None:
    message = dead_letter_message({"trackingId": ID}, message_id="m", tag="exhausted")

    assert (json.loads(message.body), message.properties) == ({"trackingId": ID}, {"tag": "exhausted"})
