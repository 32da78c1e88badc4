"""Find notifications: the index is kept up from the change feed, and lists are read from it.

``index`` takes changed documents as the feed shows them; each notification gets one entry, the first time it is seen.
Lists take their order from the index and everything else from the notifications themselves, so a status in a list is
never older than the request; a notification is in lists about a second after it was accepted.
"""

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.contracts.timeline_api import ListedDelivery, ListedNotification, ListParameters, NotificationPageView
from shared.domain.errors import FieldError, InvalidSubmission
from shared.domain.identifiers import TenantId, TrackingId, instant_of, is_tracking_id
from shared.domain.notification import Notification
from shared.domain.sealed_cursor import seal, unseal
from shared.domain.status import roll_up
from shared.domain.timeline import (
    KEPT,
    Entry,
    Page,
    Wanted,
    customer_term,
    partition_of_day,
    reference_term,
    template_term,
    window_of,
)
from shared.pipeline.services import Services
from shared.ports import Caller

logger = logging.getLogger(__name__)

READ_FOR_A_PAGE = 500  # notifications looked at, so that a search for a rare status can't hold a request
PAGES_AT_ONCE = 100  # of the index
_DAY = timedelta(days=1)
_SKEW = timedelta(minutes=1)  # another process's clock may be ahead


async def index(documents: Iterable[Mapping[str, Any]], services: Services) -> int:
    """How many notifications were new to this process. Raises StoreUnavailable: the feed should show them again."""
    fresh: dict[TenantId, list[Entry]] = defaultdict(list)
    for document in documents:
        if document["type"] == "notification" and document["id"] not in services.recently_indexed:
            fresh[TenantId(document["tenantId"])].append(_entry_of(document, services))
    for tenant, entries in fresh.items():
        await services.timeline.add(tenant, entries)
        for entry in entries:
            services.recently_indexed.add(entry.tracking_id)
    return sum(map(len, fresh.values()))


def _entry_of(document: Mapping[str, Any], services: Services) -> Entry:
    """By the stored document itself: to read it as a notification would cost ten times as much."""
    tenant = TenantId(document["tenantId"])
    customer_id, reference, template = (document.get(name) for name in ("customerId", "reference", "template"))
    return Entry(
        TrackingId(document["id"]), _terms(tenant, customer_id, reference, template and template["id"], services)
    )


def _terms(
    tenant: TenantId, customer_id: str | None, reference: str | None, template: str | None, services: Services
) -> tuple[str, ...]:
    terms = []
    if customer_id:
        terms.append(customer_term(services.bucket_secret, tenant, customer_id))
    if reference:
        terms.append(reference_term(services.bucket_secret, tenant, reference))
    if template:
        terms.append(template_term(template))
    return tuple(terms)


@dataclass(frozen=True, slots=True)
class _Search:
    """What is looked for among one tenant's notifications, newest first, all of ``before`` excluded."""

    tenant: TenantId
    terms: tuple[str, ...]
    since: datetime
    until: datetime
    before: TrackingId | None = None


async def list_notifications(query: ListParameters, caller: Caller, services: Services) -> NotificationPageView:
    """The next notifications, newest first, and where to go on. A page may be empty and have a next one.

    Raises:
        InvalidSubmission: the cursor is none of ours, or of another question.
    """
    scope = _scope(query, caller)
    search = _search(query, caller, scope, services)
    found: list[Notification] = []
    last: TrackingId | None = None
    read = 0
    async for ids in _in_portions(search, query.limit, services):
        known = await services.timeline.read_all(caller.tenant_id, ids)
        for tracking_id in ids:
            last, read = tracking_id, read + 1
            notification = known.get(tracking_id)
            if notification and query.status in {None, _status_of(notification)}:
                found.append(notification)
            if len(found) == query.limit:
                break
        if len(found) == query.limit or read >= READ_FOR_A_PAGE:
            return _page(found, seal(services.bucket_secret, scope, last or ""))
    return _page(found, None)


def _page(found: Sequence[Notification], cursor: str | None) -> NotificationPageView:
    return NotificationPageView(notifications=[_listed(notification) for notification in found], next=cursor)


def _scope(query: ListParameters, caller: Caller) -> str:
    """The question that a cursor belongs to; how many are wanted at a time may change from page to page."""
    question = query.model_dump_json(exclude={"cursor", "limit"})
    return f"notifications\n{caller.tenant_id}\n{question}"


def _search(query: ListParameters, caller: Caller, scope: str, services: Services) -> _Search:
    before: TrackingId | None = None
    if query.cursor is not None:
        opened = unseal(services.bucket_secret, scope, query.cursor)
        if opened is None or not is_tracking_id(opened):
            raise InvalidSubmission([FieldError("/cursor", "is not one of an earlier answer to this question")])
        before = TrackingId(opened)
    now = services.clock.now()
    return _Search(
        tenant=caller.tenant_id,
        terms=_terms(caller.tenant_id, query.customer_id, query.reference, query.template, services),
        since=max(query.since or now - KEPT, now - KEPT),
        until=min(query.until or now + _SKEW, now + _SKEW),
        before=before,
    )


async def _in_portions(search: _Search, size: int, services: Services) -> AsyncIterator[list[TrackingId]]:
    portion: list[TrackingId] = []
    async for tracking_id in _newest_first(search, services):
        portion.append(tracking_id)
        if len(portion) == size:
            yield portion
            portion = []
    if portion:
        yield portion


async def _newest_first(search: _Search, services: Services) -> AsyncIterator[TrackingId]:
    """The ids that the search is for, as the index has them, newest first."""
    newest = min(search.until, instant_of(search.before)) if search.before else search.until
    day = newest
    while partition_of_day(search.tenant, day) >= partition_of_day(search.tenant, search.since):
        partition = partition_of_day(search.tenant, day)
        wanted = Wanted(partition, window_of(search.since), window_of(newest), search.terms)
        async for page in _windows(wanted, services):
            for tracking_id in _ids_on(page, search):
                yield tracking_id
        day -= _DAY


async def _windows(wanted: Wanted, services: Services) -> AsyncIterator[list[Page]]:
    """The pages of each window together, newest window first."""
    limit = PAGES_AT_ONCE
    while True:
        pages = await services.timeline.newest(wanted, limit)
        is_cut = len(pages) == limit
        # The last window of a cut answer may lack pages; it comes again with the next one.
        last = pages[-1].window if is_cut else ""
        by_window: dict[str, list[Page]] = defaultdict(list)
        for page in pages:
            by_window[page.window].append(page)
        by_window.pop(last, None)
        for together in by_window.values():
            yield together
        if not is_cut:
            return
        limit = PAGES_AT_ONCE if by_window else limit * 4
        wanted = Wanted(wanted.partition, wanted.oldest, last, wanted.terms)


def _ids_on(pages: Sequence[Page], search: _Search) -> list[TrackingId]:
    terms = set(search.terms)
    return sorted(
        (
            entry.tracking_id
            for page in pages
            for entry in page.entries
            if terms.issubset(entry.terms)
            and (search.before is None or entry.tracking_id < search.before)
            and search.since <= instant_of(entry.tracking_id) < search.until
        ),
        reverse=True,
    )


def _status_of(notification: Notification) -> str:
    """The whole notification in one word."""
    return roll_up(delivery.status for delivery in notification.deliveries.values())


def _listed(notification: Notification) -> ListedNotification:
    """The notification as a list shows it."""
    return ListedNotification(
        tracking_id=notification.tracking_id,
        status=_status_of(notification),
        created_at=notification.created_at,
        priority=notification.lane.value,
        category=notification.category.value,
        customer_id=notification.customer_id,
        reference=notification.reference,
        template=notification.template.id if notification.template else None,
        deliveries=[
            ListedDelivery(
                channel=delivery.channel,
                status=delivery.status.value,
                reason=delivery.reason,
                provider=delivery.provider,
            )
            for delivery in notification.deliveries.values()
        ],
        links={
            "self": f"/api/v1/notifications/{notification.tracking_id}",
        },
    )
