"""What operators ask of the audit trail: its entries, newest first, and whether its chains hold.

Both walk from a tenant's newest partition along the links of first entries, so no empty hour is ever read.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import timedelta

import orjson

from shared.contracts.audit_api import (
    AuditEntryView,
    AuditFaultView,
    AuditPageView,
    AuditParameters,
    AuditVerificationView,
    VerificationParameters,
)
from shared.domain.audit_chain import AuditEntry, Fault, Head, expires_at, first_fault, hour_of
from shared.domain.errors import FieldError, InvalidSubmission
from shared.domain.identifiers import TenantId
from shared.pipeline.services import Services

PAGE_ENTRIES = 100
PAGE_PARTITIONS = 24  # looked at for one page, so that a search for what is rare can't hold a request
VERIFIED_PARTITIONS = 100  # in one request
_ALL = 2**53
_READ_AT_ONCE = 500
_DISORDER = timedelta(hours=2)  # a slow process may begin a partition this much later than its hour


async def read_page(query: AuditParameters, services: Services) -> AuditPageView:
    """The next entries, newest first, and where to go on. A page may be empty and have a next one.

    Raises:
        InvalidSubmission: the cursor is none of ours.
    """
    heads, before = await _position(query.tenant, query.cursor, services)
    found: list[AuditEntry] = []
    left = PAGE_ENTRIES
    for _ in range(PAGE_PARTITIONS):
        if not heads or left == 0:
            break
        if _is_past(heads[0].partition, query):
            heads = []
            break
        entries = await services.audit.entries(heads[0].partition, before, left)
        found += [entry for entry in entries if _is_wanted(entry, query)]
        left -= len(entries)
        if left == 0 and entries[-1].sequence > 1:
            before = entries[-1].sequence
        else:
            heads, before = _onwards(heads[1:], entries), _ALL
    return AuditPageView(
        entries=[AuditEntryView.of(entry) for entry in found],
        next=_cursor(heads, before) if heads else None,
    )


async def verify(query: VerificationParameters, services: Services) -> AuditVerificationView:
    """What is wrong with the tenant's chains, from the newest back. Raises InvalidSubmission: not a cursor of ours."""
    heads, _ = await _position(query.tenant, query.cursor, services)
    faults: list[Fault] = []
    counted = partitions = 0
    now = services.clock.now()
    while heads and partitions < VERIFIED_PARTITIONS:
        known = heads.pop(0)
        if now >= expires_at(known.partition):
            continue
        entries = await _all_entries(known.partition, services)
        fault = first_fault(entries, await services.audit.head(known.partition), [known])
        faults += [fault] if fault else []
        heads = _onwards(heads, entries)
        counted += len(entries)
        partitions += 1
    return AuditVerificationView(
        tenant=query.tenant,
        partitions=partitions,
        entries=counted,
        faults=[AuditFaultView(partition=each.partition, index=each.index, kind=each.kind.value) for each in faults],
        next=_cursor(heads, _ALL) if heads else None,
    )


def _is_wanted(entry: AuditEntry, query: AuditParameters) -> bool:
    return (
        (query.action is None or entry.fact.action == query.action)
        and (query.since is None or entry.fact.at >= query.since)
        and (query.until is None or entry.fact.at < query.until)
    )


def _is_past(partition: str, query: AuditParameters) -> bool:
    """Whether neither the partition nor any before it can hold a wanted entry."""
    return query.since is not None and hour_of(partition) + _DISORDER < query.since


async def _all_entries(partition: str, services: Services) -> list[AuditEntry]:
    """In order of sequence."""
    found: list[AuditEntry] = []
    before = _ALL
    while True:
        page = await services.audit.entries(partition, before, _READ_AT_ONCE)
        found += page
        if len(page) < _READ_AT_ONCE:
            return found[::-1]
        before = page[-1].sequence


def _onwards(heads: Sequence[Head], entries: Sequence[AuditEntry]) -> list[Head]:
    """Where to go on: the heads, and what a first entry among ``entries`` follows; each partition once."""
    known = {head.partition: head for head in heads}
    for head in (head for entry in entries for head in entry.follows):
        known[head.partition] = max(head, known.get(head.partition, head), key=lambda each: each.count)
    return list(known.values())


def _cursor(heads: Sequence[Head], before: int) -> str:
    position = {"heads": [[head.partition, head.count, head.hash] for head in heads], "before": before}
    return base64.urlsafe_b64encode(orjson.dumps(position)).decode()


async def _position(tenant: str, cursor: str | None, services: Services) -> tuple[list[Head], int]:
    """Which partitions come next, and below which sequence the first of them is to be read."""
    if cursor is None:
        return [Head(partition) for partition in await services.audit.newest(TenantId(tenant))], _ALL
    try:
        position = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        heads = [Head(str(partition), int(count), str(digest)) for partition, count, digest in position["heads"]]
        before = int(position["before"])
        for head in heads:
            hour_of(head.partition)
    except (binascii.Error, ValueError, TypeError, KeyError, IndexError) as error:
        raise _not_a_cursor() from error
    if any(head.partition.split(":")[0] != tenant for head in heads):
        raise _not_a_cursor()
    return heads, before


def _not_a_cursor() -> InvalidSubmission:
    return InvalidSubmission([FieldError("/cursor", "is not one of an earlier answer")])
