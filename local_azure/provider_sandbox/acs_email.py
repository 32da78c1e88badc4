"""Email by Azure Communication Services: POST /emails:send, GET /emails/operations/{id}; Event Grid posts follow.

https://learn.microsoft.com/rest/api/communication/email/email (2023-03-31) and
https://learn.microsoft.com/azure/event-grid/communication-services-email-events (read 2026-11). Not played:
attachments' content and the quota. Assumed, since the pages are silent: 409 for an operation id that was used before,
404 for one that never was, and that a message id of the sender's is kept. A report of *Suppressed* names no message id,
as Microsoft says.
"""

from __future__ import annotations

import re
import uuid
from collections import OrderedDict
from typing import Any

import orjson

from local_azure.provider_sandbox.acs_resource import Signatures, access_key, error
from local_azure.provider_sandbox.http_exchange import Reply, Request
from local_azure.provider_sandbox.inbox import KEPT_MESSAGES, iso_time
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.receipts import Receipt
from local_azure.provider_sandbox.settings import Settings

SEND = "/emails:send"
OPERATION = re.compile(r"/emails/operations/(?P<id>[0-9a-fA-F-]{36})")
MAX_REQUEST_BYTES = 10 * 1024 * 1024
MAX_RECIPIENTS = 50
TOPIC = "/subscriptions/0/resourceGroups/local/providers/microsoft.communication/communicationservices/local"

_REPORTS = {
    "delivered": "Delivered",
    "bounced": "Bounced",
    "blocked": "FilteredSpam",
    "dropped": "Suppressed",
}
_ENGAGEMENTS = {"opened": "view", "clicked": "click"}


class AcsEmail:
    """The email operations of one resource."""

    provider = "acs_email"
    channel = "email"
    success_status = 202

    def __init__(self, calls: ProviderCalls, settings: Settings) -> None:
        self._calls = calls
        self._signatures = Signatures(access_key("ACS_EMAIL_CONNECTION", settings.acs_email_connection))
        self._receipts_url = f"{settings.receipts_url}/api/v1/receipts/acs_email"
        self._operations: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def takes(self, request: Request) -> bool:
        return request.path.startswith("/emails")

    async def handle(self, request: Request) -> Reply | None:
        if not self._signatures.is_authentic(request):
            return self._calls.note_refusal(self, request.body, "unauthorized", error(401, "Denied by the resource."))
        if "api-version" not in request.query():
            return error(400, "The api-version is missing.")
        asked = OPERATION.fullmatch(request.path)
        if asked is not None and request.method == "GET":
            return self._show(asked["id"].lower())
        if request.path == SEND and request.method == "POST":
            return await self._send(request)
        return error(404, "No such resource.")

    async def _send(self, request: Request) -> Reply | None:
        operation = request.headers.get("operation-id", str(uuid.uuid4())).lower()
        flaw = _flaw(request.body, operation)
        if flaw is not None:
            return self._calls.note_refusal(self, request.body, "invalid", error(*flaw))
        if operation in self._operations:
            return self._calls.note_refusal(self, request.body, "invalid", error(409, "The operation id was used."))
        call = _call(orjson.loads(request.body), operation, request.body)
        call.extra["host"] = request.headers.get("host", "127.0.0.1")
        return await self._calls.answer(self, call)

    def keep(self, call: Call) -> None:
        self._operations[call.provider_id] = {"id": call.provider_id, "status": "Running", "error": None}
        if len(self._operations) > KEPT_MESSAGES:
            self._operations.popitem(last=False)

    def succeed(self, call: Call) -> Reply:
        location = f"http://{call.extra['host']}/emails/operations/{call.provider_id}?api-version=2023-03-31"
        headers = [("Operation-Location", location), ("Retry-After", "30")]
        return Reply(202, orjson.dumps(self._operations[call.provider_id]), "application/json", headers)

    def refuse(self, outcome: Outcome, call: Call) -> Reply:  # noqa: ARG002 - the vendor's answer names no recipient
        reply = error(outcome.status, f"This call plays {outcome.name}.")
        if outcome.retry_after_seconds:
            reply.headers.append(("Retry-After", str(outcome.retry_after_seconds)))
        return reply

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:
        data = {"sender": call.sender, "messageId": call.provider_id}
        if step in _REPORTS:
            kind = "EmailDeliveryReportReceived"
            data |= {
                "recipient": part.recipient,
                "status": _REPORTS[step],
                "deliveryStatusDetails": {"statusMessage": "" if step == "delivered" else "550 5.1.1 as asked for"},
                "deliveryAttemptTimestamp": iso_time(at),
            }
            if step != "dropped":
                data["internetMessageId"] = call.extra["message_id"]
        elif step in _ENGAGEMENTS:
            kind = "EmailEngagementTrackingReportReceived"
            data |= {
                "engagementType": _ENGAGEMENTS[step],
                "userActionTimeStamp": iso_time(at),
                "userAgent": "Mozilla/5.0",
            }
        else:
            return None
        subject = f"sender/{call.sender}/message/{call.provider_id}"
        return ReceiptDraft(self._receipts_url, grid_event(kind, subject, data, at))

    def record_step(self, receipt: Receipt) -> None:
        """Ends the operation, so that a look-up tells what became of it."""
        operation = self._operations.get(receipt.payload.get("data", {}).get("messageId", ""))
        if operation is None or receipt.step not in _REPORTS:
            return
        operation["status"] = "Failed" if receipt.step == "dropped" else "Succeeded"
        if receipt.step == "dropped":
            code = "EmailDroppedAllRecipientsSuppressed"
            operation["error"] = {"code": code, "message": "Message dropped because all recipients were suppressed."}

    def _show(self, operation: str) -> Reply:
        known = self._operations.get(operation)
        return (
            error(404, "No such operation.") if known is None else Reply(200, orjson.dumps(known), "application/json")
        )


def grid_event(kind: str, subject: str, data: dict[str, Any], at: float) -> dict[str, Any]:
    """An event of Communication Services in Event Grid's own schema."""
    return {
        "id": str(uuid.uuid4()),
        "topic": TOPIC,
        "subject": subject,
        "data": data,
        "eventType": f"Microsoft.Communication.{kind}",
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": iso_time(at),
    }


def _flaw(body: bytes, operation: str) -> tuple[int, str] | None:
    """What is wrong with a send; None when nothing is."""
    if len(body) > MAX_REQUEST_BYTES:
        return 413, "The request exceeds 10 MB."
    try:
        uuid.UUID(operation)
        mail = orjson.loads(body)
        recipients = [each["address"] for kind in ("to", "cc", "bcc") for each in mail["recipients"].get(kind) or ()]
        content = mail["content"]
        is_complete = bool(mail["senderAddress"] and content["subject"] and mail["recipients"]["to"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return 400, "The request is not what the operation takes."
    if not is_complete or not (content.get("plainText") or content.get("html")):
        return 400, "Subject, sender, recipients and content are required."
    if len(recipients) > MAX_RECIPIENTS or any("@" not in str(each) for each in recipients):
        return 400, "Invalid format for email address."
    return None


def _call(mail: dict[str, Any], operation: str, body: bytes) -> Call:
    headers = {name.lower(): value for name, value in (mail.get("headers") or {}).items()}
    content = {
        "subject": mail["content"]["subject"],
        "from": {"email": mail["senderAddress"]},
        "headers": mail.get("headers") or {},
        "text": mail["content"].get("plainText"),
        "html": mail["content"].get("html"),
    }
    people = [each for kind in ("to", "cc", "bcc") for each in mail["recipients"].get(kind) or ()]
    parts = [Part(person["address"], headers.get("x-cns-attempt-id")) for person in people]
    message_id = headers.get("message-id", f"<{operation}@azurecomm.net>")
    return Call(body, operation, mail["senderAddress"], content, parts, {"message_id": message_id})
