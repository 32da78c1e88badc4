"""The index of notifications by time and by what they can be found by: entries, and the pages they lie on.

An entry is written once and never changes: what a notification is about is known when it is accepted, and where it
stands is read from the notification itself. Which page an entry lies on follows from its tracking id alone, so writing
it again, in any order and any company, changes nothing. Customers and references are kept as keyed codes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from shared.domain.identifiers import TenantId, TrackingId, instant_of, new_tracking_id
from shared.domain.quick_dataclass import quick_dataclass

KEPT = timedelta(days=90)  # as long as notifications are
_WINDOW = 8  # the first characters of a tracking id: 1,024 ms
_BUCKET = slice(10, 13)  # what was committed together lies in one bucket, and so on one page
_CODE_BYTES = 12
_MAX_KEY_BYTES = 64  # of BLAKE2b


@quick_dataclass(frozen=True, slots=True)
class Entry:
    """One notification in the index, with the terms it is found by."""

    tracking_id: TrackingId
    terms: tuple[str, ...]


@quick_dataclass(frozen=True, slots=True)
class Page:
    """Entries of one tenant that were accepted in the same second and bucket."""

    partition: str
    name: str
    entries: tuple[Entry, ...]

    @property
    def window(self) -> str:
        """The second it is about; later windows sort higher."""
        return self.name[:_WINDOW]


@quick_dataclass(frozen=True, slots=True)
class Wanted:
    """Pages of one day with an entry for each of ``terms``, from window ``oldest`` to ``newest``, both included."""

    partition: str
    oldest: str
    newest: str
    terms: tuple[str, ...] = ()


def customer_term(secret: bytes, tenant: TenantId, customer_id: str) -> str:
    """What a customer's notifications are found by."""
    return f"c:{_code(secret, tenant, customer_id)}"


def reference_term(secret: bytes, tenant: TenantId, reference: str) -> str:
    """What notifications with a reference of their consumer's are found by."""
    return f"r:{_code(secret, tenant, reference)}"


def template_term(template_id: str) -> str:
    """What notifications of a template are found by."""
    return f"t:{template_id}"


def _code(secret: bytes, tenant: TenantId, value: str) -> str:
    text = f"{tenant}\n{value}".encode()
    return hashlib.blake2b(text, key=secret[:_MAX_KEY_BYTES], digest_size=_CODE_BYTES).hexdigest()


def pages_of(tenant: TenantId, entries: Iterable[Entry]) -> Sequence[Page]:
    """The pages that the entries lie on, each with those of its entries that are among these."""
    by_place: dict[tuple[str, str], dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        id_ = entry.tracking_id
        by_place[partition_of_day(tenant, instant_of(id_)), id_[:_WINDOW] + id_[_BUCKET]][id_] = entry
    return [_page(partition, name, found) for (partition, name), found in by_place.items()]


def _page(partition: str, name: str, entries: Mapping[str, Entry]) -> Page:
    return Page(partition, name, tuple(entries[each] for each in sorted(entries)))


def merged(page: Page, more: Iterable[Entry]) -> Page:
    """The page with the entries it lacks, by tracking id."""
    return _page(page.partition, page.name, {entry.tracking_id: entry for entry in (*more, *page.entries)})


def partition_of_day(tenant: TenantId, instant: datetime) -> str:
    """The partition of a tenant's day."""
    return f"{tenant}:{instant.astimezone(UTC):%Y%m%d}"


def window_of(instant: datetime) -> str:
    """The window that an instant falls into."""
    return new_tracking_id(instant, 0)[:_WINDOW]
