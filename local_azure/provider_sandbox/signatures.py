"""The three ways receipts and callbacks are signed.

SendGrid Signed Event Webhook (ECDSA P-256, SHA-256, over timestamp and raw body; the sendgrid package's `EventWebhook`
verifies it), Twilio request signature (HMAC-SHA1 over the URL and the sorted form fields; the twilio package's
`RequestValidator`), and Standard Webhooks (https://www.standardwebhooks.com, HMAC-SHA256 over id.timestamp.body).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

STANDARD_WEBHOOKS_TOLERANCE_SECONDS = 300


class SigningKeyError(ValueError):
    """A key or secret cannot be used; the message says why."""


def load_sendgrid_key(pem: str) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in the PEM text. Raises: SigningKeyError."""
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise SigningKeyError(f"not a PEM private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise SigningKeyError("the key is not on the curve P-256")
    return key


def sendgrid_signature(key: ec.EllipticCurvePrivateKey, timestamp: str, body: bytes) -> str:
    return base64.b64encode(key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()


def twilio_signature(token: str, url: str, fields: Mapping[str, str]) -> str:
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def webhook_key(secret: str) -> bytes:
    """The key inside a whsec_… secret. Raises: SigningKeyError."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise SigningKeyError("a webhook secret is base64, with or without whsec_ before it") from error
    if not key:
        raise SigningKeyError("a webhook secret is not empty")
    return key


def standard_webhook_signature(key: bytes, webhook_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def is_signed_by(key: bytes, headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """True when one of the signatures in `headers` is the key's and the timestamp is at most five minutes off."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not webhook_id or not timestamp.isdigit() or abs(now - int(timestamp)) > STANDARD_WEBHOOKS_TOLERANCE_SECONDS:
        return False
    expected = standard_webhook_signature(key, webhook_id, timestamp, body)
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in given)
