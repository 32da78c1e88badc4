"""Signs and verifies webhooks as Standard Webhooks 1.0.0 says; both directions of the service use it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (read 2026-11-24), symmetric
scheme only: HMAC-SHA256 over ``{id}.{timestamp}.{body}``. The specification forbids full stops in ids that a user
controls; ours contain full stops but no consumer or customer can choose them.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
TOLERANCE = timedelta(minutes=5)  # the specification leaves the figure open; its reference libraries use five minutes

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the specification's marker, no secret
_VERSION = "v1"
_LATEST_TIMESTAMP = 253402300799  # 9999-12-31T23:59:59Z: datetime ends there


class SignatureInvalid(ValueError):
    """A webhook is not signed with one of our secrets, or is too old or too new."""


def decode_secret(secret: str) -> bytes:
    """The key inside ``whsec_<base64>``.

    Raises:
        ValueError: the prefix is missing, or what follows is not base64 or is empty.
    """
    encoded = secret.removeprefix(_SECRET_PREFIX)
    if encoded == secret or not encoded:
        raise ValueError("a webhook secret starts with whsec_ and goes on in base64")
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is base64 after whsec_") from error


def sign(secrets: Sequence[str], message_id: str, timestamp: datetime, body: bytes) -> str:
    """The value of ``webhook-signature``: one ``v1`` entry per secret, separated by spaces.

    Args:
        secrets: every secret the receiver may hold, newest first; several while secrets rotate.
        message_id: the value of ``webhook-id``.
        timestamp: when the attempt is made; aware, of any zone; send it as whole Unix seconds.
        body: the exact bytes of the request's body.

    Raises:
        ValueError: no secret, a malformed secret, or a naive timestamp.
    """
    if not secrets:
        raise ValueError("signing needs at least one secret")
    content = _signed_content(message_id, str(unix_seconds(timestamp)), body)
    return " ".join(f"{_VERSION},{_signature(decode_secret(secret), content).decode()}" for secret in secrets)


def signed_headers(secrets: Sequence[str], message_id: str, timestamp: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a signed webhook; arguments and errors are those of ``sign``."""
    return {
        ID_HEADER: message_id,
        TIMESTAMP_HEADER: str(unix_seconds(timestamp)),
        SIGNATURE_HEADER: sign(secrets, message_id, timestamp, body),
    }


def unix_seconds(instant: datetime) -> int:
    """Whole seconds since 1970 of an aware instant, whatever its zone.

    Raises:
        ValueError: ``instant`` is naive.
    """
    if instant.tzinfo is None:
        raise ValueError("a timestamp needs its time zone")
    return int(instant.timestamp())


def verify(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime, tolerance: timedelta = TOLERANCE
) -> None:
    """Nothing when any of the signatures was made with any of the secrets, and the time stamp is near ``now``.

    Entries of unknown versions and entries that are no ``version,signature`` pair are passed over, as the
    specification allows others to stand beside ours.

    Args:
        secrets: the secrets that are valid now.
        headers: the request's headers, names in lower case.
        body: the request's body as it came.
        now: this instant, aware.
        tolerance: how far the time stamp may lie before or after ``now``.

    Raises:
        SignatureInvalid: in every other case.
        ValueError: a secret is malformed.
    """
    message_id, timestamp = headers.get(ID_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
    if not message_id:
        raise SignatureInvalid("webhook-id is missing")
    _require_fresh(timestamp, now, tolerance)
    content = _signed_content(message_id, timestamp, body)
    expected = [_signature(decode_secret(secret), content) for secret in secrets]
    presented = _presented(headers.get(SIGNATURE_HEADER, ""))
    # All pairs are compared, without a short cut, so the time taken says nothing about which of them was close.
    matches = [hmac.compare_digest(own, theirs) for own in expected for theirs in presented]
    if not any(matches):
        raise SignatureInvalid("no signature was made with a secret of ours")


def _presented(header: str) -> list[bytes]:
    entries = (entry.partition(",") for entry in header.split(" "))
    return [value.encode() for version, comma, value in entries if version == _VERSION and comma]


def _require_fresh(timestamp: str, now: datetime, tolerance: timedelta) -> None:
    if not (timestamp.isascii() and timestamp.isdecimal()) or len(timestamp) > len(str(_LATEST_TIMESTAMP)):
        raise SignatureInvalid("webhook-timestamp is not a number of seconds")
    stamped = datetime.fromtimestamp(min(int(timestamp), _LATEST_TIMESTAMP), UTC)
    if abs(now - stamped) > tolerance:
        raise SignatureInvalid("webhook-timestamp is too far from now")


def _signed_content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _signature(key: bytes, content: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256))
