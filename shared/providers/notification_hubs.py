"""Push by Azure Notification Hubs: takes an attempt, gives its acceptance; takes acknowledgements, gives receipts.

Direct send: https://learn.microsoft.com/rest/api/notificationhubs/direct-send (read 2026-11-24)
Direct batch send, native and template sends: …/direct-batch-send, …/send-apns-native-notification,
…/send-template-notification; tag expressions:
https://learn.microsoft.com/azure/notification-hubs/notification-hubs-tags-segment-push-message (read 2026-11-25)
SAS tokens: https://learn.microsoft.com/rest/api/eventhub/generate-sas-token (the same form for all of Service Bus)

Devices are addressed by their tokens (direct sends), or, if the customer's app has registered with the hub, by tags:
``tenant:<tenant> && customer:<customerId>``. Of the latter the hub says no more than that it took the notification; it
says so as well when nobody is registered.

Unverified against the real service: which status a handle that is no longer valid gets (documented is 404 for a hub
that does not exist; a 404 is read as a lost device only when its text speaks of one), and batches of FCM v1 devices,
which the vendor's packages send and its page does not list.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, quote_plus, urlsplit

import orjson

from shared.channels.push import RegisteredDevices
from shared.domain.address import Address, Devices, DeviceToken, Platform
from shared.domain.errors import Misconfigured, ProviderError, Rejected, Throttled
from shared.domain.identifiers import AttemptRef
from shared.domain.receipt import Receipt
from shared.domain.targets import attempt_of_target
from shared.ports import Accepted, HttpAnswer, HttpClient, OutboundMessage, ReceiptRequest
from shared.providers.provider_answer import Failure, failure_of, is_success, utc_now
from shared.providers.provider_settings import base_url, is_true, own_settings, webhook_secrets
from shared.providers.push_acknowledgement import Acknowledgements
from shared.providers.push_payload import apns_headers, apns_payload, fcm_message, push_content

CALL_TIMEOUT = timedelta(seconds=20)
SAS_LIFETIME = timedelta(hours=1)
SAS_RENEWAL = timedelta(minutes=5)  # before the end, for clocks that differ

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

_API_VERSION = "api-version=2020-06"
_JSON = "application/json;charset=utf-8"
_BOUNDARY = "cns-devices"  # in no payload: JSON has no line that begins with two hyphens
_HEADER_VALUE = re.compile(r"[\x21-\x7e]{1,4096}")
_TAG = re.compile(r"(?:tenant|customer):[A-Za-z0-9_@#.:-]{1,111}")  # the hub's characters, and its length: 120
_MESSAGE_ID = re.compile(r"/messages/([^/?]+)")
_LOST_DEVICE = re.compile(rb"device|handle|token", re.IGNORECASE)
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class NotificationHubsSettings:
    """One hub.

    Attributes:
        base_url: where it is.
        hub: its name.
        endpoint: its namespace's name in signatures (https://<namespace>.servicebus.windows.net).
        key_name, key: what signs our requests.
        receipt_secrets: what the mobile backend signs its posts with.
        sends_batches: one call for all devices of a platform; the hub then gives one answer for all of them.
        uses_templates: registered devices get the template they registered with, filled in, and no native payload.
    """

    base_url: str
    hub: str
    endpoint: str
    key_name: str
    key: str = field(repr=False)
    receipt_secrets: Sequence[str] = field(repr=False)
    sends_batches: bool = False
    uses_templates: bool = False


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
            sends_batches=is_true(settings.get("NOTIFICATION_HUBS_BATCHES", "")),
            uses_templates=is_true(settings.get("NOTIFICATION_HUBS_TEMPLATES", "")),
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
        self._url = f"{settings.base_url}/{quote(settings.hub, safe='')}/messages/"
        self._acknowledgements = Acknowledgements(self.name, settings.receipt_secrets)
        self._authorization = ""
        self._renew_at = datetime.min.replace(tzinfo=UTC)
        self._http = http
        self._now = now

    def split(self, message: OutboundMessage) -> Sequence[OutboundMessage]:
        """One call for each device; with batches, for each platform; with templates, for all that are registered."""
        address = message.address
        if isinstance(address, RegisteredDevices) and self._settings.uses_templates:
            return [message]
        parts: Sequence[Address] = address.targets
        if isinstance(address, Devices) and self._settings.sends_batches:
            platforms = dict.fromkeys(token.platform for token in address.tokens)
            parts = [Devices(tuple(each for each in address.tokens if each.platform == name)) for name in platforms]
        return [replace(message, address=part) for part in parts]

    async def send(self, message: OutboundMessage) -> Accepted:
        """Hand one push notification to the hub, in one call.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: by the tables above.
        """
        push_content(message)
        match message.address:
            case Devices((device,)):
                return await self._send_to_device(message, device)
            case Devices((device, *_) as devices):
                return await self._send_to_batch(message, device.platform, devices)
            case RegisteredDevices(customer_id, platforms):
                return await self._send_to_tags(message, customer_id, platforms)
        raise Rejected("wrong_channel")

    async def _send_to_device(self, message: OutboundMessage, device: DeviceToken) -> Accepted:
        _check_token(device)
        headers, payload = self._native(message, device.platform)
        headers["servicebusnotification-devicehandle"] = device.token
        return await self._post(f"?direct&{_API_VERSION}", headers, payload)

    async def _send_to_batch(
        self, message: OutboundMessage, platform: Platform, devices: Sequence[DeviceToken]
    ) -> Accepted:
        for device in devices:
            _check_token(device)
        headers, payload = self._native(message, platform)
        handles = orjson.dumps([device.token for device in devices])
        parts = (("notification", headers["content-type"], payload), ("devices", "application/json", handles))
        headers["content-type"] = f'multipart/mixed; boundary="{_BOUNDARY}"'
        return await self._post(f"$batch?direct&{_API_VERSION}", headers, _multipart(parts))

    async def _send_to_tags(
        self, message: OutboundMessage, customer_id: str, platforms: Sequence[Platform]
    ) -> Accepted:
        tags = _tags(message.attempt_id, customer_id)
        if self._settings.uses_templates:
            headers, payload = (
                {"content-type": _JSON, "servicebusnotification-format": "template"},
                _properties(message),
            )
        else:
            [platform] = platforms
            headers, payload = self._native(message, platform)
        headers["servicebusnotification-tags"] = tags
        return await self._post(f"?{_API_VERSION}", headers, payload)

    def _native(self, message: OutboundMessage, platform: Platform) -> tuple[dict[str, str], bytes]:
        headers = {"content-type": _JSON, "servicebusnotification-format": FORMATS[platform]}
        if platform == "fcm":
            return headers, orjson.dumps({"message": fcm_message(message, self._now())})
        native = apns_headers(message)
        if priority := native.get("apns-priority"):
            headers["x-apns-priority"] = priority
        if collapse_id := native.get("apns-collapse-id"):
            headers["apns-collapse-id"] = collapse_id
        if message.expires_at:
            headers["servicebusnotification-apns-expiry"] = message.expires_at.astimezone(UTC).isoformat(
                timespec="seconds"
            )
        return headers, apns_payload(message)

    async def _post(self, path: str, headers: dict[str, str], body: bytes) -> Accepted:
        headers["authorization"] = self._token()
        answer = await self._http.post(self._url + path, headers=headers, body=body, timeout=CALL_TIMEOUT)
        if not is_success(answer):
            raise self._failure(answer)
        location = _MESSAGE_ID.search(answer.headers.get("location", ""))  # in the standard tier only
        return Accepted(location[1] if location else None)

    def _failure(self, answer: HttpAnswer) -> ProviderError:
        if answer.status == _NOT_FOUND and _LOST_DEVICE.search(answer.body):
            return Rejected("device_unregistered")
        return failure_of(self.name, STATUSES, answer, self._now())

    def _token(self) -> str:
        now = self._now()
        if now >= self._renew_at:
            self._authorization = sas_token(self._settings, now + SAS_LIFETIME)
            self._renew_at = now + SAS_LIFETIME - SAS_RENEWAL
        return self._authorization

    def verify(self, request: ReceiptRequest, now: datetime) -> None:
        """Nothing when the mobile backend signed the request. Raises ReceiptNotAuthentic."""
        self._acknowledgements.verify(request, now)

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The one event in a verified request. Raises InvalidSubmission."""
        return self._acknowledgements.parse(request)


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


def _check_token(device: DeviceToken) -> None:
    if not _HEADER_VALUE.fullmatch(device.token):
        raise Rejected("invalid_address")  # the token travels as a header, where a line break would start another


def _tags(attempt_id: str, customer_id: str) -> str:
    """The tag expression for one customer of one tenant; two tenants may have customers of the same name."""
    attempt = AttemptRef.parse(attempt_of_target(attempt_id))
    tags = [f"tenant:{attempt.tenant if attempt else ''}", f"customer:{customer_id}"]
    if not all(map(_TAG.fullmatch, tags)):
        raise Rejected("invalid_address")
    return " && ".join(tags)


def _properties(message: OutboundMessage) -> bytes:
    """What fills in the templates that devices registered with."""
    content = push_content(message)
    return orjson.dumps(
        {**content.data, "title": content.title, "body": content.body, "attempt_id": message.attempt_id}
    )


def _multipart(parts: Sequence[tuple[str, str, bytes]]) -> bytes:
    """A multipart/mixed body of named parts (RFC 2046, 5.1)."""
    lines: list[bytes] = []
    for name, content_type, body in parts:
        head = (f"--{_BOUNDARY}", f"content-type: {content_type}", f"content-disposition: inline; name={name}", "")
        lines += [*(line.encode() for line in head), body]
    return b"\r\n".join([*lines, f"--{_BOUNDARY}--".encode(), b""])
