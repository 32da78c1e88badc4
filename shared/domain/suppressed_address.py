"""Addresses that must not be sent to, known by hash only: enough to refuse them, not enough to read them back.

A tenant's hashes lie in ``SHARDS`` lists, by the first byte of the hash, so that a process which has met all lists once
knows every suppressed address without asking again.
"""

import hashlib
import hmac
from dataclasses import dataclass

from shared.domain.address import Address, Devices, EmailAddress, PhoneNumber

SHARDS = 256
_KEPT_BYTES = 12  # of the hash beside the shard's: 96 bits, so a false hit among 10 million addresses has odds of 1e-22


@dataclass(frozen=True, slots=True)
class AddressMark:
    """One address on one channel, as the register knows it."""

    shard: int
    digest: str

    @property
    def name(self) -> str:
        """Both in one word: two characters of the shard, then the digest."""
        return f"{self.shard:02x}{self.digest}"


def mark_of(
    secret: bytes, tenant: str, channel: str, address: Address, category: str | None = None
) -> AddressMark | None:
    """The mark of an address; None for kinds that are never suppressed: device tokens and URLs are no persons.

    With a ``category`` it stands for that category's messages to the address, else for all of the channel's.
    """
    text = _normalised(address)
    if text is None:
        return None
    scope = f"{channel}/{category}" if category else channel
    digest = hmac.digest(secret, f"{tenant}\n{scope}\n{text}".encode(), hashlib.sha256)
    return AddressMark(digest[0], digest[1 : 1 + _KEPT_BYTES].hex())


def _normalised(address: Address) -> str | None:
    match address:
        case EmailAddress(mailbox):
            return mailbox.lower()  # RFC 5321 lets the local part differ by case; no mailbox provider does
        case PhoneNumber(e164):
            return e164
        case Devices():
            return None
        case _:
            return None
