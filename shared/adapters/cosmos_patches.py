"""The conditional patches of ``notification-tracking``: each moves one delivery, and only from where it may move.

Cosmos DB takes at most 10 operations a patch and no parameters in its condition; what is spliced into conditions here
is ours alone (statuses, numbers, claim ids), never a consumer's text.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from shared.adapters.cosmos_client import Patch
from shared.contracts.stored_documents import Document, attempt_document, history_document, mark_document, stamp
from shared.domain.callback_mark import CallbackMark
from shared.domain.chunk import ChunkItem
from shared.domain.identifiers import AttemptRef, PartitionKey, TenantId
from shared.domain.notification import Attempt, HistoryEntry
from shared.domain.outcome import Move, Nudge, Outcome, StatusChange, Step
from shared.domain.status import DeliveryStatus, is_outcome, overtaken_by

_MAX_OPERATIONS = 10
_BAD_NEWS = (DeliveryStatus.FAILED, DeliveryStatus.BOUNCED)
_GOOD_NEWS = (DeliveryStatus.SENT, DeliveryStatus.DELIVERED)
_CLAIMABLE = (DeliveryStatus.QUEUED, DeliveryStatus.SCHEDULED, DeliveryStatus.RETRYING)


def _set(path: str, value: object) -> dict[str, Any]:
    return {"op": "set", "path": path, "value": value}


def _append(path: str, value: object) -> dict[str, Any]:
    return {"op": "add", "path": f"{path}/-", "value": value}


def _one_of(statuses: tuple[DeliveryStatus, ...]) -> str:
    return ", ".join(f"'{status.value}'" for status in statuses)


def claim(
    partition: PartitionKey, channel: str, item: ChunkItem, *, claim_id: str, now: datetime, wake_at: datetime
) -> Patch:
    """Queued, scheduled or retrying → sending, by whoever is first to make attempt ``item.attempt``."""
    here = f"/deliveries/{channel}"
    tenant = TenantId(partition.rpartition(":")[0])
    attempt = Attempt(
        id=AttemptRef(tenant, item.tracking_id, channel, item.attempt).attempt_id, number=item.attempt, claimed_at=now
    )
    return Patch(
        item.tracking_id,
        [
            _set(f"{here}/status", DeliveryStatus.SENDING.value),
            _set(f"{here}/attempt", item.attempt),
            _set(f"{here}/claimId", claim_id),
            _set(f"{here}/claimedAt", stamp(now)),
            _set(f"{here}/wakeAt", stamp(wake_at)),
            _append(f"{here}/attempts", attempt_document(attempt)),
        ],
        f"from c where c.deliveries.{channel}.status in ({_one_of(_CLAIMABLE)}) "
        f"and c.deliveries.{channel}.attempt = {item.attempt - 1} and not is_defined(c.cancelledAt)",
    )


def may_be_claimed(document: Document | None, channel: str, item: ChunkItem) -> bool:
    """Whether a claim is worth trying, by a document as it was read. The patch's own condition decides."""
    delivery = document["deliveries"].get(channel) if document else None
    return delivery is not None and delivery["status"] in _CLAIMABLE and delivery["attempt"] == item.attempt - 1


def _not_replayed_after(channel: str, attempt: int) -> str:
    """That an attempt failed is known to whoever had the delivery replayed after it, and stops nothing any more."""
    return f" and not is_defined(c.deliveries.{channel}.replays.a{attempt})"


def _recordable_from(status: DeliveryStatus) -> tuple[DeliveryStatus, ...]:
    """Where a delivery may stand for its claim's holder to record ``status``.

    A holder can be slower than the sweeper's patience with it. Its word still counts where the sweeper only guessed:
    an outcome even when the next attempt is planned already, since it saves the customer a second message.
    """
    if is_outcome(status):
        return (DeliveryStatus.SENDING, DeliveryStatus.IN_DOUBT, DeliveryStatus.RETRYING)
    if status is DeliveryStatus.RETRYING:
        return (DeliveryStatus.SENDING, DeliveryStatus.IN_DOUBT)
    return (DeliveryStatus.SENDING,)


def outcome(record: Outcome) -> Patch:
    """Sending (or in doubt, as the sweeper guessed) → what the attempt came to, by the holder of the claim."""
    here = f"/deliveries/{record.channel}"
    attempt = record.attempt
    entry = HistoryEntry(record.at, record.channel, record.status, attempt.number, attempt.provider, record.reason)
    operations = [
        _set(f"{here}/status", record.status.value),
        _set(f"{here}/wakeAt", stamp(record.wake_at)),
        _set(f"{here}/dueAt", stamp(record.due_at)),
        _set(f"{here}/provider", attempt.provider),
        _set(f"{here}/providerMessageId", attempt.provider_message_id),
        _set(f"{here}/reason", record.reason),
        _set(f"{here}/attempts/{attempt.number - 1}", attempt_document(attempt)),
        _append("/history", history_document(entry)),
    ]
    if record.status is DeliveryStatus.IN_DOUBT:
        operations.append(_set(f"{here}/wasInDoubt", True))
    return Patch(
        record.tracking_id,
        operations,
        f"from c where c.deliveries.{record.channel}.claimId = '{record.claim_id}' "
        f"and c.deliveries.{record.channel}.status in ({_one_of(_recordable_from(record.status))})"
        + ("" if record.status in _GOOD_NEWS else _not_replayed_after(record.channel, attempt.number)),
    )


def attempt_only(record: Outcome) -> Patch:
    """The attempt's own record alone, when the delivery has meanwhile gone further by a receipt.

    Only while the attempt is unfinished: an outcome whose answer was lost is recorded again and must not show twice.
    """
    here = f"/deliveries/{record.channel}"
    attempt = record.attempt
    operations = [
        _set(f"{here}/attempts/{attempt.number - 1}", attempt_document(attempt)),
        _set(f"{here}/provider", attempt.provider),
        _set(f"{here}/providerMessageId", attempt.provider_message_id),
    ]
    if record.status is DeliveryStatus.SENT:
        # The consumer who asked to hear of SENT hears of it, though DELIVERED came first.
        entry = HistoryEntry(record.at, record.channel, record.status, attempt.number, attempt.provider)
        operations.append(_append("/history", history_document(entry)))
    return Patch(
        record.tracking_id,
        operations,
        f"from c where c.deliveries.{record.channel}.claimId = '{record.claim_id}' "
        f"and not is_defined(c.deliveries.{record.channel}.attempts[{attempt.number - 1}].finishedAt)",
    )


def change(record: StatusChange) -> Patch:
    """A provider's later word, where it moves the delivery forward.

    Whichever attempt reached the customer counts. That an attempt did not counts only while no later one was made:
    a delivery sent again in doubt must not fail by what became of the first.
    """
    here = f"/deliveries/{record.channel}"
    entry = HistoryEntry(record.at, record.channel, record.status, record.attempt, record.provider, record.reason)
    condition = f"from c where c.deliveries.{record.channel}.status in ({_one_of(overtaken_by(record.status))})"
    if record.status in _BAD_NEWS:
        condition += f" and c.deliveries.{record.channel}.attempt = {record.attempt}"
        condition += _not_replayed_after(record.channel, record.attempt)
    return Patch(
        record.tracking_id,
        [
            _set(f"{here}/status", record.status.value),
            _set(f"{here}/wakeAt", None),
            _set(f"{here}/reason", record.reason),
            _append("/history", history_document(entry)),
        ],
        condition,
    )


def nudge(record: Nudge) -> Patch:
    """The sweeper's move on a delivery that still stands where the sweeper saw it."""
    here = f"/deliveries/{record.channel}"
    operations = [
        _set(f"{here}/status", record.status.value),
        _set(f"{here}/wakeAt", stamp(record.wake_at)),
        _set(f"{here}/sweeps", record.sweeps),
    ]
    if record.status is not record.was:
        entry = HistoryEntry(record.at, record.channel, record.status, record.attempt, None, record.reason)
        operations += [_set(f"{here}/reason", record.reason), _append("/history", history_document(entry))]
    if record.status is DeliveryStatus.IN_DOUBT:
        operations.append(_set(f"{here}/wasInDoubt", True))
    return Patch(
        record.tracking_id,
        operations,
        f"from c where c.deliveries.{record.channel}.status = '{record.was.value}' "
        f"and c.deliveries.{record.channel}.wakeAt = '{stamp(record.was_wake_at)}'",
    )


def step(record: Step) -> Patch:
    """Deliveries that nobody is sending, to where a decision puts them, while everything stands as it was seen."""
    operations = [operation for move in record.moves for operation in _operations_of(move, record.at)]
    seen = [
        f"c.deliveries.{move.channel}.status = '{move.was.value}' and "
        f"c.deliveries.{move.channel}.attempt = {move.attempt}"
        for move in record.moves
    ]
    seen += [f"c.deliveries.{channel}.status = '{status.value}'" for channel, status in record.given.items()]
    return Patch(record.tracking_id, operations, "from c where " + " and ".join(seen))


def _operations_of(move: Move, at: datetime) -> Iterator[dict[str, Any]]:
    here = f"/deliveries/{move.channel}"
    yield _set(f"{here}/wakeAt", stamp(move.wake_at))
    if move.status is move.was:
        yield _set(f"{here}/deadlineAt", stamp(move.deadline_at))
        return
    entry = HistoryEntry(at, move.channel, move.status, move.attempt, None, move.reason)
    yield _set(f"{here}/status", move.status.value)
    yield _set(f"{here}/reason", move.reason)
    yield _append("/history", history_document(entry))


def cancellation(tracking_id: str, at: datetime) -> Patch:
    """The notification is taken back by its consumer: once, and for good."""
    return Patch(
        tracking_id,
        [_set("/cancelledAt", stamp(at))],
        "from c where c.type = 'notification' and not is_defined(c.cancelledAt)",
    )


def callback_marks(tracking_id: str, marks: Mapping[str, CallbackMark]) -> Iterator[Patch]:
    """The state of each callback, by its key, ten to a patch."""
    entries = iter(marks.items())
    while part := list(islice(entries, _MAX_OPERATIONS)):
        operations = [_set(f"/callbacks/{key}", mark_document(mark)) for key, mark in part]
        yield Patch(tracking_id, operations, "from c where true")
