"""Accept up to 1,000 notifications at once.

Each item is judged alone; the good ones are committed a hundred to a partition, ten calls instead of a thousand.
With an idempotency key, the key's record is stored first and names the plan: every item's id follows from it, so
a repeated request after a crash commits what is missing and doubles nothing.
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson
from pydantic import ValidationError

from shared.contracts.field_errors import field_errors
from shared.contracts.http_api import (
    MAX_BATCH_BODY_BYTES,
    MAX_BODY_BYTES,
    BatchItemView,
    BatchView,
    SubmitBatch,
    SubmitNotification,
)
from shared.contracts.problem import problem_of
from shared.domain.errors import (
    CnsError,
    Conflict,
    FieldError,
    InvalidSubmission,
    KeyReused,
    StoreUnavailable,
    TooManyRequests,
)
from shared.domain.harmful_text import harmful_fields, is_suspect
from shared.domain.idempotency import RESUME_AFTER, KeyRecord, KeyTaken, digest_of, key_id
from shared.domain.identifiers import (
    PartitionKey,
    TrackingId,
    bucket_of_key,
    derived_tracking_id,
    new_tracking_id,
    partition_key,
    random_bucket,
)
from shared.domain.notification import JsonValue, Notification
from shared.pipeline.accept import plan_with_customer
from shared.pipeline.admission import Wanted
from shared.pipeline.announce import publish_eagerly
from shared.pipeline.fair_share import Turns
from shared.pipeline.services import Services
from shared.pipeline.submit import SubmitRequest, check_key
from shared.ports import Caller

logger = logging.getLogger(__name__)

ITEMS_PER_BUCKET = 100  # operations in one transactional batch
MAX_COMMIT_BYTES = 1_500_000  # of the 2 MiB a transactional batch may have, with room for what the store adds
MAX_PROBLEM_BYTES = 300_000  # of the 2 MiB a document may have; as text inside JSON they can take four times as much
_COMMITS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What the ids of a batch follow from. ``key`` is empty when there is no idempotency key."""

    batch_id: TrackingId
    created_at: datetime
    key: str

    def bucket(self, part: int, caller: Caller, services: Services) -> int:
        """The bucket of the part-th hundred."""
        if self.key:
            return bucket_of_key(services.bucket_secret, caller.tenant_id, self.key, part)
        return random_bucket()


@dataclass(frozen=True, slots=True)
class SubmittedBatch:
    """The answer, whether it is a replay, and whether some items were refused."""

    answer: bytes
    partial: bool
    replayed: bool = False
    rejected: int = 0


async def submit_batch(request: SubmitRequest, caller: Caller, services: Services) -> SubmittedBatch:
    """The accepted batch, item by item.

    Raises:
        InvalidSubmission: the envelope is wrong; a wrong item is answered in its place.
        KeyReused, Conflict: the idempotency key was used with another body, or is being worked on.
        TooManyRequests: not now, and nothing of it; a batch is let in or refused as a whole, by its lowest lane.
        StoreUnavailable: nothing, or with a key not everything, could be committed; repeat the request.
    """
    check_key(request.idempotency_key)
    items = _items(request.body)
    with services.lanes.admission.under_way(len(items)):
        turns = await _let_in(items, request, caller, services)
        try:
            done = await _submit_items(items, turns, request, caller, services)
        except (Conflict, KeyReused):
            services.lanes.admission.came_to_nothing(caller.tenant_id, turns.counted)
            raise
        not_accepted = turns.counted if done.replayed else min(done.rejected, turns.counted)
        services.lanes.admission.came_to_nothing(caller.tenant_id, not_accepted)
        return done


async def _let_in(items: Sequence[JsonValue], request: SubmitRequest, caller: Caller, services: Services) -> Turns:
    """When the batch's deliveries may be sent, if it may be accepted or was at least begun. Raises TooManyRequests."""
    wanted = Wanted.by_items(items, services.clock.now())
    try:
        policy = await services.policies.find(caller.tenant_id)
        return await services.lanes.admission.admit(caller.tenant_id, wanted, policy)
    except TooManyRequests:
        key = request.idempotency_key
        if not key or await services.notifications.read_key(_key_partition(key, caller, services), key_id(key)) is None:
            raise
        return Turns()


async def _submit_items(
    items: Sequence[JsonValue], turns: Turns, request: SubmitRequest, caller: Caller, services: Services
) -> SubmittedBatch:
    if not request.idempotency_key:
        now = services.clock.now()
        plan = BatchPlan(new_tracking_id(now, random_bucket()), now, "")
        return await _accept(items, turns, plan, caller, services, request)
    record = await _hold_key(request, caller, services)
    if record.answer:
        return SubmittedBatch(record.answer.encode(), _is_partial(record.answer), replayed=True)
    plan = BatchPlan(TrackingId(record.plan), record.created_at, request.idempotency_key)
    try:
        answered = await _accept(items, turns, plan, caller, services, request)
    except CnsError:
        await _let_go(record, services)
        raise
    await services.notifications.replace_key(replace(record, answer=answered.answer.decode()))
    return answered


def _items(body: bytes) -> list[JsonValue]:
    if len(body) > MAX_BATCH_BODY_BYTES:
        raise InvalidSubmission([FieldError("", f"is larger than {MAX_BATCH_BODY_BYTES} bytes")], status=413)
    try:
        return SubmitBatch.model_validate(orjson.loads(body)).notifications
    except orjson.JSONDecodeError as error:
        raise InvalidSubmission([FieldError("", f"is not JSON: {error.msg}")], status=400) from error
    except ValidationError as error:
        raise InvalidSubmission(field_errors(error)) from error


def _key_partition(key: str, caller: Caller, services: Services) -> PartitionKey:
    return partition_key(caller.tenant_id, bucket_of_key(services.bucket_secret, caller.tenant_id, key))


async def _hold_key(request: SubmitRequest, caller: Caller, services: Services) -> KeyRecord:
    """The key's record, held by this request or already answered. Raises KeyReused, Conflict."""
    now = services.clock.now()
    key = request.idempotency_key or ""
    bucket = bucket_of_key(services.bucket_secret, caller.tenant_id, key)
    mine = KeyRecord(
        id=key_id(key),
        tenant_id=caller.tenant_id,
        partition_key=partition_key(caller.tenant_id, bucket),
        body_digest=digest_of(request.body),
        created_at=now,
        touched_at=now,
        plan=new_tracking_id(now, bucket),
    )
    try:
        return await services.notifications.create_key(mine)
    except KeyTaken:
        theirs = await services.notifications.read_key(mine.partition_key, mine.id)
    if theirs is None:
        raise Conflict("a request with this idempotency key is in progress")
    if theirs.body_digest != mine.body_digest:
        raise KeyReused("this idempotency key was used with another body")
    if theirs.answer or theirs.plan == mine.plan:
        return theirs
    if now - theirs.touched_at < RESUME_AFTER:
        raise Conflict("a request with this idempotency key is in progress")
    return await services.notifications.replace_key(replace(theirs, touched_at=now))


async def _let_go(record: KeyRecord, services: Services) -> None:
    """Lets the consumer's next try resume at once instead of waiting until this one counts as abandoned."""
    try:
        await services.notifications.replace_key(replace(record, touched_at=record.touched_at - RESUME_AFTER))
    except CnsError as error:
        logger.info("Idempotency key stays held", extra={"cause": type(error).__name__})


def _parts(items: Sequence[JsonValue]) -> list[range]:
    """Which items are committed together, by their position and size alone: the same body always gives the same."""
    parts, start, part_bytes = [], 0, 0
    for index, item in enumerate(items):
        size = _size_sent(item)
        if index - start == ITEMS_PER_BUCKET or (index > start and part_bytes + size > MAX_COMMIT_BYTES):
            parts.append(range(start, index))
            start, part_bytes = index, 0
        part_bytes += size
    return [*parts, range(start, len(items))]


def _size_sent(item: JsonValue) -> int:
    """How many bytes the item has as the store's SDK sends it: "ä" takes six."""
    plain = orjson.dumps(item)
    return len(plain) if plain.isascii() else len(json.dumps(item, separators=(",", ":")))


async def _accept(  # noqa: PLR0917 - one place, every fact
    items: Sequence[JsonValue],
    turns: Turns,
    plan: BatchPlan,
    caller: Caller,
    services: Services,
    request: SubmitRequest,
) -> SubmittedBatch:
    views: list[BatchItemView | None] = [None] * len(items)
    parts: list[list[tuple[int, Notification]]] = []
    for number, indexes in enumerate(_parts(items)):
        bucket = plan.bucket(number, caller, services)
        parts.append([])
        for index in indexes:
            try:
                notification = await _plan_item(items[index], index, bucket, plan, caller, services, request)
            except InvalidSubmission as problem:
                views[index] = BatchItemView(index=index, problem=problem_of(problem))
            else:
                parts[-1].append((index, turns.apply(notification, services.patience.publish)))
        await asyncio.sleep(0)  # planning a hundred takes some milliseconds; more urgent requests need not wait for all
    for index, failure in await _commit([part for part in parts if part], services):
        if plan.key:
            raise failure  # the key makes a repeat safe, and only a repeat can complete the batch
        views[index] = BatchItemView(index=index, problem=problem_of(failure))
    committed = [(i, notification) for part in parts for i, notification in part if views[i] is None]
    _raise_when_nothing_was_accepted(committed, parts)
    await publish_eagerly([notification for _, notification in committed], services)
    for index, notification in committed:
        views[index] = BatchItemView(index=index, tracking_id=notification.tracking_id)
    return SubmittedBatch(
        BatchView(
            batch_id=plan.batch_id,
            accepted=len(committed),
            rejected=len(items) - len(committed),
            items=list(_as_far_as_storable([view for view in views if view is not None])),
        ).to_json(),
        partial=len(committed) < len(items),
        rejected=len(items) - len(committed),
    )


def _as_far_as_storable(views: Sequence[BatchItemView]) -> Iterator[BatchItemView]:
    """The first problems in full and the others by their type alone, so that the answer fits in the key's record."""
    left = MAX_PROBLEM_BYTES
    for view in views:
        left -= len(orjson.dumps(view.problem)) if view.problem else 0
        if view.problem and left < 0:
            brief = {name: view.problem[name] for name in ("type", "title", "status")}
            yield view.model_copy(update={"problem": brief})
        else:
            yield view


def _raise_when_nothing_was_accepted(
    committed: Sequence[tuple[int, Notification]], parts: Sequence[Sequence[tuple[int, Notification]]]
) -> None:
    if not committed and any(parts):
        raise StoreUnavailable("no item could be stored")


async def _plan_item(  # noqa: PLR0917 - one place, every fact
    item: JsonValue,
    index: int,
    bucket: int,
    plan: BatchPlan,
    caller: Caller,
    services: Services,
    request: SubmitRequest,
) -> Notification:
    serialized = orjson.dumps(item)
    if len(serialized) > MAX_BODY_BYTES:
        raise InvalidSubmission([FieldError("", f"is larger than {MAX_BODY_BYTES} bytes")], status=413)
    if is_suspect(serialized) and (harmful := harmful_fields(item)):
        raise InvalidSubmission(harmful)
    try:
        model = SubmitNotification.model_validate(item)
    except ValidationError as error:
        raise InvalidSubmission(field_errors(error)) from error
    if plan.key:
        tracking_id = derived_tracking_id(plan.created_at, bucket, plan.batch_id, index)
    else:
        tracking_id = new_tracking_id(plan.created_at, bucket)
    return await plan_with_customer(
        model,
        caller=caller,
        tracking_id=tracking_id,
        partition=partition_key(caller.tenant_id, bucket),
        now=plan.created_at,
        services=services,
        batch_id=plan.batch_id,
        traceparent=request.traceparent,
    )


async def _commit(
    parts: Sequence[Sequence[tuple[int, Notification]]], services: Services
) -> list[tuple[int, StoreUnavailable]]:
    """The items whose part could not be committed, each with the reason."""
    gate = asyncio.Semaphore(_COMMITS_AT_ONCE)

    async def commit(part: Sequence[tuple[int, Notification]]) -> list[tuple[int, StoreUnavailable]]:
        async with gate:
            try:
                await services.notifications.commit([notification for _, notification in part])
            except StoreUnavailable as error:
                return [(index, error) for index, _ in part]
            return []

    return [failure for failures in await asyncio.gather(*map(commit, parts)) for failure in failures]


def _is_partial(answer: str) -> bool:
    return BatchView.model_validate_json(answer).rejected > 0
