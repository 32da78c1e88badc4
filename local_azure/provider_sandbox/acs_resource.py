"""Azure Communication Services: takes a request, says whether its signature is the access key's; shapes errors.

https://learn.microsoft.com/azure/communication-services/tutorials/hmac-header-tutorial and
https://learn.microsoft.com/rest/api/communication/errorcodes (read 2026-11). The error codes are those that published
projects have seen; Microsoft lists HTTP statuses only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import orjson

from local_azure.provider_sandbox.http_exchange import Reply, Request
from local_azure.provider_sandbox.settings import SettingsError

_SCHEME = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
_CLOCK_SECONDS = 15 * 60
_CODES = {
    400: "BadRequest",
    401: "Denied",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalServerError",
    502: "BadGateway",
    503: "ServiceUnavailable",
}


def access_key(name: str, connection: str) -> bytes:
    """The key in a connection string; empty when there is none. Raises: SettingsError."""
    parts = dict(part.split("=", 1) for part in connection.split(";") if "=" in part)
    try:
        return base64.b64decode(
            {key.lower(): value for key, value in parts.items()}.get("accesskey", ""), validate=True
        )
    except binascii.Error as error:
        raise SettingsError(f"{name}: the access key is no base64") from error


class Signatures:
    """Checks the signatures of one key; without one everybody passes."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key, clock

    def is_authentic(self, request: Request) -> bool:
        if not self._key:
            return True
        date, digest = request.headers.get("x-ms-date", ""), request.headers.get("x-ms-content-sha256", "")
        own_digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
        path = f"{request.path}?{request.query_string}" if request.query_string else request.path
        signed = f"{request.method}\n{path}\n{date};{request.headers.get('host', '')};{digest}"
        expected = _SCHEME + base64.b64encode(hmac.digest(self._key, signed.encode(), "sha256")).decode()
        given = request.headers.get("authorization", "")
        return self._is_fresh(date) and digest == own_digest and hmac.compare_digest(expected.encode(), given.encode())

    def _is_fresh(self, date: str) -> bool:
        try:
            return abs(parsedate_to_datetime(date).timestamp() - self._clock()) <= _CLOCK_SECONDS
        except ValueError:
            return False


def error(status: int, message: str, code: str = "") -> Reply:
    code = code or _CODES.get(status, "Error")
    body = orjson.dumps({"error": {"code": code, "message": message}})
    return Reply(status, body, "application/json", [("x-ms-error-code", code)])
