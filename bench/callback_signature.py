"""Whether a callback was signed by the service: Standard Webhooks, checked without any code of the service.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def is_authentic(secret: str, callback: Sequence[str]) -> bool:
    """``callback`` is (webhook-id, timestamp, signature, body); ``secret`` begins with ``whsec_``."""
    webhook_id, timestamp, signature, body = callback
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, f"{webhook_id}.{timestamp}.{body}".encode(), hashlib.sha256)).decode()
    return f"v1,{expected}" in signature.split()
