"""SMS by Azure Communication Services: POST /sms; Event Grid posts follow.

https://learn.microsoft.com/rest/api/communication/sms/sms/send (2021-03-07) and
https://learn.microsoft.com/azure/event-grid/communication-services-telephony-sms-events (read 2026-11). A refusal of
the recipient is told inside a 202, as the vendor does; of the credential or the rate, by the answer's own status.
Assumed, since the pages are silent: 403 for a country that the sender may not send to. Repeatable requests are not
remembered.
"""

from __future__ import annotations

import os
import re
import time
from typing import Any

import orjson

from local_azure.provider_sandbox.acs_email import grid_event
from local_azure.provider_sandbox.acs_resource import Signatures, access_key, error
from local_azure.provider_sandbox.http_exchange import Reply, Request
from local_azure.provider_sandbox.inbox import iso_time
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.settings import Settings
from local_azure.provider_sandbox.sms_segments import segment

PATH = "/sms"
MAX_TEXT_CHARACTERS = 2048
MAX_RECIPIENTS = 100
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_REPORTS = {
    "delivered": ("Delivered", "No error."),
    "bounced": ("Failed", "4006: The Destination/To number isn't reachable."),
    "blocked": ("Failed", "4005: Message blocked by Destination carrier."),
    "dropped": ("Failed", "5000: Message failed to deliver."),
}
_WHOLE_ANSWER = {401, 429, 500, 502, 503}
_ITEM_STATUSES = {"no-permission": 403}


class AcsSms:
    """The SMS operation of one resource."""

    provider = "acs_sms"
    channel = "sms"
    success_status = 202

    def __init__(self, calls: ProviderCalls, settings: Settings) -> None:
        self._calls = calls
        self._signatures = Signatures(access_key("ACS_SMS_CONNECTION", settings.acs_sms_connection))
        self._receipts_url = f"{settings.receipts_url}/api/v1/receipts/acs_sms"

    def takes(self, request: Request) -> bool:
        return request.path == PATH

    async def handle(self, request: Request) -> Reply | None:
        if not self._signatures.is_authentic(request):
            return self._calls.note_refusal(self, request.body, "unauthorized", error(401, "Denied by the resource."))
        if request.method != "POST" or "api-version" not in request.query():
            return error(400, "POST /sms?api-version=…")
        if (flaw := _flaw(request.body)) is not None:
            return self._calls.note_refusal(self, request.body, "invalid", error(400, flaw))
        return await self._calls.answer(self, _call(orjson.loads(request.body), request.body))

    def succeed(self, call: Call) -> Reply:
        return _answer([_item(part, 202, call.provider_id) for part in call.parts])

    def refuse(self, outcome: Outcome, call: Call) -> Reply:
        if outcome.status in _WHOLE_ANSWER:
            reply = error(outcome.status, f"This call plays {outcome.name}.")
            if outcome.retry_after_seconds:
                reply.headers.append(("Retry-After", str(outcome.retry_after_seconds)))
            return reply
        status = _ITEM_STATUSES.get(outcome.name, 400)
        return _answer([_item(part, status, "") for part in call.parts])

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:
        options = call.extra["options"]
        if step not in _REPORTS or not options.get("enableDeliveryReport"):
            return None
        status, details = _REPORTS[step]
        segments = call.content["segments"]
        data = {
            "messageId": call.provider_id,
            "from": call.sender.removeprefix("+"),
            "to": part.recipient,
            "deliveryStatus": status,
            "deliveryStatusDetails": details,
            "receivedTimestamp": iso_time(at),
            "deliveryAttempts": [
                {
                    "timestamp": iso_time(at),
                    "segmentsSucceeded": segments if status == "Delivered" else 0,
                    "segmentsFailed": 0 if status == "Delivered" else segments,
                }
            ],
            "tag": options.get("tag", ""),
        }
        subject = f"/phonenumber/{call.sender.removeprefix('+')}"
        return ReceiptDraft(self._receipts_url, grid_event("SMSDeliveryReportReceived", subject, data, at))


def _flaw(body: bytes) -> str | None:
    """What is wrong with the whole request; None when nothing is."""
    try:
        sms = orjson.loads(body)
        recipients = sms["smsRecipients"]
        is_complete = bool(sms["from"]) and isinstance(sms["message"], str)
        numbers = [each["to"] for each in recipients]
    except (ValueError, KeyError, TypeError):
        return "The request is not what the operation takes."
    if not is_complete or not 1 <= len(numbers) <= MAX_RECIPIENTS:
        return "From, message and 1 to 100 recipients are required."
    if len(sms["message"]) > MAX_TEXT_CHARACTERS:
        return "The message is longer than 2048 characters."
    return None


def _call(sms: dict[str, Any], body: bytes) -> Call:
    size = segment(sms["message"])
    content = {"text": sms["message"], "encoding": size.encoding, "segments": size.segments, "units": size.units}
    options = sms.get("smsSendOptions") or {}
    parts = [Part(each["to"], options.get("tag")) for each in sms["smsRecipients"]]
    name = time.strftime("Outgoing_%Y%m%d%H%M%S", time.gmtime()) + os.urandom(16).hex()
    return Call(body, name, sms["from"], content, parts, {"options": options})


def _item(part: Part, status: int, message_id: str) -> dict[str, Any]:
    if status == 202 and not _E164.fullmatch(part.recipient):
        status = 400
    if status != 202:
        message = (
            "Invalid To phone number format." if status == 400 else "The number can't be reached from this sender."
        )
        return {"to": part.recipient, "httpStatusCode": status, "errorMessage": message, "successful": False}
    return {
        "to": part.recipient,
        "messageId": message_id,
        "httpStatusCode": 202,
        "repeatabilityResult": "accepted",
        "successful": True,
    }


def _answer(items: list[dict[str, Any]]) -> Reply:
    return Reply(202, orjson.dumps({"value": items}), "application/json")
