"""Call consumers back: from the change feed to signed POSTs.

``fire_callbacks`` takes changed notifications and queues a callback for each wanted status in their history that has
none yet; the history is on the notification, so a feed that skips versions loses nothing. ``send_callbacks`` posts
them and writes down what came of it. A consumer may hear the same thing twice (after a crash between post and record),
always under the same webhook-id, which is theirs to deduplicate by.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from shared.contracts.callback_payload import CallbackBatch, CallbackItem
from shared.contracts.stored_documents import notification_of
from shared.domain.callback_schedule import pause_after
from shared.domain.errors import DestinationRefused, NotFound, ProviderError
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId
from shared.domain.notification import Notification
from shared.domain.status import is_outcome, outward
from shared.domain.webhook_signature import sign
from shared.pipeline.services import CALLBACKS, Services
from shared.pipeline.store_outage import while_store_is_away
from shared.ports import CallbackEndpoint

logger = logging.getLogger(__name__)

MAX_BATCH = 50
POST_TIMEOUT = timedelta(seconds=15)
BATCHES_PER_ENDPOINT = 4  # under way in one process, of the 64 that the host hands it at a time
DEFERRAL = timedelta(seconds=2)
_POSTS_AT_ONCE = 10
_GONE = 410


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
        if status is None or not is_outcome(entry.status) or status not in endpoint.statuses:
            continue
        key = _record_key(entry.channel, status, endpoint.id)
        if key not in notification.callbacks and key not in seen:
            seen.add(key)
            yield CallbackItem(
                tracking_id=notification.tracking_id,
                channel=entry.channel,
                status=status,
                at=entry.at,
                reference=notification.reference,
                reason=entry.reason,
            )


def _record_key(channel: str, status: str, endpoint_id: str) -> str:
    return f"{channel}-{status}-{endpoint_id}"


async def send_callbacks(batch: CallbackBatch, services: Services) -> None:
    """Every callback of the batch has been posted, is planned again, or is given up.

    Raises:
        StoreUnavailable, PublishFailed: the batch should be delivered again; consumers deduplicate by webhook-id.
    """
    try:
        endpoint = await while_store_is_away(
            lambda: services.callback_endpoints.read(TenantId(batch.tenant_id), batch.endpoint_id),
            services.patience.store,
        )
    except NotFound:
        return  # removed by its consumer, and its callbacks with it
    if not endpoint.enabled:
        return
    if services.busy_endpoints[endpoint.id] >= BATCHES_PER_ENDPOINT:
        # Its consumer is slow: whoever waits for it waits on the bus, and the places here go to other endpoints.
        later = batch.model_copy(update={"deferrals": batch.deferrals + 1})
        await services.publisher.publish(CALLBACKS, [later.to_message(due_at=services.clock.now() + DEFERRAL)])
        return
    services.busy_endpoints[endpoint.id] += 1
    try:
        await _send_all(batch, endpoint, services)
    finally:
        services.busy_endpoints[endpoint.id] -= 1


async def _send_all(batch: CallbackBatch, endpoint: CallbackEndpoint, services: Services) -> None:
    gate = asyncio.Semaphore(_POSTS_AT_ONCE)

    async def post(item: CallbackItem) -> str | None:
        async with gate:
            return await _post(item, endpoint, services)

    problems = await asyncio.gather(*map(post, batch.items))
    failed = [item for item, problem in zip(batch.items, problems, strict=True) if problem]
    if "gone" in problems and await services.callback_endpoints.disable(endpoint, "gone"):
        logger.warning("Callback endpoint answered 410 and is disabled", extra={"endpoint_id": endpoint.id})
    pause = None if "gone" in problems else pause_after(batch.attempt)
    if failed and pause:
        again = batch.model_copy(update={"attempt": batch.attempt + 1, "items": failed})
        await services.publisher.publish(CALLBACKS, [again.to_message(due_at=services.clock.now() + pause)])
    marks = _marks(batch, problems, is_last=pause is None)
    await while_store_is_away(
        lambda: services.notifications.record_callbacks(PartitionKey(batch.partition_key), marks),
        services.patience.store,
    )


async def _post(item: CallbackItem, endpoint: CallbackEndpoint, services: Services) -> str | None:
    """Why the consumer did not take the callback; None when it did."""
    body = item.body()
    now = services.clock.now()
    headers = {
        "content-type": "application/json",
        "webhook-id": item.webhook_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": sign(endpoint.secrets, item.webhook_id, now, body),
    }
    try:
        answer = await services.callback_client.post(endpoint.url, headers=headers, body=body, timeout=POST_TIMEOUT)
    except DestinationRefused:
        return "destination_refused"
    except ProviderError as error:
        return error.reason
    if answer.status == _GONE:
        return "gone"
    return None if answer.status // 100 == 2 else f"http_{answer.status}"  # noqa: PLR2004 - 2xx; redirects are failures


def _marks(
    batch: CallbackBatch, problems: Sequence[str | None], *, is_last: bool
) -> Mapping[TrackingId, Mapping[str, str]]:
    marks: dict[TrackingId, dict[str, str]] = defaultdict(dict)
    for item, problem in zip(batch.items, problems, strict=True):
        state = "delivered" if problem is None else f"{'failed' if is_last else 'retrying'}:{problem}"
        marks[TrackingId(item.tracking_id)][_record_key(item.channel, item.status, batch.endpoint_id)] = state
    return marks
