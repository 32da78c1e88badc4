"""Accept one notification: plan it, commit it, publish it.

The commit is the only promise (design 2.1): a committed notification is delivered or explained, whatever happens to
this process or the broker afterwards; one that is not committed was never accepted.
"""

import hashlib
import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Protocol

from shared.contracts.http_api import (
    MAX_BODY_BYTES,
    MAX_IDEMPOTENCY_KEY_LENGTH,
    AcceptedDelivery,
    AcceptedView,
    SubmitNotification,
)
from shared.contracts.request_body import read_body
from shared.domain.errors import Conflict, FieldError, InvalidSubmission, KeyReused, TooManyRequests
from shared.domain.fallback import is_settled
from shared.domain.idempotency import KeyRecord, KeyTaken, digest_of, key_id
from shared.domain.identifiers import (
    TrackingId,
    bucket_of_key,
    new_tracking_id,
    partition_key,
    random_bucket,
)
from shared.domain.notification import Notification
from shared.pipeline.accept import plan_with_customer
from shared.pipeline.admission import Wanted
from shared.pipeline.announce import publish_eagerly
from shared.pipeline.services import Services
from shared.ports import Caller

logger = logging.getLogger(__name__)


class OutcomeWaiter(Protocol):
    """Waits for a notification's outcome across processes."""

    async def start(self, notification: Notification, wait: timedelta) -> bool:
        """Whether waiting has begun; False when it can't (the request is then answered at once)."""
        ...

    async def wait(self, tracking_id: TrackingId, wait: timedelta) -> bool:
        """Whether every delivery had its outcome within ``wait``."""
        ...


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """A request to accept something, as it came in."""

    body: bytes
    idempotency_key: str | None = None
    wait: timedelta | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer: an accepted notification's JSON, whether it is a replay, and whether its outcome is already known.

    ``is_waiting`` says that somebody waits for the outcome.
    """

    tracking_id: TrackingId
    answer: bytes
    replayed: bool = False
    settled: bool = False
    is_waiting: bool = False


async def submit(request: SubmitRequest, caller: Caller, services: Services, waiter: OutcomeWaiter) -> Submitted:
    """The accepted notification.

    Raises:
        InvalidSubmission: the request can't be accepted; nothing happened.
        KeyReused: the idempotency key was used with another body.
        TooManyRequests: not now; nothing happened.
        StoreUnavailable: the commit failed, or its answer was lost: only a repeat under the same key is safe.
    """
    check_key(request.idempotency_key)
    if len(request.body) > MAX_BODY_BYTES:
        raise InvalidSubmission([FieldError("", f"is larger than {MAX_BODY_BYTES} bytes")], status=413)
    with services.lanes.admission.under_way():
        taken = await _take(request, caller, services, waiter)
    if taken.is_waiting and request.wait is not None:
        return replace(taken, settled=await waiter.wait(taken.tracking_id, request.wait))
    return taken


async def _take(request: SubmitRequest, caller: Caller, services: Services, waiter: OutcomeWaiter) -> Submitted:
    """The notification, committed and published, or the earlier answer under the same key."""
    try:
        notification = await _plan(request, caller, services)
        wanted = Wanted.by(notification, services.clock.now())
        policy = await services.policies.find(caller.tenant_id)
        turns = await services.lanes.admission.admit(caller.tenant_id, wanted, policy)
    except (InvalidSubmission, TooManyRequests):
        # What is wrong by now (expired, a template withdrawn) may have been right when the key was first used; and
        # what was accepted then is not refused for today's load.
        if request.idempotency_key and (earlier := await _earlier(request, caller, services)):
            return earlier
        raise
    notification = turns.apply(notification, services.patience.publish)
    answer = _accepted(notification)
    if _may_go_with_others(request):
        publish = partial(publish_eagerly, services=services)
        await services.joint_commits.take_in(notification, len(request.body), services.notifications, publish)
        return Submitted(notification.tracking_id, answer)
    key = _key_record(request, notification, answer) if request.idempotency_key else None
    try:
        await services.notifications.commit([notification], key)
    except KeyTaken:
        try:
            replay = await _replay(notification, request, services)
        except (Conflict, KeyReused):
            services.lanes.admission.came_to_nothing(caller.tenant_id, turns.counted)
            raise
        if replay.tracking_id != notification.tracking_id:
            services.lanes.admission.came_to_nothing(caller.tenant_id, turns.counted)
            return replay
    if request.wait is not None and is_settled(notification):
        return Submitted(notification.tracking_id, answer, settled=True)  # nothing of it is to be sent
    waiting = request.wait is not None and await waiter.start(notification, request.wait)
    await publish_eagerly([notification], services)
    return Submitted(notification.tracking_id, answer, is_waiting=waiting)


def check_key(key: str | None) -> None:
    """Nothing when ``key`` may be an idempotency key. Raises InvalidSubmission (status 400)."""
    if key is not None and not (
        key.strip() and len(key) <= MAX_IDEMPOTENCY_KEY_LENGTH and key.isascii() and key.isprintable()
    ):
        detail = f"Idempotency-Key must be 1 to {MAX_IDEMPOTENCY_KEY_LENGTH} printable ASCII characters"
        raise InvalidSubmission([FieldError("", detail)], status=400)


def key_of_test(key: str) -> str:
    """An idempotency key of a test, apart from all that are not: the same key may then be used in earnest."""
    check_key(key)
    return f"test-{hashlib.sha256(key.encode()).hexdigest()}"


async def _plan(request: SubmitRequest, caller: Caller, services: Services) -> Notification:
    model = read_body(SubmitNotification, request.body)
    bucket = _bucket(request, caller, services)
    now = services.clock.now()
    return await plan_with_customer(
        model,
        caller=caller,
        tracking_id=new_tracking_id(now, bucket),
        partition=partition_key(caller.tenant_id, bucket),
        now=now,
        services=services,
        traceparent=request.traceparent,
        awaited=request.wait is not None,
    )


def _may_go_with_others(request: SubmitRequest) -> bool:
    """A key's record is in its own bucket, and whoever waits for an outcome must be known before it is published."""
    return request.idempotency_key is None and request.wait is None


def _bucket(request: SubmitRequest, caller: Caller, services: Services) -> int:
    if _may_go_with_others(request):
        return services.joint_commits.bucket_for(caller.tenant_id)
    key = request.idempotency_key
    return bucket_of_key(services.bucket_secret, caller.tenant_id, key) if key else random_bucket()


def _accepted(notification: Notification) -> bytes:
    return AcceptedView(
        tracking_id=notification.tracking_id,
        deliveries=[
            AcceptedDelivery(channel=delivery.channel, status=delivery.status.value)
            for delivery in notification.deliveries.values()
        ],
        links={"self": f"/api/v1/notifications/{notification.tracking_id}"},
    ).to_json()


def _key_record(request: SubmitRequest, notification: Notification, answer: bytes) -> KeyRecord:
    return KeyRecord(
        id=key_id(request.idempotency_key or ""),
        tenant_id=notification.tenant_id,
        partition_key=notification.partition_key,
        body_digest=digest_of(request.body),
        created_at=notification.created_at,
        touched_at=notification.created_at,
        answer=answer.decode(),
    )


async def _earlier(request: SubmitRequest, caller: Caller, services: Services) -> Submitted | None:
    key = request.idempotency_key or ""
    partition = partition_key(caller.tenant_id, bucket_of_key(services.bucket_secret, caller.tenant_id, key))
    record = await services.notifications.read_key(partition, key_id(key))
    if record is None or not record.answer or record.body_digest != digest_of(request.body):
        return None
    first = AcceptedView.model_validate_json(record.answer)
    return Submitted(TrackingId(first.tracking_id), record.answer.encode(), replayed=True)


async def _replay(notification: Notification, request: SubmitRequest, services: Services) -> Submitted:
    record = await services.notifications.read_key(notification.partition_key, key_id(request.idempotency_key or ""))
    if record is None or not record.answer:
        raise Conflict("a request with this idempotency key is in progress")
    if record.body_digest != digest_of(request.body):
        raise KeyReused("this idempotency key was used with another body")
    first = AcceptedView.model_validate_json(record.answer)
    return Submitted(TrackingId(first.tracking_id), record.answer.encode(), replayed=True)
