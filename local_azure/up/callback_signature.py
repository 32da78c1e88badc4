"""Verifies a callback the way any consumer can: Standard Webhooks, HMAC-SHA256 over `id.timestamp.body`.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md ("Signature scheme").
Independent of the code that signs.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

_TOLERANCE_SECONDS = 300


def is_authentic(headers: Mapping[str, str], body: str, secret: str, *, now: float) -> bool:
    """Whether a signature in `webhook-signature` is right and its timestamp within 5 minutes of `now`, unix seconds."""
    names = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp = names.get("webhook-id", ""), names.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > _TOLERANCE_SECONDS:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    expected = f"v1,{base64.b64encode(digest).decode()}"
    given = names.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected.encode(), one.encode()) for one in given)
