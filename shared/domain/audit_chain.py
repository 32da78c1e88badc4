"""The audit trail's arithmetic: entries that each carry the hash of the one before, and what a broken chain looks like.

A chain is one partition of ``audit-logs`` (one of a tenant's few in an hour). The partition's head says how many
entries there are and how the last one hashes; the first entry of a partition names the partitions before it with their
heads of that moment. So within a partition any edit, removal, insertion or change of order shows, and of earlier
partitions also that their ends or they themselves were removed. What does not show here: a store owner who rewrites a
whole chain with its head from some entry on up to the newest partition. Heads that were written down elsewhere (the log
has each) show that, too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.domain.identifiers import TenantId
from shared.domain.notification import JsonValue

GENESIS = hashlib.sha256(b"").hexdigest()  # stands where a partition's first entry has no entry before it
KEPT = timedelta(days=90)  # S0-30; the partition's entries expire together, counted from the end of its hour
_HOUR = timedelta(hours=1)
PACK = "notifications.record"  # the action of an entry that holds many records of what notifications went through
ACTS = 0  # the shard of what people and their services order; what notifications went through is in others


@dataclass(frozen=True, slots=True)
class AuditFact:
    """What somebody did, before it has a place in a chain. No personal data: ids and decisions only.

    Attributes:
        event_id: names the act; within the hour of ``at``, the same id is recorded once however often it is appended.
        tenant_id: whose data or traffic it concerns.
        actor: the application that did it.
        action: what was done, as ``thing.verb``.
        subject: the id of what it was done to.
        shard: which of the chains that a tenant has in an hour.
    """

    event_id: str
    tenant_id: TenantId
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, JsonValue] = field(default_factory=dict)
    shard: int = ACTS


@dataclass(frozen=True, slots=True)
class Head:
    """How far a partition's chain goes."""

    partition: str
    count: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A fact in its place. ``sequence`` counts from 1; ``follows`` is on a partition's first entry."""

    partition: str
    sequence: int
    fact: AuditFact
    previous_hash: str
    hash: str
    follows: tuple[Head, ...] = ()


class FaultKind(StrEnum):
    """How a chain is broken."""

    EDITED = "edited"  # the entry is not what was hashed
    MISPLACED = "misplaced"  # another entry should stand here: removed, inserted, or in another order
    TRUNCATED = "truncated"  # entries that are known to have been there are missing at the end
    HEAD = "head"  # the head is missing, or is not that of these entries


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing wrong with a partition; ``index`` counts its entries from 0."""

    partition: str
    index: int
    kind: FaultKind


def partition_of(tenant: TenantId, at: datetime, shard: int = ACTS) -> str:
    """The partition that an act of this tenant at this time belongs to."""
    return f"{tenant}:{at.astimezone(UTC):%Y%m%d%H}:{shard}"


def shard_of(partition: str) -> int:
    """The shard that is part of the partition's name."""
    return int(partition.rpartition(":")[2])


def hour_of(partition: str) -> datetime:
    """When the partition's hour begins."""
    return datetime.strptime(partition.split(":")[-2], "%Y%m%d%H").replace(tzinfo=UTC)


def expires_at(partition: str) -> datetime:
    """When the partition's entries expire, all at once."""
    return hour_of(partition) + _HOUR + KEPT


def chained(fact: AuditFact, head: Head, follows: Sequence[Head] = ()) -> AuditEntry:
    """The fact as the next entry after ``head``. The first entry of a partition takes what it ``follows``."""
    sequence = head.count + 1
    links = tuple(follows)
    digest = _hash(head.partition, sequence, fact, head.hash, links)
    return AuditEntry(head.partition, sequence, fact, head.hash, digest, links)


def head_after(entry: AuditEntry) -> Head:
    """The partition's head once ``entry`` is its last."""
    return Head(entry.partition, entry.sequence, entry.hash)


def first_fault(entries: Sequence[AuditEntry], head: Head, known: Sequence[Head] = ()) -> Fault | None:
    """The first thing wrong with a partition's entries as they are stored, in order of sequence; None when all is well.

    ``head`` is what is stored as its head (count 0 when there is none); ``known`` are heads it had earlier, as later
    partitions or a log name them.
    """
    before = Head(head.partition)
    for index, entry in enumerate(entries):
        if entry.sequence != before.count + 1 or entry.previous_hash != before.hash:
            return Fault(head.partition, index, FaultKind.MISPLACED)
        if entry.hash != _hash(head.partition, entry.sequence, entry.fact, entry.previous_hash, entry.follows):
            return Fault(head.partition, index, FaultKind.EDITED)
        before = head_after(entry)
    for earlier in (head, *known):
        if earlier.count > len(entries):
            return Fault(head.partition, len(entries), FaultKind.TRUNCATED)
    for earlier in known:
        if earlier.count and entries[earlier.count - 1].hash != earlier.hash:
            return Fault(head.partition, earlier.count - 1, FaultKind.EDITED)
    if head == before:
        return None
    index = head.count if head.count < len(entries) else len(entries) - 1
    return Fault(head.partition, max(0, index), FaultKind.HEAD)


def canonical_json(value: JsonValue) -> bytes:
    """The one way to write ``value``: keys sorted, no spaces, UTF-8, whole numbers without a point.

    The store gives 1.0 back as 1, so a hash must not tell them apart.
    """
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value


def _hash(partition: str, sequence: int, fact: AuditFact, previous_hash: str, follows: Sequence[Head]) -> str:
    hashed: dict[str, JsonValue] = {
        "partition": partition,
        "sequence": sequence,
        "eventId": fact.event_id,
        "tenantId": fact.tenant_id,
        "at": fact.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "actor": fact.actor,
        "action": fact.action,
        "subject": fact.subject,
        "detail": dict(fact.detail),
        "previousHash": previous_hash,
        "follows": [[each.partition, each.count, each.hash] for each in follows],
    }
    return hashlib.sha256(canonical_json(hashed)).hexdigest()
