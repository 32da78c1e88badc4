"""Idempotency keys: what is remembered, so that a repeated request gets the first one's answer."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.identifiers import PartitionKey, TenantId

RESUME_AFTER = timedelta(seconds=30)  # a batch that nobody has touched for so long was abandoned and may be resumed


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is remembered for an idempotency key, for 24 hours.

    ``answer`` is the answer to replay; empty while the request is still being worked on (batches only).
    ``plan`` is what a resumed batch needs to make the same ids again.
    """

    id: str
    tenant_id: TenantId
    partition_key: PartitionKey
    body_digest: str
    created_at: datetime
    touched_at: datetime
    answer: str = ""
    plan: str = ""
    etag: str | None = None


class KeyTaken(Exception):
    """The idempotency key is already recorded, by this request's earlier try or by another."""


def key_id(key: str) -> str:
    """The id of a key's record; a digest, so that any text makes a legal document id."""
    return f"key-{hashlib.sha256(key.encode()).hexdigest()}"


def digest_of(body: bytes) -> str:
    """What tells one request body from another, byte by byte."""
    return hashlib.sha256(body).hexdigest()
