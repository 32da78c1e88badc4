"""Replays in Cosmos DB: orders in a partition of ``dead-letters``, and the patch that puts a delivery back to work."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.cosmos.exceptions import CosmosHttpResponseError

from shared.adapters import cosmos_dead_letters, cosmos_notifications, cosmos_queries
from shared.adapters.cosmos_client import (
    CONFLICT,
    NOT_FOUND,
    PRECONDITION_FAILED,
    CosmosDatabase,
    Patch,
    PatchRefused,
    patch_all,
    store_errors,
)
from shared.contracts.stored_documents import Document, history_document, stamp
from shared.domain.dead_letter import Selection, Tag
from shared.domain.errors import NotFound, VersionChanged
from shared.domain.identifiers import TenantId
from shared.domain.notification import HistoryEntry
from shared.domain.replay import Replay, ReplayState, Resumption
from shared.domain.status import DeliveryStatus

PARTITION = "replays"
REPLAYED = "replayed"


class CosmosReplays:
    """ReplayStore over Cosmos DB."""

    def __init__(self, database: CosmosDatabase) -> None:
        self._database = database

    async def create(self, replay: Replay) -> Replay:
        try:
            async with store_errors(CONFLICT):
                return _replay_of(await self._container.create_item(_document(replay)))
        except CosmosHttpResponseError:
            return await self.read(replay.id)

    async def read(self, replay_id: str) -> Replay:
        try:
            async with store_errors(NOT_FOUND):
                return _replay_of(await self._container.read_item(replay_id, PARTITION))
        except CosmosHttpResponseError as error:
            raise NotFound(replay_id) from error

    async def replace(self, replay: Replay) -> Replay:
        try:
            async with store_errors(NOT_FOUND, PRECONDITION_FAILED):
                stored = await self._container.replace_item(
                    replay.id, _document(replay), etag=replay.version, match_condition=MatchConditions.IfNotModified
                )
        except CosmosHttpResponseError as error:
            raise VersionChanged("the replay was changed meanwhile") from error
        return _replay_of(stored)

    async def newest(self, limit: int) -> Sequence[Replay]:
        return await self._query(cosmos_queries.NEWEST_REPLAYS, [{"name": "@limit", "value": limit}])

    async def running(self) -> Sequence[Replay]:
        return await self._query(cosmos_queries.RUNNING_REPLAYS, [])

    async def _query(self, query: str, parameters: list[dict[str, Any]]) -> Sequence[Replay]:
        async with store_errors():
            pages = self._container.query_items(query, parameters=parameters, partition_key=PARTITION)
            return [_replay_of(document) async for document in pages]

    async def resume(self, resumption: Resumption) -> bool:
        tracking = self._database.container(cosmos_notifications.CONTAINER)
        [result] = await patch_all(tracking, resumption.partition, [_patch(resumption)], no_response=True)
        return not isinstance(result, PatchRefused)

    @property
    def _container(self) -> Any:
        return self._database.container(cosmos_dead_letters.CONTAINER)


def _patch(resumption: Resumption) -> Patch:
    """Failed or expired → retrying, while it stands at the attempt it died of and nothing else has happened.

    The claim of the next attempt is the claim of any retry. ``replays`` keeps what is learnt late about the attempts
    before from ending it (cosmos_patches.py).
    """
    here = f"/deliveries/{resumption.channel}"
    entry = HistoryEntry(resumption.at, resumption.channel, DeliveryStatus.RETRYING, resumption.attempt, None, REPLAYED)
    fields: dict[str, object] = {
        "status": DeliveryStatus.RETRYING.value,
        "reason": REPLAYED,
        "wakeAt": stamp(resumption.wake_at),
        "dueAt": None,
        "sweeps": 0,
        "replays": {f"a{attempt}": replay_id for attempt, replay_id in resumption.replays.items()},
    }
    operations: list[dict[str, Any]] = [
        {"op": "set", "path": f"{here}/{name}", "value": value} for name, value in fields.items()
    ]
    operations.append({"op": "add", "path": "/history/-", "value": history_document(entry)})
    if resumption.expires_at:
        operations.append({"op": "set", "path": "/expiresAt", "value": stamp(resumption.expires_at)})
    seen = {resumption.channel: resumption.was, **resumption.given}
    conditions = [f"c.deliveries.{channel}.status = '{status.value}'" for channel, status in seen.items()]
    conditions += [
        f"c.deliveries.{resumption.channel}.attempt = {resumption.attempt}",
        "not is_defined(c.cancelledAt)",
    ]
    return Patch(resumption.tracking_id, operations, "from c where " + " and ".join(conditions))


def _document(replay: Replay) -> Document:
    wanted = replay.selection
    document: Document = {
        "id": replay.id,
        "partitionKey": PARTITION,
        "type": "replay",
        "schemaVersion": 1,
        "tenantId": replay.tenant_id,
        "orderedBy": replay.ordered_by,
        "orderedAt": stamp(replay.ordered_at),
        "selection": {
            "tenant": wanted.tenant,
            "since": stamp(wanted.since),
            "until": stamp(wanted.until),
            "tag": wanted.tag.value if wanted.tag else None,
            "channel": wanted.channel,
            "template": wanted.template,
        },
        "ids": list(replay.ids),
        "ratePerSecond": replay.rate,
        "ignoresExpiry": replay.ignores_expiry,
        "selected": replay.selected,
        "day": replay.day,
        "after": replay.after,
        "done": replay.done,
        "nextAt": stamp(replay.next_at),
        "touchedAt": stamp(replay.touched_at),
        "digest": replay.digest,
        "state": replay.state.value,
        "replayed": replay.replayed,
        "failed": replay.failed,
        "skipped": dict(replay.skipped),
    }
    return document


def _replay_of(document: Document) -> Replay:
    wanted = document["selection"]
    return Replay(
        id=document["id"],
        tenant_id=TenantId(document["tenantId"]),
        ordered_by=document["orderedBy"],
        ordered_at=datetime.fromisoformat(document["orderedAt"]),
        selection=Selection(
            tenant=TenantId(wanted["tenant"]) if wanted["tenant"] else None,
            since=datetime.fromisoformat(wanted["since"]),
            until=datetime.fromisoformat(wanted["until"]),
            tag=Tag(wanted["tag"]) if wanted["tag"] else None,
            channel=wanted["channel"],
            template=wanted["template"],
            is_open=True,
            or_taken_by=document["id"],
        ),
        ids=tuple(document["ids"]),
        rate=document["ratePerSecond"],
        ignores_expiry=document["ignoresExpiry"],
        selected=document["selected"],
        day=document["day"],
        after=document["after"],
        done=document["done"],
        next_at=datetime.fromisoformat(document["nextAt"]),
        touched_at=datetime.fromisoformat(document["touchedAt"]),
        digest=document["digest"],
        state=ReplayState(document["state"]),
        replayed=document["replayed"],
        failed=document["failed"],
        skipped=document["skipped"],
        version=document["_etag"],
    )
