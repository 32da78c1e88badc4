"""Push by Azure Notification Hubs: takes an attempt, gives its acceptance; takes acknowledgements, gives receipts.

Direct send: https://learn.microsoft.com/rest/api/notificationhubs/direct-send (read 2026-11-24)
SAS tokens: https://learn.microsoft.com/rest/api/eventhub/generate-sas-token (the same form for all of Service Bus)

The hub sends to one device handle a call and posts no receipts of its own. What it posts to the device carries the
attempt id, and the customer's mobile backend relays what the app saw as a Standard Webhook of ours::

    {"type": "push.acknowledged", "timestamp": "…Z",
     "data": {"attemptId": "…", "notificationId": "…", "status": "delivered" | "failed" | "opened"}}

A customer may hold several devices: all but the first get the attempt id with ``~1``, ``~2`` … behind, taken off again
in receipts.
Unverified against the real service: which status a handle that is no longer valid gets. Documented is 404 for a hub
that does not exist; a 404 is read as a lost device only when its text speaks of one.
"""

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_plus, urlsplit

import orjson

from shared.domain.address import Devices, Platform
from shared.domain.content import PushContent
from shared.domain.errors import (
    FieldError,
    InvalidSubmission,
    Misconfigured,
    ProviderError,
    ReceiptNotAuthentic,
    Rejected,
    Throttled,
)
from shared.domain.identifiers import AttemptRef
from shared.domain.receipt import Receipt, ReceiptKind
from shared.domain.targets import attempt_of_target
from shared.domain.webhook_signature import SignatureInvalid, verify
from shared.ports import Accepted, HttpAnswer, HttpClient, OutboundMessage, ReceiptRequest
from shared.providers.provider_answer import Failure, failure_of, is_success, json_object, utc_now
from shared.providers.provider_settings import base_url, own_settings, webhook_secrets

CALL_TIMEOUT = timedelta(seconds=20)
SAS_LIFETIME = timedelta(hours=1)
SAS_RENEWAL = timedelta(minutes=5)  # before the end, for clocks that differ
MAX_PAYLOAD_BYTES = 4096  # of FCM and of APNs alike; the hub accepts more and the platform then drops it in silence

STATUSES: Mapping[int, Failure] = {
    400: (Rejected, "invalid_request"),
    401: (Misconfigured, "authentication_failed"),
    403: (Throttled, "quota_exceeded"),
    404: (Misconfigured, "hub_not_found"),
    410: (Rejected, "device_unregistered"),
    413: (Rejected, "content_too_large"),
    429: (Throttled, "too_many_requests"),
}
FORMATS: Mapping[Platform, str] = {"fcm": "fcmv1", "apns": "apple"}
ACKNOWLEDGEMENTS: Mapping[str, ReceiptKind] = {
    "delivered": ReceiptKind.DELIVERED,
    "failed": ReceiptKind.FAILED,
    "opened": ReceiptKind.OPENED,
}

_HEADER_VALUE = re.compile(r"[\x21-\x7e]{1,4096}")
_MESSAGE_ID = re.compile(r"/messages/([^/?]+)")
_LOST_DEVICE = re.compile(rb"device|handle|token", re.IGNORECASE)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NotificationHubsSettings:
    """One hub. ``endpoint`` is its name in signatures (https://<namespace>.servicebus.windows.net)."""

    base_url: str
    hub: str
    endpoint: str
    key_name: str
    key: str = field(repr=False)
    receipt_secrets: Sequence[str] = field(repr=False)


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "NotificationHubs | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None when no NOTIFICATION_HUBS_ setting is present.

    NOTIFICATION_HUBS_BASE_URL may be left out: the connection string names the address.

    Raises:
        ValueError: a setting is missing or malformed; names it.
    """
    own = own_settings(
        settings, "NOTIFICATION_HUBS_HUB", "NOTIFICATION_HUBS_CONNECTION", "NOTIFICATION_HUBS_RECEIPT_SECRET"
    )
    if own is None:
        return None
    connection = _connection_parts(own["NOTIFICATION_HUBS_CONNECTION"])
    endpoint = f"https://{urlsplit(connection['endpoint']).netloc}"
    address = settings.get("NOTIFICATION_HUBS_BASE_URL", "").strip() or endpoint
    return NotificationHubs(
        NotificationHubsSettings(
            base_url=base_url("NOTIFICATION_HUBS_BASE_URL", address),
            hub=own["NOTIFICATION_HUBS_HUB"],
            endpoint=endpoint,
            key_name=connection["sharedaccesskeyname"],
            key=connection["sharedaccesskey"],
            receipt_secrets=webhook_secrets(
                "NOTIFICATION_HUBS_RECEIPT_SECRET", own["NOTIFICATION_HUBS_RECEIPT_SECRET"]
            ),
        ),
        http,
    )


class NotificationHubs:
    """Carries push notifications to FCM and APNs devices; receipts are relayed by the customer's mobile backend."""

    name = "notification_hubs"
    channel = "push"

    def __init__(
        self, settings: NotificationHubsSettings, http: HttpClient, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._settings = settings
        self._url = f"{settings.base_url}/{quote(settings.hub, safe='')}/messages/?direct&api-version=2020-06"
        self._authorization = ""
        self._renew_at = datetime.min.replace(tzinfo=UTC)
        self._http = http
        self._now = now

    async def send(self, message: OutboundMessage) -> Accepted:
        """Hand one push notification to the hub, for one device; the pipeline calls once for each.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: by the tables above.
        """
        if not isinstance(message.address, Devices) or not isinstance(message.content, PushContent):
            raise Rejected("wrong_channel")
        [device] = message.address.tokens
        if not _HEADER_VALUE.fullmatch(device.token):
            raise Rejected("invalid_address")  # the token travels as a header, where a line break would start another
        payload = _payload(device.platform, message.content, message.attempt_id)
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Rejected("content_too_large")
        headers = {
            "authorization": self._token(),
            "content-type": "application/json;charset=utf-8",
            "servicebusnotification-format": FORMATS[device.platform],
            "servicebusnotification-devicehandle": device.token,
        }
        answer = await self._http.post(self._url, headers=headers, body=payload, timeout=CALL_TIMEOUT)
        if is_success(answer):
            location = _MESSAGE_ID.search(answer.headers.get("location", ""))
            return Accepted(location[1] if location else None)
        raise self._failure(answer)

    def _failure(self, answer: HttpAnswer) -> ProviderError:
        if answer.status == 404 and _LOST_DEVICE.search(answer.body):  # noqa: PLR2004 - see the module's docstring
            return Rejected("device_unregistered")
        return failure_of(self.name, STATUSES, answer, self._now())

    def _token(self) -> str:
        now = self._now()
        if now >= self._renew_at:
            self._authorization = sas_token(self._settings, now + SAS_LIFETIME)
            self._renew_at = now + SAS_LIFETIME - SAS_RENEWAL
        return self._authorization

    def verify(self, request: ReceiptRequest, now: datetime) -> None:
        """Nothing when the mobile backend signed the request with our secret at most five minutes ago.

        Raises:
            ReceiptNotAuthentic: in every other case.
        """
        try:
            verify(self._settings.receipt_secrets, request.headers, request.body, now)
        except SignatureInvalid as error:
            raise ReceiptNotAuthentic("the signature is not the mobile backend's") from error

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The one event in a verified request; none when it is about no attempt of ours.

        Raises:
            InvalidSubmission: the body is not the document shown above.
        """
        document = json_object(request.body)
        acknowledged = document.get("data")
        if not isinstance(acknowledged, dict):
            raise _malformed("/data", "missing")
        attempt_id = attempt_of_target(str(acknowledged.get("attemptId") or ""))
        if AttemptRef.parse(attempt_id) is None:
            return []
        status = acknowledged.get("status")
        if not isinstance(status, str):
            raise _malformed("/data/status", "missing")
        if status not in ACKNOWLEDGEMENTS:
            _logger.warning("provider sent an unknown code", extra={"provider": self.name, "code": status[:64]})
        message_id = acknowledged.get("notificationId")
        return [
            Receipt(
                attempt_id=attempt_id,
                kind=ACKNOWLEDGEMENTS.get(status, ReceiptKind.UNKNOWN),
                occurred_at=_instant(document.get("timestamp")),
                raw_code=status,
                reason="device_reported_failure" if status == "failed" else None,
                provider_message_id=message_id if isinstance(message_id, str) else None,
            )
        ]


def sas_token(settings: NotificationHubsSettings, expires_at: datetime) -> str:
    """The Authorization header that admits to the hub until ``expires_at``."""
    resource = quote_plus(f"{settings.endpoint}/{settings.hub}".lower())
    expiry = str(int(expires_at.timestamp()))
    digest = hmac.digest(settings.key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256)
    signature = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={quote_plus(settings.key_name)}"


def _connection_parts(connection: str) -> Mapping[str, str]:
    pairs = (part.partition("=") for part in connection.split(";") if part)
    parts = {name.strip().lower(): value for name, _, value in pairs}
    for name in ("Endpoint", "SharedAccessKeyName", "SharedAccessKey"):
        if not parts.get(name.lower()):
            raise ValueError(f"NOTIFICATION_HUBS_CONNECTION has no {name}")
    return parts


def _payload(platform: Platform, content: PushContent, attempt_id: str) -> bytes:
    shown = {"title": content.title, "body": content.body}
    hidden = {**content.data, "attempt_id": attempt_id}
    if platform == "fcm":
        return orjson.dumps({"message": {"notification": shown, "data": hidden}})
    return orjson.dumps({**hidden, "aps": {"alert": shown}})


def _instant(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise _malformed("/timestamp", "not an RFC 3339 time")
    return instant.astimezone(UTC)


def _malformed(pointer: str, detail: str) -> InvalidSubmission:
    return InvalidSubmission([FieldError(pointer, detail)], status=400)
