"""API keys: what they look like, what is kept of them, and what each kind may do.

``cns_live_`` (or ``team_``, ``test_``), 12 letters and digits that name the key, 32 that are its secret (190 bits from
the system's random source), and 6 that are a CRC-32 of all before: a secret scanner finds the prefix and can tell a
key from a look-alike without asking, and a mistyped one costs nobody a look into the store.

A secret of 190 random bits can't be guessed from its SHA-256, so neither salt nor a slow hash is needed; only that hash
is kept. While a key is rotated, two secrets of it are valid.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.address import Address
from shared.domain.identifiers import TenantId

MAX_KEYS = 50  # of a tenant, without those revoked
MAX_RECIPIENTS = 100  # of a team key
PREFIX = "cns_"
_ALPHABET = string.digits + string.ascii_letters
_ID_LENGTH, _SECRET_LENGTH, _CHECK_LENGTH = 12, 32, 6
_KEY = re.compile(r"cns_(live|team|test)_([0-9A-Za-z]{12})[0-9A-Za-z]{32}([0-9A-Za-z]{6})")
_ID = re.compile(r"[0-9A-Za-z]{12}")
_NO_ADDRESS = {"platform"}  # what an address holds beside what reaches somebody


class KeyKind(StrEnum):
    """What a key may do."""

    LIVE = "live"
    TEAM = "team"  # sends for real, to a list of recipients only
    TEST = "test"  # everything happens but the sending


@dataclass(frozen=True, slots=True)
class KeyDigest:
    """The hash of one secret of a key, and until when it is valid where that is decided."""

    digest: str = field(repr=False)
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as it is kept. ``digests`` are newest first; ``recipients`` are marks, see ``recipient_mark``."""

    id: str
    tenant_id: TenantId
    kind: KeyKind
    name: str
    roles: frozenset[str]
    digests: tuple[KeyDigest, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    recipients: frozenset[str] = frozenset()
    version: str = ""

    def admits(self, presented: str, now: datetime) -> bool:
        """Whether ``presented`` is a secret of this key that is valid now."""
        shown = digest_of(presented)
        # A list, not a generator: any() would stop at the first that fits.
        fits = [hmac.compare_digest(each.digest, shown) for each in self.digests if not each.until or now < each.until]
        return any(fits) and self.is_active(now)

    def is_active(self, now: datetime) -> bool:
        """Whether any secret of it may be valid now."""
        return self.revoked_at is None and now < self.expires_at

    def rotated(self, digest: str, old_until: datetime) -> "ApiKey":
        """The key with a new secret. The one before it is valid until then, older ones no more."""
        kept = replace(self.digests[0], until=old_until)
        return replace(self, digests=(KeyDigest(digest), kept))


def new_key(kind: KeyKind, key_id: str | None = None) -> tuple[str, str]:
    """A key's id and the key; another secret for the same id when that is given."""
    name = key_id or _random(_ID_LENGTH)
    body = f"{PREFIX}{kind}_{name}{_random(_SECRET_LENGTH)}"
    return name, body + _checksum(body)


def id_in(presented: str) -> str | None:
    """The id that a key names; None when it is no key of ours, or mistyped."""
    found = _KEY.fullmatch(presented)
    if found is None or _checksum(presented[:-_CHECK_LENGTH]) != found[3]:
        return None
    return found[2]


def is_id(text: str) -> bool:
    """Whether ``text`` may be a key's id."""
    return _ID.fullmatch(text) is not None


def digest_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def recipient_mark(secret: bytes, tenant: str, recipient: str) -> str:
    """What is kept of a recipient of a team key: enough to know it again, not enough to read it."""
    text = recipient.lower() if "@" in recipient else recipient  # mailboxes: no provider tells letters by their case
    return hmac.digest(secret, f"team\n{tenant}\n{text}".encode(), hashlib.sha256).hex()[:32]


def texts_of(address: Address) -> Iterator[str]:
    """Everything in an address that reaches somebody: a mailbox, a number, a URL, each device's token."""
    waiting: list[object] = [address.stored()]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, list | tuple):
            waiting += part
        elif isinstance(part, dict):
            waiting += [value for name, value in part.items() if name not in _NO_ADDRESS]


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    rest, letters = zlib.crc32(text.encode()), []
    for _ in range(_CHECK_LENGTH):
        rest, letter = divmod(rest, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return "".join(reversed(letters))
