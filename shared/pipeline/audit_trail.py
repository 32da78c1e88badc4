"""What notifications go through, into the audit trail: change feed → one entry for many records (ADR 0110).

Takes changed documents as the feed shows them: at least once, newest version only. The history is on the document, so
a version that was skipped is missed by nobody. A *record* is the acceptance (position 0) or one change of status
(positions from 1, in the order of the history); one *pack* holds the records of all documents of a tenant in one call
of the feed, as one entry of a chain.

A process remembers how far it has recorded each notification. Where it can't know (after a restart, or after another
process had the feed), what was recorded before is recorded again, word for word: readers tell by tracking id and
position, and the verifier holds the copies against each other.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from shared.domain.audit_chain import PACK, AuditFact
from shared.domain.identifiers import TenantId
from shared.pipeline.recorded import Recorded
from shared.pipeline.services import Services

SHARDS = 8  # chains an hour for a tenant's notifications: as many processes append without waiting for each other
RECORDER = "cns"  # who records; who asked for a notification stands in its acceptance
_TRACE_ID = slice(3, 35)  # of a traceparent


async def record_changes(documents: Sequence[Mapping[str, Any]], services: Services) -> int:
    """How many records the trail has more than before. Raises StoreUnavailable: the feed should show these again."""
    recorded = services.recorded
    fresh: dict[TenantId, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for document in documents:
        if document["type"] == "notification" and recorded.count(document["id"]) <= len(document["history"]):
            fresh[TenantId(document["tenantId"])][document["id"]] = document  # the last version shown is the newest
    total = 0
    for tenant, changed in fresh.items():
        await services.audit.append(_pack(tenant, list(changed.values()), recorded, services.clock.now()))
        for tracking_id, document in changed.items():
            total += len(document["history"]) + 1 - recorded.count(tracking_id)
            recorded.note(tracking_id, len(document["history"]) + 1)
    return total


def _pack(tenant: TenantId, documents: Sequence[Mapping[str, Any]], recorded: Recorded, now: datetime) -> AuditFact:
    notifications = [_records(document, recorded.count(document["id"])) for document in documents]
    # The same documents make the same id and shard: a feed that shows them once more adds nothing in that hour.
    named = "\n".join(f"{each['trackingId']} {each['from']} {len(each['history'])}" for each in notifications)
    digest = hashlib.sha256(named.encode()).digest()
    return AuditFact(
        event_id=f"{PACK}:{digest.hex()}",
        tenant_id=tenant,
        at=now,
        actor=RECORDER,
        action=PACK,
        subject=tenant,
        # As one text: it is hashed as it stands, which costs a tenth of hashing the parts in an order of their own.
        detail={"records": orjson.dumps(notifications).decode()},
        shard=1 + digest[0] % SHARDS,
    )


def _records(document: Mapping[str, Any], start: int) -> dict[str, Any]:
    """The records of one notification from position ``start`` on. Ids, words and times: no address and no content."""
    records = {
        "trackingId": document["id"],
        "from": start,
        "history": list(document["history"][max(0, start - 1) :]),
    }
    if "customerId" in document:
        records["customerId"] = document["customerId"]
    if start == 0:
        records["accepted"] = _acceptance(document)
    return records


def _acceptance(document: Mapping[str, Any]) -> dict[str, Any]:
    template, traceparent = document.get("template"), document.get("traceparent")
    fields = {
        "at": document["createdAt"],
        "by": document["tenantId"],
        "category": document["category"],
        "lane": document["lane"],
        "channels": sorted(document["deliveries"]),
        "template": f"{template['id']}@{template['version']}" if template else None,
        "batchId": document.get("batchId"),
        "traceId": traceparent[_TRACE_ID] if traceparent else None,
    }
    return {name: value for name, value in fields.items() if value is not None}
