"""The change feed, latest-version mode: items in the order of their last change.

Takes where to start and which part of the hash space; gives one page and the etag to go on from. Updates collapse into
the last version and deletes do not appear. All-versions-and-deletes mode has another wire format and is refused.
Header meaning: protocol facts observed with azure-cosmos 4.17 ("Beginning" = no header, "Now" = `If-None-Match: *`,
a date = `If-Modified-Since` that an etag overrules).
"""

from email.utils import parsedate_to_datetime
from typing import NamedTuple

from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import bad_request

MAX_PAGE_BYTES = 4 * 1024 * 1024
_FROM_START = 0


class FeedPage(NamedTuple):
    """One page of changes; without documents nothing is new."""

    documents: list[bytes]
    etag: str


class FeedScope(NamedTuple):
    """The part of the hash space a feed reads, and the last LSN written in it."""

    low: str
    high: str
    last_lsn: int


def _start_lsn(if_none_match: bytes | None, current: int) -> int | None:
    """The LSN to start after; None when the header does not say."""
    if if_none_match is None:
        return None
    if if_none_match == b"*":
        return current
    try:
        return int(if_none_match.strip(b'"'))
    except ValueError as error:
        raise bad_request("If-None-Match of a change feed is an etag of an earlier page or '*'.") from error


def _since(if_modified_since: bytes | None) -> int:
    if not if_modified_since:
        return _FROM_START
    try:
        return int(parsedate_to_datetime(if_modified_since.decode()).timestamp())
    except ValueError as error:
        raise bad_request("If-Modified-Since is not an HTTP date.") from error


def read_changes(
    container: Container,
    scope: FeedScope,
    *,
    if_none_match: bytes | None,
    if_modified_since: bytes | None,
    page_size: int,
) -> FeedPage:
    """The next page of changes after a continuation."""
    start = _start_lsn(if_none_match, container.lsn)
    since = _since(if_modified_since) if start is None else _FROM_START
    after = start or 0
    if after >= scope.last_lsn:
        return FeedPage([], f'"{max(after, container.lsn)}"')
    now = int(container.store.clock())
    rows = container.table.changes(after, scope.low, scope.high, now=now, since=since, limit=page_size)
    documents: list[bytes] = []
    size = 0
    for lsn, body in rows:
        documents.append(b'%b,"_lsn":%d}' % (body[:-1], lsn))
        size += len(body)
        after = lsn
        if size > MAX_PAGE_BYTES:
            break
    else:
        if len(rows) < page_size:
            after = container.lsn
    return FeedPage(documents, f'"{after}"')
