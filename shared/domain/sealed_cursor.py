"""Cursors that only we can make, for one purpose: which page of which list comes next.

Takes what to remember and the list it belongs to, gives text for a URL. A cursor that was changed, or that belongs to
another tenant or another question, opens to nothing.
"""

import base64
import binascii
import hashlib
import hmac

_SEAL_BYTES = 12


def seal(secret: bytes, scope: str, text: str) -> str:
    """A cursor that holds ``text`` and is good for ``scope`` only."""
    return base64.urlsafe_b64encode(_mark(secret, scope, text) + text.encode()).decode()


def unseal(secret: bytes, scope: str, cursor: str) -> str | None:
    """What a cursor holds; None when it is not one of ours, or of another scope."""
    try:
        raw = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
        text = raw[_SEAL_BYTES:].decode()
    except (binascii.Error, ValueError):
        return None
    return text if hmac.compare_digest(raw[:_SEAL_BYTES], _mark(secret, scope, text)) else None


def _mark(secret: bytes, scope: str, text: str) -> bytes:
    return hmac.digest(secret, f"cursor\n{scope}\n{text}".encode(), hashlib.sha256)[:_SEAL_BYTES]
