"""Azure Notification Hubs: takes sends, answers telemetry questions; the device's acknowledgement follows.

https://learn.microsoft.com/rest/api/notificationhubs/direct-send, …/direct-batch-send, …/send-template-notification and
…/get-notification-message-telemetry (read 2026-11). Played: formats `fcmv1` and `apple` to one device handle, to a
batch of them, and to tags; `template` to tags. Nobody registers here: a tag expression is one recipient, named by its
`customer:` tag. Assumed, since the pages are silent: 410 for a gone device (`gone-…`; a hub may as well answer 201 and
tell by telemetry, which is `bounce-…` here), and error bodies in Service Bus' XML. The acknowledgement is not the
hub's: the sandbox plays the customer's mobile backend.
"""

from __future__ import annotations

import email
import email.message
import re
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import orjson

from local_azure.provider_sandbox.http_exchange import Reply, Request
from local_azure.provider_sandbox.inbox import KEPT_MESSAGES, iso_time
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.receipts import Receipt
from local_azure.provider_sandbox.sas_token import SasTokens
from local_azure.provider_sandbox.settings import Settings

PATH = re.compile(r"/(?P<hub>[A-Za-z0-9][A-Za-z0-9._-]{0,259})/messages(?:/(?P<id>[^/]+))?/?")
MAX_PAYLOAD_BYTES = 4096  # APNs and FCM alike; the hub itself takes 64 KB
MAX_BATCH = 1000
_XML = "application/xml; charset=utf-8"
_NAMESPACE = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
_PLATFORMS = {
    "fcmv1": ("fcmv1", "FcmV1OutcomeCounts"),
    "apple": ("apple", "ApnsOutcomeCounts"),
    "template": ("fcmv1, apple", "FcmV1OutcomeCounts"),
}
_CUSTOMER = re.compile(r"customer:([A-Za-z0-9_@#.:-]+)")

_ACKNOWLEDGED = {
    "delivered": "delivered",
    "opened": "opened",
    "bounced": "failed",
    "blocked": "failed",
    "dropped": "failed",
}
_REASONS = {"bounced": "unregistered", "blocked": "blocked", "dropped": "dropped"}
_TELEMETRY = {
    "delivered": "Success",
    "opened": "Success",
    "bounced": "BadChannel",
    "blocked": "Throttled",
    "dropped": "Dropped",
}
_REFUSALS = {
    400: "The supplied notification payload is invalid.",
    401: "InvalidSignature: The token has an invalid signature.",
    403: "The maximum allowed number of notifications is exceeded.",
    404: "The specified hub does not exist.",
    410: "The device handle is no longer registered with the platform notification service.",
    413: "The message exceeds the maximum size.",
    429: "The request is throttled: too many operations per second.",
    500: "The server encountered an internal error.",
    502: "Bad gateway.",
    503: "The server is busy. Please retry the operation.",
}


@dataclass(slots=True)
class _Sent:
    """What telemetry tells about one notification."""

    platform: str
    body: str
    at: float
    outcome: str = ""


class NotificationHubs:
    """POST /{hub}/messages/, POST /{hub}/messages/$batch and GET /{hub}/messages/{id}."""

    provider = "notification_hubs"
    channel = "push"
    success_status = 201

    def __init__(self, calls: ProviderCalls, settings: Settings, base_url: str) -> None:
        self._calls = calls
        self._tokens = SasTokens(settings.hub_connection) if settings.hub_connection else None
        self._hub, self._base_url = settings.hub_name, base_url
        self._receipts_url = f"{settings.receipts_url}/api/v1/receipts/notification_hubs"
        self._sent: OrderedDict[str, _Sent] = OrderedDict()

    def takes(self, request: Request) -> bool:
        return PATH.fullmatch(request.path) is not None

    async def handle(self, request: Request) -> Reply | None:
        path = PATH.fullmatch(request.path)
        if path is None:
            return _error(404)
        flaw = self._tokens.flaw(request.headers.get("authorization", ""), request.path) if self._tokens else None
        if flaw is not None:
            return self._note(request, "unauthorized", _error(401, f"{flaw}: the token does not open this hub."))
        if self._hub and path["hub"].lower() != self._hub.lower():
            return self._note(request, "invalid", _error(404))
        if request.method == "POST" and path["id"] in {None, "$batch"}:
            return await self._send(request, path["hub"])
        if request.method == "GET" and path["id"] is not None:
            return self._telemetry(path["hub"], path["id"])
        return _error(405, "The method is not allowed.")

    async def _send(self, request: Request, hub: str) -> Reply | None:
        sent = _read(request)
        if isinstance(sent, Reply):
            return self._note(request, "invalid", sent)
        call = _call(sent, request.body)
        call.extra["hub"] = hub
        return await self._calls.answer(self, call)

    def succeed(self, call: Call) -> Reply:
        self._remember(call)
        location = f"{self._base_url}/{call.extra['hub']}/messages/{call.provider_id}?api-version=2015-04"
        return Reply(201, headers=[("Location", location), ("TrackingId", str(uuid.uuid4()))])

    def refuse(self, outcome: Outcome, call: Call) -> Reply:  # noqa: ARG002 - the vendor's answer names no device
        reply = _error(outcome.status)
        if outcome.retry_after_seconds:
            reply.headers.append(("Retry-After", str(outcome.retry_after_seconds)))
        return reply

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:
        status = _ACKNOWLEDGED.get(step)
        if status is None:
            return None
        self._remember(call)
        facts = {"attemptId": part.attempt_id, "notificationId": call.provider_id, "status": status}
        if step in _REASONS:
            facts["reason"] = _REASONS[step]
        return ReceiptDraft(self._receipts_url, {"type": "push.acknowledged", "timestamp": iso_time(at), "data": facts})

    def record_step(self, receipt: Receipt) -> None:
        """Moves the telemetry on."""
        sent = self._sent.get(receipt.payload.get("data", {}).get("notificationId", ""))
        if sent is not None:
            sent.outcome = _TELEMETRY.get(receipt.step, sent.outcome)

    def _remember(self, call: Call) -> None:
        if call.provider_id not in self._sent:
            self._sent[call.provider_id] = _Sent(
                call.extra["platform"], call.body.decode("utf-8", "replace"), time.time()
            )
            if len(self._sent) > KEPT_MESSAGES:
                self._sent.popitem(last=False)

    def _telemetry(self, hub: str, notification_id: str) -> Reply:
        sent = self._sent.get(notification_id)
        if sent is None:
            return _error(404, "The specified notification does not exist.")
        target, counts = _PLATFORMS[sent.platform]
        outcome = f"<Outcome><Name>{sent.outcome}</Name><Count>1</Count></Outcome>" if sent.outcome else ""
        document = (
            f'<NotificationDetails xmlns="{_NAMESPACE}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
            f"<NotificationId>{notification_id}</NotificationId>"
            f"<Location>{self._base_url}/{hub}/messages/{notification_id}?api-version=2015-04</Location>"
            f"<State>{'Completed' if sent.outcome else 'Processing'}</State>"
            f"<EnqueueTime>{iso_time(sent.at)}</EnqueueTime><StartTime>{iso_time(sent.at)}</StartTime>"
            f"<NotificationBody>{escape(sent.body)}</NotificationBody><TargetPlatforms>{target}</TargetPlatforms>"
            f"<{counts}>{outcome}</{counts}></NotificationDetails>"
        )
        return Reply(200, document.encode(), _XML)

    def _note(self, request: Request, outcome: str, reply: Reply) -> Reply:
        return self._calls.note_refusal(self, request.body, outcome, reply)


@dataclass(frozen=True, slots=True)
class _Send:
    """One valid request: to whom, in which platform's format, and what."""

    platform: str
    recipients: list[str]
    payload: dict[str, Any]


def _read(request: Request) -> _Send | Reply:
    query, platform = request.query(), request.headers.get("servicebusnotification-format", "")
    if not query.get("api-version"):
        return _error(400, "The api-version query parameter is missing.")
    if platform not in _PLATFORMS:
        return _error(400, f"The notification format '{escape(platform)}' is not supported here: fcmv1 or apple.")
    body, recipients = _addressed(request)
    if not recipients:
        return _error(400, "There is no device handle, no batch of them, and no tag.")
    if platform == "template" and "direct" in query:
        return _error(400, "A template notification goes to tags, not to a device.")
    if len(body) > MAX_PAYLOAD_BYTES:
        return _error(413)
    payload = _parsed(body)
    wanted = {"fcmv1": "message", "apple": "aps"}.get(platform)
    if not isinstance(payload, dict) or (wanted and not isinstance(payload.get(wanted), dict)):
        return _error(400, f"The supplied notification payload is invalid: it has no object '{wanted}'.")
    return _Send(platform, recipients, payload)


def _addressed(request: Request) -> tuple[bytes, list[str]]:
    """The payload, and the recipients: device handles, or the customer of a tag expression."""
    headers = request.headers
    if request.path.rstrip("/").endswith("/$batch"):
        parts = _batch_parts(headers.get("content-type", ""), request.body)
        handles = _parsed(parts.get("devices", b""))
        is_list = isinstance(handles, list) and len(handles) <= MAX_BATCH and all(isinstance(h, str) for h in handles)
        return parts.get("notification", b""), handles if is_list else []
    if "direct" in request.query():
        handle = headers.get("servicebusnotification-devicehandle")
        return request.body, [handle] if handle else []
    tags = headers.get("servicebusnotification-tags", "")
    customer = _CUSTOMER.search(tags)
    return request.body, [customer[1] if customer else tags] if tags else []


def _batch_parts(content_type: str, body: bytes) -> dict[str, bytes]:
    """The parts of a multipart/mixed body by their name."""
    message = email.message_from_bytes(f"content-type: {content_type}\r\n\r\n".encode("latin-1", "replace") + body)
    parts = message.get_payload() if message.is_multipart() else []
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True) or b""
        for part in parts
        if isinstance(part, email.message.Message)
    }


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _call(sent: _Send, body: bytes) -> Call:
    payload = sent.payload
    if sent.platform == "fcmv1":
        custom = payload["message"].get("data") or {}
        shown = payload["message"].get("notification") or {}
    elif sent.platform == "apple":
        custom = {name: value for name, value in payload.items() if name != "aps"}
        alert = payload["aps"].get("alert")
        shown = alert if isinstance(alert, dict) else {"body": alert}
    else:
        custom = shown = payload
    attempt_id = custom.get("attempt_id") if isinstance(custom, dict) else None
    content = {
        "platform": sent.platform,
        "title": shown.get("title") or "",
        "body": shown.get("body") or "",
        "data": custom,
        "payload": payload,
    }
    parts = [Part(recipient, _attempt_of(attempt_id, number)) for number, recipient in enumerate(sent.recipients)]
    notification_id = f"{uuid.uuid4().int % 10**19}-{uuid.uuid4()}-1"
    return Call(body, notification_id, sent.platform, content, parts, {"platform": sent.platform})


def _attempt_of(attempt_id: object, number: int) -> str | None:
    """All devices of a batch get one attempt id; the ledger tells them apart."""
    if not attempt_id:
        return None
    return f"{attempt_id}~{number}" if number else str(attempt_id)


def _error(status: int, detail: str = "") -> Reply:
    tracking_id = str(uuid.uuid4())
    text = f"{detail or _REFUSALS.get(status, 'Error')} TrackingId:{tracking_id},TimeStamp:{iso_time(time.time())}"
    return Reply(
        status,
        f"<Error><Code>{status}</Code><Detail>{text}</Detail></Error>".encode(),
        _XML,
        [("TrackingId", tracking_id)],
    )
