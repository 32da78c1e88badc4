"""Personal fields as they are stored: sealed under a data key, so that the store holds nothing that can be read.

A *sealer* is one data key (adapters/data_key.py). What it seals is bound to its place: tenant, customer, field,
document. On a document it is ``sealed``: ``{"by": <data key>, "box": <text>}``.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import orjson

from shared.domain.identifiers import TenantId

WEEK = timedelta(days=7)
PROFILES = "profiles"  # the data key of what has no end: profiles live until they are deleted
_WEEK_SECONDS = int(WEEK.total_seconds())


class Sealer(Protocol):
    """One data key."""

    @property
    def id(self) -> str:
        """Which key it is, among the tenant's."""
        ...

    def seal(self, plain: bytes, context: str) -> str:
        """``plain``, sealed for ``context``."""
        ...

    def open(self, sealed: str, context: str) -> bytes:
        """What was sealed. Raises ValueError when it was not sealed with this key, for this place."""
        ...


class Keyring(Protocol):
    """The data keys, as a process knows them. What is not known yet is fetched; that may raise StoreUnavailable."""

    def known(self, tenant: TenantId, key_id: str) -> Sealer | None:
        """The key, if this process has it already."""
        ...

    async def to_seal(self, tenant: TenantId, key_id: str) -> Sealer:
        """The key, made if there is none; while it can't be had, the newest known one."""
        ...

    async def to_open(self, tenant: TenantId, key_id: str) -> Sealer | None:
        """The key; None when it was destroyed."""
        ...


def week_of(instant: datetime) -> str:
    """The data key of the week that ``instant`` is in; weeks are counted from the beginning of 1970, a Thursday."""
    return f"w{int(instant.timestamp()) // _WEEK_SECONDS}"


def next_week(key_id: str) -> str:
    """The data key of the week after."""
    return f"w{int(key_id[1:]) + 1}"


def is_week(key_id: str) -> bool:
    """Whether it is the key of a week, which is destroyed one day."""
    return key_id[:1] == "w" and key_id[1:].isdecimal()


def end_of(key_id: str) -> datetime:
    """When the key's week is over, and nothing is sealed with it any more."""
    return datetime.fromtimestamp((int(key_id[1:]) + 1) * _WEEK_SECONDS, UTC)


def context_of(tenant: str, customer: str | None, field: str, document: str) -> str:
    """The place that a sealed text is bound to. No part of it holds a line break but, perhaps, the last."""
    return f"{tenant}\n{field}\n{document}\n{customer or ''}"


def sealed_part(part: Mapping[str, Any], place: str, sealer: Sealer) -> dict[str, Any]:
    """What a document has instead of ``part``."""
    return {"sealed": {"by": sealer.id, "box": sealer.seal(orjson.dumps(part), place)}}


def opened_part(document: Mapping[str, Any], place: str, sealer: Sealer) -> dict[str, Any]:
    """The part that is sealed on the document. Raises ValueError when the sealer does not open it there."""
    part: dict[str, Any] = orjson.loads(sealer.open(document["sealed"]["box"], place))
    return part


def sealed_by(document: Mapping[str, Any]) -> str | None:
    """The data key that opens the document; None when there is nothing to open."""
    sealed = document.get("sealed")
    return sealed["by"] if sealed else None
