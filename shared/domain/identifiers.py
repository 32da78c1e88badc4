"""Names of things: tracking ids, buckets, partition keys, attempt ids.

A tracking id is a ULID (https://github.com/ulid/spec): 48 bits of milliseconds, then 80 bits of which the first 16
are the *bucket* and the rest is random. The bucket, with the tenant, is the partition key of everything about the
notification, so an id alone is enough for a point read.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType
from uuid import NAMESPACE_OID, UUID, uuid5

TrackingId = NewType("TrackingId", str)
TenantId = NewType("TenantId", str)
PartitionKey = NewType("PartitionKey", str)
AttemptId = NewType("AttemptId", str)

BUCKET_BITS = 16  # 65,536 buckets a tenant: 13.5 TB in 90 days is about 0.2 GB each, far below Cosmos DB's 20 GB
_RANDOM_BITS = 80 - BUCKET_BITS
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
_TRACKING_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_FREE_BITS = 6  # at the top of a tracking id, whose 48 bits of milliseconds need 42 until the year 2109
_BELOW_FREE_BITS = 128 - _FREE_BITS
_ATTEMPT_NUMBER = re.compile(r"[1-9][0-9]{0,3}")
_VALUES = {character: value for value, character in enumerate(_CROCKFORD)}


def random_bucket() -> int:
    """A bucket for a request that names no idempotency key."""
    return secrets.randbits(BUCKET_BITS)


def bucket_of_key(secret: bytes, tenant: TenantId, key: str, part: int = 0) -> int:
    """The bucket that (tenant, idempotency key) always leads to; ``part`` counts the buckets of one batch."""
    digest = hmac.digest(secret, f"{tenant}\n{key}\n{part}".encode(), hashlib.sha256)
    return int.from_bytes(digest[: BUCKET_BITS // 8])


def new_tracking_id(now: datetime, bucket: int) -> TrackingId:
    """A fresh tracking id in ``bucket`` (0 to 65,535) whose time part is ``now``."""
    return _assemble(now, bucket, secrets.randbits(_RANDOM_BITS))


def derived_tracking_id(now: datetime, bucket: int, seed: str, index: int) -> TrackingId:
    """The tracking id of item ``index`` of the plan ``seed``: the same arguments always give the same id."""
    digest = hashlib.sha256(f"{seed}\n{index}".encode()).digest()
    return _assemble(now, bucket, int.from_bytes(digest[: _RANDOM_BITS // 8]))


def _assemble(now: datetime, bucket: int, tail: int) -> TrackingId:
    return _spelt((int(now.timestamp() * 1000) << 80) | (bucket << _RANDOM_BITS) | tail)


def _spelt(value: int) -> TrackingId:
    return TrackingId("".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)]))


def is_tracking_id(text: str) -> bool:
    """Whether ``text`` has the form of a tracking id (upper case Crockford base 32, 26 characters)."""
    return _TRACKING_ID.fullmatch(text) is not None


def _value_of(tracking_id: TrackingId) -> int:
    value = 0
    for character in tracking_id:
        value = (value << 5) | _VALUES[character]
    return value


def bucket_of(tracking_id: TrackingId) -> int:
    """The bucket inside a tracking id."""
    return (_value_of(tracking_id) >> _RANDOM_BITS) & ((1 << BUCKET_BITS) - 1)


def instant_of(tracking_id: TrackingId) -> datetime:
    """When the tracking id was made, to the millisecond."""
    return datetime.fromtimestamp((_value_of(tracking_id) >> 80) / 1000, UTC)


def partition_key(tenant: TenantId, bucket: int) -> PartitionKey:
    """The partition of a tenant's bucket in ``notification-tracking``."""
    return PartitionKey(f"{tenant}:{bucket:04x}")


def partition_of(tenant: TenantId, tracking_id: TrackingId) -> PartitionKey:
    """The partition that holds everything about one notification."""
    return partition_key(tenant, bucket_of(tracking_id))


@dataclass(frozen=True, slots=True)
class AttemptRef:
    """What an attempt id says: whose attempt, at which delivery, which try."""

    tenant: TenantId
    tracking_id: TrackingId
    channel: str
    number: int

    @property
    def attempt_id(self) -> AttemptId:
        """The name under which the provider knows this attempt; printable ASCII without spaces."""
        return AttemptId(f"{self.tenant}.{self.tracking_id}.{self.channel}.{self.number}")

    @classmethod
    def parse(cls, attempt_id: str) -> "AttemptRef | None":
        """The parts of an attempt id that came back from a provider; None when it is not one of ours."""
        parts = attempt_id.rsplit(".", 3)
        if len(parts) != 4 or not is_tracking_id(parts[1]) or not _ATTEMPT_NUMBER.fullmatch(parts[3]):  # noqa: PLR2004 - its four parts
            return None
        return cls(TenantId(parts[0]), TrackingId(parts[1]), parts[2], int(parts[3]))

    @property
    def as_uuid(self) -> UUID:
        """The attempt as a UUID, always the same, for vendors that take nothing else as a name.

        Up to attempt 63 it can be read back with ``from_uuid``; a later attempt gets a UUID that says nothing.
        """
        value = _value_of(self.tracking_id)
        if self.number >> _FREE_BITS or value >> _BELOW_FREE_BITS:
            return uuid5(NAMESPACE_OID, self.attempt_id)
        return UUID(int=self.number << _BELOW_FREE_BITS | value)

    @classmethod
    def from_uuid(cls, uuid: UUID, channel: str) -> "AttemptRef | None":
        """The attempt of ``channel`` behind a UUID, without its tenant, which a UUID has no room for.

        None when it can't be one of ours. A foreign UUID may look like ours; nobody has its tracking id then.
        """
        number = uuid.int >> _BELOW_FREE_BITS
        if number == 0:
            return None
        return cls(TenantId(""), _spelt(uuid.int & ((1 << _BELOW_FREE_BITS) - 1)), channel, number)
