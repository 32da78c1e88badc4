"""How notifications are stored in ``notification-tracking`` (Cosmos DB), and read back.

Written by hand rather than by pydantic: these run once per notification on the hot path, and what is read was written
here. Times are ISO 8601 in UTC with milliseconds and a Z, so that they sort as text.

What is personal (addresses, literal content, template data, metadata) is one sealed text, ``sealed``, beside the key's
name. Documents from before that have it in the open, at the same names, and are read alike.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from shared.channels import CHANNELS
from shared.contracts.personal_fields import opened, personal_of, with_personal
from shared.contracts.sealing import Sealer
from shared.domain.address import UnreadAddress
from shared.domain.callback_mark import CallbackMark, CallbackState
from shared.domain.content import UnreadContent
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

Document = dict[str, Any]
KEPT_SECONDS = 90 * 24 * 60 * 60  # design 4; counted by the store from the last change
KEY_TTL_SECONDS = 24 * 60 * 60  # S2-03


@lru_cache(maxsize=256)  # what is written together carries the same few instants
def stamp(instant: datetime | None) -> str | None:
    """An instant as it is stored."""
    if instant is None:
        return None
    utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds")[:-6] + "Z"


def instant(text: str | None) -> datetime | None:
    """An instant as it was stored."""
    return datetime.fromisoformat(text) if text else None


def attempt_document(attempt: Attempt) -> Document:
    """One attempt as it is stored."""
    return _present(
        id=attempt.id,
        number=attempt.number,
        claimedAt=stamp(attempt.claimed_at),
        provider=attempt.provider,
        outcome=attempt.outcome,
        reason=attempt.reason,
        providerMessageId=attempt.provider_message_id,
        finishedAt=stamp(attempt.finished_at),
        routedBecause=attempt.routed_because,
        targets=[_target_document(result) for result in attempt.targets] or None,
    )


def _target_document(result: TargetResult) -> Document:
    return _present(
        number=result.number,
        outcome=result.outcome,
        reason=result.reason,
        providerMessageId=result.provider_message_id,
    )


def attempt_of(document: Document) -> Attempt:
    """The attempt in a stored document."""
    return Attempt(
        id=AttemptId(document["id"]),
        number=document["number"],
        claimed_at=datetime.fromisoformat(document["claimedAt"]),
        provider=document.get("provider"),
        outcome=document.get("outcome"),
        reason=document.get("reason"),
        provider_message_id=document.get("providerMessageId"),
        finished_at=instant(document.get("finishedAt")),
        routed_because=document.get("routedBecause"),
        targets=tuple(
            TargetResult(each["number"], each["outcome"], each.get("reason"), each.get("providerMessageId"))
            for each in document.get("targets", ())
        ),
    )


def history_document(entry: HistoryEntry) -> Document:
    """One history entry as it is stored."""
    return _present(
        at=stamp(entry.at),
        channel=entry.channel,
        status=entry.status.value,
        attempt=entry.attempt or None,
        provider=entry.provider,
        reason=entry.reason,
    )


def _history_entry(document: Document) -> HistoryEntry:
    return HistoryEntry(
        at=datetime.fromisoformat(document["at"]),
        channel=document["channel"],
        status=DeliveryStatus(document["status"]),
        attempt=document.get("attempt", 0),
        provider=document.get("provider"),
        reason=document.get("reason"),
    )


def mark_document(mark: CallbackMark) -> Document:
    """A callback's mark as it is stored."""
    return _present(
        state=mark.state.value,
        at=stamp(mark.at),
        attempt=mark.attempt or None,
        reason=mark.reason,
        httpStatus=mark.http_status,
        ms=mark.milliseconds,
        dueAt=stamp(mark.due_at),
    )


def _mark(stored: Document | str) -> CallbackMark:
    if isinstance(stored, str):  # as version 0.1 stored it: the state, and after a colon the reason
        state, _, reason = stored.partition(":")
        return CallbackMark(CallbackState(state), reason=reason or None)
    return CallbackMark(
        state=CallbackState(stored["state"]),
        at=instant(stored.get("at")),
        attempt=stored.get("attempt", 0),
        reason=stored.get("reason"),
        http_status=stored.get("httpStatus"),
        milliseconds=stored.get("ms"),
        due_at=instant(stored.get("dueAt")),
    )


def _delivery_document(delivery: Delivery) -> Document:
    return _present(
        status=delivery.status.value,
        wakeAt=stamp(delivery.wake_at),
        dueAt=stamp(delivery.due_at),
        deadlineAt=stamp(delivery.deadline_at),
        reason=delivery.reason,
        attempt=delivery.attempt,
        attempts=[attempt_document(attempt) for attempt in delivery.attempts],
    )


def _delivery(channel: str, document: Document, personal: Mapping[str, Any]) -> Delivery:
    # A channel that another version of the service has, during a deployment or after one was taken back, is kept as is.
    known = CHANNELS.get(channel)
    restore_address = known.restore_address if known else UnreadAddress
    restore_content = known.restore_content if known else UnreadContent
    address, content = personal.get("address"), personal.get("content")
    return Delivery(
        channel=channel,
        status=DeliveryStatus(document["status"]),
        # Who follows changes needs no address and has no key; what was erased has no address any more.
        address=UnreadAddress({}) if address is None else restore_address(address),
        wake_at=instant(document.get("wakeAt")),
        due_at=instant(document.get("dueAt")),
        deadline_at=instant(document.get("deadlineAt")),
        replays={int(name[1:]): replay_id for name, replay_id in document.get("replays", {}).items()},
        content=None if content is None else restore_content(content),
        attempt=document["attempt"],
        claim_id=document.get("claimId"),
        claimed_at=instant(document.get("claimedAt")),
        provider=document.get("provider"),
        provider_message_id=document.get("providerMessageId"),
        reason=document.get("reason"),
        was_in_doubt=document.get("wasInDoubt", False),
        sweeps=document.get("sweeps", 0),
        attempts=tuple(attempt_of(attempt) for attempt in document["attempts"]),
    )


def _fallback_document(fallback: Fallback | None) -> Document | None:
    if fallback is None:
        return None
    seconds = fallback.deadline.total_seconds() if fallback.deadline else None
    return _present(order=list(fallback.order), deadlineSeconds=seconds)


def _fallback(document: Document | None) -> Fallback | None:
    if document is None:
        return None
    seconds = document.get("deadlineSeconds")
    return Fallback(tuple(document["order"]), None if seconds is None else timedelta(seconds=seconds))


def notification_document(notification: Notification, sealer: Sealer | None = None) -> Document:
    """A freshly accepted notification as it is stored; without a ``sealer`` what is personal is in the open."""
    template = notification.template
    document = _present(
        id=notification.tracking_id,
        partitionKey=notification.partition_key,
        type="notification",
        schemaVersion=2 if sealer else 1,
        tenantId=notification.tenant_id,
        createdAt=stamp(notification.created_at),
        lane=notification.lane.value,
        category=notification.category.value,
        customerId=notification.customer_id,
        template={"id": template.id, "version": template.version, "locale": template.locale} if template else None,
        reference=notification.reference,
        correlationId=notification.correlation_id,
        traceparent=notification.traceparent,
        batchId=notification.batch_id,
        sendAt=stamp(notification.send_at),
        expiresAt=stamp(notification.expires_at),
        awaited=notification.awaited or None,
        test=notification.is_test or None,
        fallback=_fallback_document(notification.fallback),
        ttl=_ttl_seconds(notification),
        deliveries={channel: _delivery_document(delivery) for channel, delivery in notification.deliveries.items()},
        history=[history_document(entry) for entry in notification.history],
        callbacks={},
    )
    return with_personal(document, personal_of(notification), sealer)


def _ttl_seconds(notification: Notification) -> int | None:
    """How long the store keeps a notification that waits for its time; others follow the container's default."""
    if notification.send_at is None:
        return None
    return KEPT_SECONDS + max(0, int((notification.send_at - notification.created_at).total_seconds()))


def notification_of(document: Mapping[str, Any], sealer: Sealer | None = None) -> Notification:
    """The notification in a stored document; what is sealed stays out of it without the ``sealer`` that opens it.

    Raises ValueError when the sealer is another one.
    """
    template = document.get("template")
    personal = opened(document, sealer)
    hidden = personal["deliveries"]
    return Notification(
        tracking_id=TrackingId(document["id"]),
        tenant_id=TenantId(document["tenantId"]),
        partition_key=PartitionKey(document["partitionKey"]),
        created_at=datetime.fromisoformat(document["createdAt"]),
        lane=Lane(document["lane"]),
        category=Category(document["category"]),
        customer_id=document.get("customerId"),
        template=TemplateRef(template["id"], template["version"], template["locale"]) if template else None,
        data=personal.get("data", {}),
        reference=document.get("reference"),
        correlation_id=document.get("correlationId"),
        traceparent=document.get("traceparent"),
        batch_id=document.get("batchId"),
        send_at=instant(document.get("sendAt")),
        expires_at=instant(document.get("expiresAt")),
        metadata=personal.get("metadata", {}),
        awaited=document.get("awaited", False),
        is_test=document.get("test", False),
        fallback=_fallback(document.get("fallback")),
        cancelled_at=instant(document.get("cancelledAt")),
        deliveries={
            channel: _delivery(channel, part, hidden.get(channel, {}))
            for channel, part in document["deliveries"].items()
        },
        history=tuple(_history_entry(entry) for entry in document["history"]),
        callbacks={key: _mark(mark) for key, mark in document.get("callbacks", {}).items()},
    )


def key_document(record: KeyRecord) -> Document:
    """An idempotency key's record as it is stored; it expires 24 hours after it was made."""
    return _present(
        id=record.id,
        partitionKey=record.partition_key,
        type="key",
        tenantId=record.tenant_id,
        bodyDigest=record.body_digest,
        createdAt=stamp(record.created_at),
        touchedAt=stamp(record.touched_at),
        answer=record.answer or None,
        plan=record.plan or None,
        ttl=KEY_TTL_SECONDS,
    )


def key_record_of(document: Mapping[str, Any]) -> KeyRecord:
    """The record in a stored document."""
    return KeyRecord(
        id=document["id"],
        tenant_id=TenantId(document["tenantId"]),
        partition_key=PartitionKey(document["partitionKey"]),
        body_digest=document["bodyDigest"],
        created_at=datetime.fromisoformat(document["createdAt"]),
        touched_at=datetime.fromisoformat(document["touchedAt"]),
        answer=document.get("answer", ""),
        plan=document.get("plan", ""),
        etag=document.get("_etag"),
    )


def _present(**fields: object) -> Document:
    return {name: value for name, value in fields.items() if value is not None}
