"""The token in a link by which whoever has an address says no, without signing in.

It names the tenant, the category, the channel and the address's mark (suppressed_address.py), never the address or the
customer, and is signed: nobody can make one for somebody else's address. It has no end: mail is read years later, and
the law asks for a month at least.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from shared.domain.suppressed_address import AddressMark

_VERSION = "1"
_PURPOSE = b"unsubscribe link v1"  # the key is no other purpose's
_SIGNATURE_BYTES = 16
MAX_TOKEN_LENGTH = 512


@dataclass(frozen=True, slots=True)
class UnsubscribeLink:
    """What a token stands for: no more of ``category`` to the address on ``channel``."""

    tenant: str
    channel: str
    category: str
    mark: AddressMark


def key_of(secret: bytes) -> bytes:
    """The key that tokens are signed with."""
    return hmac.digest(secret, _PURPOSE, hashlib.sha256)


def token_of(link: UnsubscribeLink, key: bytes) -> str:
    """The token, in characters that need no escape in a URL."""
    said = f"{link.tenant}\n{link.channel}\n{link.category}\n{link.mark.name}".encode()
    return f"{_VERSION}.{_encoded(said)}.{_encoded(_signature(said, key))}"


def read_token(token: str, key: bytes) -> UnsubscribeLink | None:
    """What the token stands for; None when we never made it."""
    version, _, rest = token.partition(".")
    said, _, signature = rest.partition(".")
    if version != _VERSION or len(token) > MAX_TOKEN_LENGTH or not token.isascii():
        return None
    try:
        content, presented = _decoded(said), _decoded(signature)
    except (binascii.Error, ValueError):
        return None
    if not hmac.compare_digest(presented, _signature(content, key)):
        return None
    tenant, channel, category, mark = content.decode().split("\n")
    return UnsubscribeLink(tenant, channel, category, AddressMark(int(mark[:2], 16), mark[2:]))


def _signature(said: bytes, key: bytes) -> bytes:
    return hmac.digest(key, said, hashlib.sha256)[:_SIGNATURE_BYTES]


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
