"""Look at dead letters: list them by page, count them by tag, read one with its whole story.

A caller sees its own tenant's. An operator (role Operations.Read) sees those of all tenants, or of the one it names,
and the messages that belong to nobody (``_bus``).
"""

import base64
import binascii
from datetime import datetime, timedelta

import orjson

from shared.contracts.dead_letter_documents import position_of
from shared.contracts.dead_letters_api import (
    CountParameters,
    DeadLetterCountsView,
    DeadLetterPageView,
    DeadLetterView,
    ListParameters,
)
from shared.domain.dead_letter import DeadLetter, Selection, Tag, day_of
from shared.domain.errors import FieldError, InvalidSubmission, NotFound
from shared.domain.identifiers import TenantId
from shared.pipeline.services import Services
from shared.ports import Caller

USUAL_RANGE = timedelta(days=14)  # where no ``from`` is given
PAGE_LETTERS = 50
PAGE_DAYS = 14  # looked at for one page, so that a search for what is rare can't hold a request
READS_ALL, CHANGES_ALL = "Operations.Read", "Operations.Write"


def scope_of(caller: Caller, tenant: str | None, wide_role: str) -> TenantId | None:
    """The tenant whose dead letters are meant; None for all. Raises NotFound: not the caller's to name."""
    if wide_role in caller.roles:
        return TenantId(tenant) if tenant else None
    if tenant not in {None, caller.tenant_id}:
        raise NotFound(str(tenant))
    return caller.tenant_id


async def list_letters(query: ListParameters, caller: Caller, services: Services) -> DeadLetterPageView:
    """The next letters, newest first, and where to go on. A page may be empty and have a next one.

    Raises:
        InvalidSubmission: the cursor is none of ours.
        NotFound: the tenant is not the caller's.
    """
    selection = _selection(query, scope_of(caller, query.tenant, READS_ALL), services)
    day, before = _position(query.cursor) if query.cursor else (day_of(selection.until), None)
    found: list[DeadLetter] = []
    for _ in range(PAGE_DAYS):
        if day < day_of(selection.since):
            return _page(found, None)
        found += await services.dead_letters.newest(selection, day, before, PAGE_LETTERS - len(found))
        if len(found) == PAGE_LETTERS:
            return _page(found, (found[-1].day, position_of(found[-1])))
        day, before = _day_before(day), None
    return _page(found, (day, None))


async def count_letters(query: CountParameters, caller: Caller, services: Services) -> DeadLetterCountsView:
    """How many letters there are of each tag. Raises NotFound: the tenant is not the caller's."""
    everything = _selection(query, scope_of(caller, query.tenant, READS_ALL), services)
    counts = {tag.value: await services.dead_letters.count(_narrowed(everything, tag, is_open=True)) for tag in Tag}
    return DeadLetterCountsView(
        since=everything.since,
        until=everything.until,
        open={tag: count for tag, count in counts.items() if count},
        replayed=await services.dead_letters.count(_narrowed(everything, None, is_open=False)),
    )


async def read_letter(letter_id: str, tenant: str | None, caller: Caller, services: Services) -> DeadLetterView:
    """One letter with its whole story. Raises NotFound, also for what is another tenant's."""
    scope = scope_of(caller, tenant, READS_ALL) or caller.tenant_id
    letter = await services.dead_letters.read(scope, checked_id(letter_id))
    return DeadLetterView.of(letter, with_attempts=True)


def checked_id(letter_id: str) -> str:
    """The id, whose day is part of the store's address from here on. Raises NotFound."""
    day, dot, name = letter_id.partition(".")
    if not (dot and name and day.isascii() and day.isdecimal()):
        raise NotFound(letter_id)
    return letter_id


def _narrowed(selection: Selection, tag: Tag | None, *, is_open: bool) -> Selection:
    return Selection(
        selection.tenant, selection.since, selection.until, tag, selection.channel, selection.template, is_open
    )


def _selection(query: CountParameters, tenant: TenantId | None, services: Services) -> Selection:
    until = query.until or services.clock.now() + timedelta(seconds=1)
    tag, state = (query.tag, query.state) if isinstance(query, ListParameters) else (None, "all")
    return Selection(
        tenant=tenant,
        since=query.since or until - USUAL_RANGE,
        until=until,
        tag=tag,
        channel=query.channel,
        template=query.template,
        is_open=None if state == "all" else state == "open",
    )


def _page(letters: list[DeadLetter], position: tuple[str, str | None] | None) -> DeadLetterPageView:
    cursor = base64.urlsafe_b64encode(orjson.dumps(position)).decode() if position else None
    return DeadLetterPageView(letters=[DeadLetterView.of(letter) for letter in letters], next=cursor)


def _position(cursor: str) -> tuple[str, str | None]:
    try:
        day, before = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        _day_before(day)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidSubmission([FieldError("/cursor", "is not one of an earlier answer")]) from error
    if not isinstance(before, str | None):
        raise InvalidSubmission([FieldError("/cursor", "is not one of an earlier answer")])
    return day, before


def _day_before(day: str) -> str:
    return day_of(datetime.strptime(f"{day}+0000", "%Y%m%d%z") - timedelta(days=1))
