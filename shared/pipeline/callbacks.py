"""Call consumers back: from the change feed to signed POSTs.

``fire_callbacks`` takes changed notifications and queues a callback for each wanted status in their history that has
none yet; the history is on the notification, so a feed that skips versions loses nothing. ``send_callbacks`` posts
them and writes down what came of it. A consumer may hear the same thing twice (after a crash between post and record,
or when the feed's lease changes hands), always under the same webhook-id, which is theirs to deduplicate by.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.contracts.callback_payload import CallbackBatch, CallbackItem, EndpointEventItem
from shared.contracts.stored_documents import notification_of
from shared.domain.callback_endpoint import CallbackEndpoint
from shared.domain.callback_mark import CallbackMark, CallbackState, mark_key
from shared.domain.callback_schedule import pause_after
from shared.domain.errors import NotFound, StoreUnavailable
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import HistoryEntry, Notification
from shared.domain.status import DeliveryStatus, is_outcome, outward
from shared.pipeline import endpoint_health
from shared.pipeline.callback_post import Posted, post_callback
from shared.pipeline.services import CALLBACKS, Services
from shared.pipeline.store_outage import while_store_is_away

MAX_BATCH = 50
BATCHES_PER_ENDPOINT = 4  # under way in one process, of the 64 that the host hands it at a time
DEFERRAL = timedelta(seconds=2)
DISABLED = "endpoint_disabled"
_POSTS_AT_ONCE = 10
_UNEXPLAINED = {DeliveryStatus.EXPIRED: "expired", DeliveryStatus.CANCELLED: "cancelled"}

Item = CallbackItem | EndpointEventItem


async def heard_changes(documents: Iterable[Mapping[str, Any]], services: Services) -> list[Notification]:
    """The notifications among changed documents whose tenants have callback endpoints; others are not even decoded."""
    return [
        notification_of(document)
        for document in documents
        if document["type"] == "notification"
        and await services.callback_endpoints.list_for(TenantId(document["tenantId"]))
    ]


async def fire_callbacks(notifications: Sequence[Notification], services: Services) -> int:
    """How many callbacks were queued. Raises PublishFailed: the feed should show these notifications again."""
    batches: dict[tuple[TenantId, PartitionKey, str], list[CallbackItem]] = defaultdict(list)
    marks: list[str] = []
    for notification in notifications:
        for endpoint in await services.callback_endpoints.list_for(notification.tenant_id):
            for item in _due(notification, endpoint):
                mark = f"{endpoint.id}/{item.webhook_id}"
                if mark not in services.recently_fired:
                    marks.append(mark)
                    batches[notification.tenant_id, notification.partition_key, endpoint.id].append(item)
    messages = [
        CallbackBatch(tenant_id=tenant, partition_key=partition, endpoint_id=endpoint_id, items=part).to_message()
        for (tenant, partition, endpoint_id), items in batches.items()
        for part in (items[start : start + MAX_BATCH] for start in range(0, len(items), MAX_BATCH))
    ]
    if messages:
        await services.publisher.publish(CALLBACKS, messages)
    for mark in marks:
        services.recently_fired.add(mark)
    return len(marks)


def _due(notification: Notification, endpoint: CallbackEndpoint) -> Iterator[CallbackItem]:
    if not endpoint.enabled:
        return
    seen: set[str] = set()
    for entry in notification.history:
        status = outward(entry.status, entry.reason)
        if status is None or not is_outcome(entry.status) or not endpoint.wants(status):
            continue
        key = mark_key(entry.channel, status, endpoint.id)
        if key not in notification.callbacks and key not in seen:
            seen.add(key)
            yield _callback(notification, entry, status)


def _callback(notification: Notification, entry: HistoryEntry, status: str) -> CallbackItem:
    return CallbackItem(
        tracking_id=notification.tracking_id,
        channel=entry.channel,
        status=status,
        at=entry.at,
        reference=notification.reference,
        # Both are told as FAILED, so the word itself must say why.
        reason=entry.reason or _UNEXPLAINED.get(entry.status),
    )


async def send_callbacks(batch: CallbackBatch, services: Services) -> None:
    """Every callback of the batch has been posted, is planned again, or is given up.

    Raises:
        StoreUnavailable, PublishFailed: the batch should be delivered again; consumers deduplicate by webhook-id.
    """
    try:
        endpoint = await while_store_is_away(lambda: _endpoint(batch, services), services.patience.store)
    except NotFound:
        return  # removed by its consumer, and its callbacks with it
    now = services.clock.now()
    if not endpoint.enabled:
        given_up = CallbackMark(CallbackState.FAILED, now, batch.attempt - 1, DISABLED)
        await _record(batch, dict.fromkeys(_marked(batch.items), given_up), services)
    elif endpoint.health.is_resting(now):
        await _let_wait(batch, batch.items, endpoint, services)
    elif services.busy_endpoints[endpoint.id] >= BATCHES_PER_ENDPOINT:
        # Its consumer is slow: whoever waits for it waits on the bus, and the places here go to other endpoints.
        await services.publisher.publish(CALLBACKS, [batch.deferred(batch.items).to_message(due_at=now + DEFERRAL)])
    else:
        services.busy_endpoints[endpoint.id] += 1
        try:
            await _send_all(batch, endpoint, services)
        finally:
            services.busy_endpoints[endpoint.id] -= 1


async def _endpoint(batch: CallbackBatch, services: Services) -> CallbackEndpoint:
    return await services.callback_endpoints.read(TenantId(batch.tenant_id), batch.endpoint_id)


async def _let_wait(
    batch: CallbackBatch, items: Sequence[Item], endpoint: CallbackEndpoint, services: Services
) -> None:
    """The items come back when the endpoint's rest is over, without a try burnt."""
    now = services.clock.now()
    due_at = max(endpoint.health.rests_until or now, now + DEFERRAL)
    await services.publisher.publish(CALLBACKS, [batch.deferred(items, waits=True).to_message(due_at=due_at)])
    if not batch.waits:
        waiting = CallbackMark(CallbackState.WAITING, now, batch.attempt - 1, due_at=due_at)
        await _record(batch, dict.fromkeys(_marked(items), waiting), services)


async def _send_all(batch: CallbackBatch, endpoint: CallbackEndpoint, services: Services) -> None:
    items: list[Item] = list(batch.items)
    posted: list[Posted | None] = []
    if endpoint.health.rests_until is not None:
        if not await while_store_is_away(
            lambda: endpoint_health.begin_probe(endpoint, services), services.patience.store
        ):
            await _let_wait(batch, items, await _endpoint(batch, services), services)
            return
        posted.append(await post_callback(items[0], endpoint, services, is_probe=True))
    gate = asyncio.Semaphore(_POSTS_AT_ONCE)
    posted += await asyncio.gather(*(_post(item, gate, endpoint, services) for item in items[len(posted) :]))
    await _follow_up(batch, dict(zip(items, posted, strict=True)), endpoint, services)


async def _post(item: Item, gate: asyncio.Semaphore, known: CallbackEndpoint, services: Services) -> Posted | None:
    """What came of one post; None when the endpoint is to be left alone by now."""
    async with gate:
        try:
            endpoint = await services.callback_endpoints.read(known.tenant_id, known.id)
        except NotFound:
            return None
        except StoreUnavailable:
            endpoint = known  # a batch half posted is better finished than begun again
        if not endpoint.enabled or endpoint.health.is_resting(services.clock.now()):
            return None
        return await post_callback(item, endpoint, services)


async def _follow_up(
    batch: CallbackBatch, posted: Mapping[Item, Posted | None], endpoint: CallbackEndpoint, services: Services
) -> None:
    """First what is still to be done is on the queue, then what was done is written down."""
    now = services.clock.now()
    failed = [item for item, came in posted.items() if came and came.problem]
    is_gone = any(came and came.problem == endpoint_health.GONE for came in posted.values())
    if is_gone:
        await endpoint_health.disable(endpoint, endpoint_health.GONE, services)
    wishes = [came.retry_after for came in posted.values() if came and came.retry_after]
    pause = None if is_gone else pause_after(batch.attempt, max(wishes, default=None))
    due_at = None if pause is None else now + pause
    if failed and due_at:
        await services.publisher.publish(CALLBACKS, [batch.next_try(failed).to_message(due_at=due_at)])
    marks = {item: _mark(came, batch, now, due_at) for item, came in posted.items() if came}
    await _record(batch, {item: mark for item, mark in marks.items() if isinstance(item, CallbackItem)}, services)
    if untried := [item for item, came in posted.items() if came is None]:
        try:
            await _let_wait(batch, untried, await _endpoint(batch, services), services)
        except NotFound:
            return


def _mark(came: Posted, batch: CallbackBatch, now: datetime, due_at: datetime | None) -> CallbackMark:
    if came.problem is None:
        state, due_at = CallbackState.DELIVERED, None
    else:
        state = CallbackState.RETRYING if due_at else CallbackState.FAILED
    return CallbackMark(state, now, batch.attempt, came.problem, came.http_status, came.milliseconds, due_at)


def _marked(items: Iterable[Item]) -> list[CallbackItem]:
    """The items whose state stands on a notification."""
    return [item for item in items if isinstance(item, CallbackItem)]


async def _record(batch: CallbackBatch, marks: Mapping[CallbackItem, CallbackMark], services: Services) -> None:
    by_notification: dict[TrackingId, dict[str, CallbackMark]] = defaultdict(dict)
    for item, mark in marks.items():
        by_notification[TrackingId(item.tracking_id)][mark_key(item.channel, item.status, batch.endpoint_id)] = mark
    if by_notification:
        await while_store_is_away(
            lambda: services.notifications.record_callbacks(PartitionKey(batch.partition_key), by_notification),
            services.patience.store,
        )
