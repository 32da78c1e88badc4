"""``notification-tracking`` in Cosmos DB: commits, claims, outcomes and the sweeper's view."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosBatchOperationError, CosmosHttpResponseError

from shared.adapters import cosmos_patches, cosmos_queries
from shared.adapters.cosmos_client import (
    CONFLICT,
    NOT_FOUND,
    PRECONDITION_FAILED,
    CosmosDatabase,
    Patch,
    PatchRefused,
    patch_all,
    patch_together,
    read_by_ids,
    store_errors,
)
from shared.channels import CHANNELS
from shared.contracts.sealing import Keyring, sealed_by, week_of
from shared.contracts.stored_documents import (
    Document,
    key_document,
    key_record_of,
    notification_document,
    notification_of,
    stamp,
)
from shared.domain.callback_mark import CallbackMark
from shared.domain.chunk import ChunkItem
from shared.domain.errors import Conflict, NotFound
from shared.domain.idempotency import KeyRecord, KeyTaken
from shared.domain.identifiers import PartitionKey, TenantId, TrackingId, partition_of
from shared.domain.notification import Notification
from shared.domain.outcome import Claimed, ClaimRefusal, NotClaimed, Nudge, Outcome, StatusChange, Step
from shared.domain.status import DeliveryStatus, is_outcome
from shared.ports import Clock

logger = logging.getLogger(__name__)

CONTAINER = "notification-tracking"
_PAGE = 100


class CosmosNotificationStore:
    """NotificationStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase, clock: Clock, keyring: Keyring) -> None:
        self._database = database
        self._clock = clock
        self._keyring = keyring

    async def commit(self, notifications: Sequence[Notification], key: KeyRecord | None = None) -> None:
        partition = notifications[0].partition_key
        documents = [key_document(key)] if key else []
        documents += [await self._sealed(notification) for notification in notifications]
        container = self._database.container(CONTAINER)
        if len(documents) == 1:
            await self._create_if_absent(documents[0])
            return
        try:
            async with store_errors(CONFLICT):
                creations = [("create", (document,)) for document in documents]
                await container.execute_item_batch(creations, partition, no_response=True)
        except CosmosBatchOperationError as error:
            if key and error.error_index == 0:
                raise KeyTaken(key.id) from error
            # Nobody else can have taken a notification's own id: an earlier try of this very commit got through.
            await asyncio.gather(*map(self._create_if_absent, documents))

    async def _sealed(self, notification: Notification) -> Document:
        """The document, its personal part sealed with the key of the week in which it may first be sent."""
        tenant, key_id = notification.tenant_id, week_of(notification.starts_at)
        key = self._keyring.known(tenant, key_id) or await self._keyring.to_seal(tenant, key_id)
        return notification_document(notification, key)

    async def _opened(self, document: Document) -> Notification:
        key_id = sealed_by(document)
        if key_id is None:
            return notification_of(document)
        tenant = TenantId(document["tenantId"])
        key = self._keyring.known(tenant, key_id) or await self._keyring.to_open(tenant, key_id)
        try:
            return notification_of(document, key)
        except ValueError:
            # Its delivery will fail and be a dead letter; it must not keep those beside it from being read.
            logger.exception("Personal part not readable", extra={"tracking_id": document["id"]})
            return notification_of(document)

    async def _create_if_absent(self, document: Document) -> None:
        try:
            async with store_errors(CONFLICT):
                await self._database.container(CONTAINER).create_item(document, no_response=True)
        except CosmosHttpResponseError:
            logger.debug("Stored already", extra={"tracking_id": document["id"]})

    async def read(self, tenant: TenantId, tracking_id: TrackingId) -> Notification:
        document = await self._read_document(partition_of(tenant, tracking_id), tracking_id)
        if document is None:
            raise NotFound(tracking_id)
        return await self._opened(document)

    async def _read_document(self, partition: str, document_id: str) -> Document | None:
        try:
            async with store_errors(NOT_FOUND):
                return await self._database.container(CONTAINER).read_item(document_id, partition)
        except CosmosHttpResponseError:
            return None

    async def read_key(self, partition: PartitionKey, key_id: str) -> KeyRecord | None:
        document = await self._read_document(partition, key_id)
        return key_record_of(document) if document else None

    async def create_key(self, record: KeyRecord) -> KeyRecord:
        try:
            async with store_errors(CONFLICT):
                return key_record_of(await self._database.container(CONTAINER).create_item(key_document(record)))
        except CosmosHttpResponseError as error:
            raise KeyTaken(record.id) from error

    async def replace_key(self, record: KeyRecord) -> KeyRecord:
        try:
            async with store_errors(PRECONDITION_FAILED, NOT_FOUND):
                return key_record_of(
                    await self._database.container(CONTAINER).replace_item(
                        record.id,
                        key_document(record),
                        etag=record.etag,
                        match_condition=MatchConditions.IfNotModified,
                    )
                )
        except CosmosHttpResponseError as error:
            raise Conflict("the idempotency key is being used by another request") from error

    async def claim(
        self, partition: PartitionKey, channel: str, wanted: Sequence[ChunkItem], *, claim_id: str, wake_at: datetime
    ) -> Sequence[Claimed | NotClaimed]:
        now = self._clock.now()
        patches = [
            cosmos_patches.claim(partition, channel, item, claim_id=claim_id, now=now, wake_at=wake_at)
            for item in wanted
        ]
        container = self._database.container(CONTAINER)
        known: dict[str, Document] = {}
        waiting = list(range(len(wanted)))
        if len(wanted) > 1:
            if (claimed := await patch_together(container, partition, patches)) is not None:
                return [Claimed(await self._opened(document)) for document in claimed]
            # A chunk that is delivered again is claimed already, most often as a whole: to look is one call, to be
            # refused one by one would be fifty.
            known = await read_by_ids(container, partition, [item.tracking_id for item in wanted])
            waiting = [
                n
                for n in waiting
                if cosmos_patches.may_be_claimed(known.get(wanted[n].tracking_id), channel, wanted[n])
            ]
        tried = dict(zip(waiting, await patch_all(container, partition, [patches[n] for n in waiting]), strict=True))
        if lost := [wanted[n] for n, got in tried.items() if isinstance(got, PatchRefused)]:
            known |= await read_by_ids(container, partition, [item.tracking_id for item in lost])
        return [
            await self._refused_claim(item, channel, claim_id, known.get(item.tracking_id))
            if isinstance(got := tried.get(n), PatchRefused | None)
            else Claimed(await self._opened(got))
            for n, item in enumerate(wanted)
        ]

    async def _refused_claim(
        self, item: ChunkItem, channel: str, claim_id: str, document: Document | None
    ) -> Claimed | NotClaimed:
        if document is None:
            return NotClaimed(item.tracking_id, ClaimRefusal.UNKNOWN)
        notification = await self._opened(document)
        delivery = notification.deliveries[channel]
        if delivery.claim_id == claim_id and delivery.status is DeliveryStatus.SENDING:
            return Claimed(notification)  # the SDK repeated a patch whose answer was lost
        if is_outcome(delivery.status) or delivery.attempt > item.attempt or notification.cancelled_at:
            refusal = ClaimRefusal.DONE
        elif delivery.attempt == item.attempt:
            refusal = ClaimRefusal.HELD if delivery.status is DeliveryStatus.SENDING else ClaimRefusal.DONE
        else:
            refusal = ClaimRefusal.EARLY
        return NotClaimed(item.tracking_id, refusal, notification)

    async def record_outcomes(self, partition: PartitionKey, outcomes: Sequence[Outcome]) -> None:
        container = self._database.container(CONTAINER)
        results = await patch_all(
            container, partition, [cosmos_patches.outcome(outcome) for outcome in outcomes], no_response=True
        )
        overtaken = [
            cosmos_patches.attempt_only(outcome)
            for outcome, got in zip(outcomes, results, strict=True)
            if isinstance(got, PatchRefused) and got.status == PRECONDITION_FAILED
        ]
        # A receipt (or the sweeper) was faster: the delivery has gone further, only the attempt's own record is open.
        if overtaken:
            await patch_all(container, partition, overtaken, no_response=True)

    async def record_changes(self, partition: PartitionKey, changes: Sequence[StatusChange]) -> None:
        # One at a time where two changes meet in one document: a batch would apply the second to a stale condition.
        unknown = False
        for round_of_changes in _rounds(changes):
            patches = [cosmos_patches.change(changes[index]) for index in round_of_changes]
            results = await patch_all(self._database.container(CONTAINER), partition, patches, no_response=True)
            unknown = unknown or any(isinstance(got, PatchRefused) and got.status == NOT_FOUND for got in results)
        if unknown:  # told last: one unknown notification must not hold up what is said of others
            raise NotFound("a receipt is about a notification that is not stored")

    async def record_nudges(self, partition: PartitionKey, nudges: Sequence[Nudge]) -> Sequence[bool]:
        patches = [cosmos_patches.nudge(nudge) for nudge in nudges]
        results = await patch_all(self._database.container(CONTAINER), partition, patches, no_response=True)
        return [not isinstance(got, PatchRefused) for got in results]

    async def record_steps(self, partition: PartitionKey, steps: Sequence[Step]) -> Sequence[bool]:
        made: list[bool] = [False] * len(steps)
        for round_of_steps in _rounds(steps):
            patches = [cosmos_patches.step(steps[index]) for index in round_of_steps]
            results = await patch_all(self._database.container(CONTAINER), partition, patches, no_response=True)
            for index, got in zip(round_of_steps, results, strict=True):
                made[index] = not isinstance(got, PatchRefused)
        return made

    async def cancel(self, tenant: TenantId, tracking_id: TrackingId, now: datetime) -> Notification:
        partition = partition_of(tenant, tracking_id)
        patches = [cosmos_patches.cancellation(tracking_id, now)]
        [answer] = await patch_all(self._database.container(CONTAINER), partition, patches)
        if isinstance(answer, PatchRefused):
            return await self.read(tenant, tracking_id)  # cancelled before, or there is no such notification
        return await self._opened(answer)

    async def record_callbacks(
        self, partition: PartitionKey, marks: Mapping[TrackingId, Mapping[str, CallbackMark]]
    ) -> None:
        patches: list[Patch] = [
            patch
            for tracking_id, states in marks.items()
            for patch in cosmos_patches.callback_marks(tracking_id, states)
        ]
        for start in range(0, len(patches), _PAGE):
            await patch_all(
                self._database.container(CONTAINER), partition, patches[start : start + _PAGE], no_response=True
            )

    async def overdue(self, now: datetime, limit: int) -> Sequence[Notification]:
        parameters: list[dict[str, Any]] = [
            {"name": "@now", "value": stamp(now)},
            {"name": "@limit", "value": limit},
        ]
        async with store_errors():
            pages = self._database.container(CONTAINER).query_items(
                cosmos_queries.overdue(CHANNELS), parameters=parameters, max_item_count=_PAGE
            )
            return [await self._opened(document) async for document in pages]

    async def ping(self) -> None:
        async with store_errors(), asyncio.timeout(2):
            await self._database.container(CONTAINER).read()


def _rounds(records: Sequence[Step | StatusChange]) -> list[list[int]]:
    """The positions of the records, in rounds that have at most one for each notification, in order."""
    rounds: list[list[int]] = []
    met: list[set[TrackingId]] = []
    for index, record in enumerate(records):
        for candidates, ids in zip(rounds, met, strict=True):
            if record.tracking_id not in ids:
                candidates.append(index)
                ids.add(record.tracking_id)
                break
        else:
            rounds.append([index])
            met.append({record.tracking_id})
    return rounds
