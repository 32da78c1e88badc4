"""The three ways receipts and callbacks are signed.

SendGrid Signed Event Webhook (ECDSA P-256, SHA-256, over timestamp and raw body; the sendgrid package's `EventWebhook`
verifies it), Twilio request signature (HMAC-SHA1 over the URL and the sorted form fields; the twilio package's
`RequestValidator`), and Standard Webhooks (https://www.standardwebhooks.com, HMAC-SHA256 over id.timestamp.body).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

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


def webhook_keys(secrets: str) -> tuple[bytes, ...]:
    """The keys inside whsec_… secrets, several separated by spaces while they rotate. Raises: SigningKeyError."""
    try:
        keys = tuple(base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in secrets.split())
    except binascii.Error as error:
        raise SigningKeyError("a webhook secret is base64, with or without whsec_ before it") from error
    if not keys or not all(keys):
        raise SigningKeyError("a webhook secret is not empty")
    return keys


def standard_webhook_signatures(keys: Sequence[bytes], webhook_id: str, timestamp: str, body: bytes) -> str:
    """The signature header's value: one signature per key."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)


def is_signed_by(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float) -> bool:
    """True when one of the signatures in `headers` is one of the keys' and at most five minutes old."""
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not webhook_id or not timestamp.isdigit() or abs(now - int(timestamp)) > STANDARD_WEBHOOKS_TOLERANCE_SECONDS:
        return False
    expected = standard_webhook_signatures(keys, webhook_id, timestamp, body).split()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(own.encode(), other.encode()) for own in expected for other in given)
