"""Twilio's Programmable Messaging: POST …/Messages.json, GET one message, GET the list; status callbacks follow.

https://www.twilio.com/docs/messaging/api/message-resource and https://www.twilio.com/docs/api/errors (read 2026-11).
The account is the one in the path; sub-accounts, media and messaging services' sender pools are not played.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import time
from collections import OrderedDict
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import orjson

from local_azure.provider_sandbox.http_exchange import Reply, Request
from local_azure.provider_sandbox.inbox import KEPT_MESSAGES
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.receipts import Receipt
from local_azure.provider_sandbox.settings import Settings
from local_azure.provider_sandbox.sms_segments import segment

PATH = re.compile(r"/2010-04-01/Accounts/(?P<account>[^/]+)/Messages(?:/(?P<sid>[^/]+))?\.json")
MAX_BODY_CHARACTERS = 1600
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|[A-Za-z0-9 ]{1,11}")
_CALLBACK_URL = re.compile(r"https?://[^\s/?#]+[!-~]*")

_STATUSES: dict[str, tuple[str, int | None]] = {
    "sent": ("sent", None),
    "delivered": ("delivered", None),
    "bounced": ("undelivered", 30003),
    "blocked": ("undelivered", 30007),
    "dropped": ("failed", 30008),
}
_ERROR_MESSAGES = {
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    20503: "Service Unavailable",
    21211: "Invalid 'To' Phone Number: {to}",
    21212: "Invalid 'From' Phone Number: {sender}",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {to}",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21609: "The 'StatusCallback' URL {callback} is not a valid URL.",
    21610: "Attempt to send to unsubscribed recipient",
    21612: "Message cannot be sent with the current combination of 'To' ({to}) and/or 'From' ({sender}) parameters",
    21614: "'To' number is not a valid mobile number: {to}",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21656: "The ContentSid Parameter is Invalid.",
    21910: "Invalid 'From' and 'To' pair. 'From' and 'To' should be of the same channel",
    30003: "Unreachable destination handset",
    30007: "Message filtered",
    30008: "Unknown error",
    63016: "Failed to send freeform message because you are outside the allowed window",
}
_CODE_OF_OUTCOME = {
    "reject": 21211,
    "invalid-number": 21211,
    "unreachable": 21612,
    "no-permission": 21408,
    "opted-out": 21610,
    "landline": 21614,
}
_CODE_OF_STATUS = {400: 21211, 401: 20003, 429: 20429, 500: 20500, 502: 20500, 503: 20503}


class Twilio:
    """The Messages resource."""

    provider = "twilio"
    channel = "sms"
    success_status = 201
    statuses = _STATUSES

    def __init__(self, calls: ProviderCalls, settings: Settings) -> None:
        self._calls = calls
        self._account_sid, self._auth_token = settings.twilio_account_sid, settings.twilio_auth_token
        self._messages: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._trusted_authorization = ""

    def takes(self, request: Request) -> bool:
        return request.path.startswith("/2010-04-01/")

    async def handle(self, request: Request) -> Reply | None:
        path = PATH.fullmatch(request.path)
        if path is None:
            return _error(404, 20404)
        if not self._is_authentic(request, path["account"]):
            return self._calls.note_refusal(self, request.body, "unauthorized", _error(401, 20003))
        if request.method == "POST" and path["sid"] is None:
            return await self._create(request, path["account"])
        if request.method == "GET":
            return self._list(request, path["account"]) if path["sid"] is None else self._fetch(path["sid"])
        return _error(405, 20004)

    async def _create(self, request: Request, account: str) -> Reply | None:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        code = self.find_form_error(form)
        if code is not None:
            return self._calls.note_refusal(self, request.body, "invalid", _error(400, code, form))
        return await self._calls.answer(self, self.call(form, account, request.body))

    def keep(self, call: Call) -> None:
        self._messages[call.provider_id] = self.resource(call)
        if len(self._messages) > KEPT_MESSAGES:
            self._messages.popitem(last=False)

    def succeed(self, call: Call) -> Reply:
        return Reply(201, orjson.dumps(self._messages[call.provider_id]), "application/json")

    def refuse(self, outcome: Outcome, call: Call) -> Reply:
        code = _CODE_OF_OUTCOME.get(outcome.name) or _CODE_OF_STATUS.get(outcome.status, 20500)
        reply = _error(outcome.status, code, call.extra["form"])
        if outcome.retry_after_seconds:
            reply.headers.append(("Retry-After", str(outcome.retry_after_seconds)))
        return reply

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:  # noqa: ARG002 - no time in it
        known = self.statuses.get(step)
        if known is None:
            return None
        status, code = known
        fields = {
            "ApiVersion": "2010-04-01",
            "SmsSid": call.provider_id,
            "SmsStatus": status,
            "MessageSid": call.provider_id,
            "MessageStatus": status,
            "To": part.recipient,
            "From": call.sender,
            "AccountSid": call.extra["account"],
        }
        if code is not None:
            fields |= {"ErrorCode": str(code), "ErrorMessage": _ERROR_MESSAGES[code]}
        return ReceiptDraft(call.extra["form"].get("StatusCallback"), fields)

    def record_step(self, receipt: Receipt) -> None:
        """Moves the message resource on, so that a look-up tells what a callback would."""
        message = self._messages.get(receipt.payload.get("MessageSid", ""))
        if message is not None and receipt.step in self.statuses:
            status, code = self.statuses[receipt.step]
            message |= {"status": status, "error_code": code, "date_updated": _rfc2822_now()}
            message["error_message"] = None if code is None else _ERROR_MESSAGES[code]
            message["date_sent"] = message["date_sent"] or message["date_updated"]

    def find_form_error(self, form: dict[str, str]) -> int | None:
        """The code of what is wrong with a new message."""
        return find_error(form)

    def call(self, form: dict[str, str], account: str, body: bytes) -> Call:
        """The provider call that a form is."""
        return call_of(form, account, body)

    def resource(self, call: Call) -> dict[str, Any]:
        """The message as a look-up shows it."""
        return resource_of(call)

    def _fetch(self, sid: str) -> Reply:
        message = self._messages.get(sid)
        return _error(404, 20404) if message is None else Reply(200, orjson.dumps(message), "application/json")

    def _list(self, request: Request, account: str) -> Reply:
        query = request.query()
        size = int(query["PageSize"]) if query.get("PageSize", "").isdigit() else 50
        found = [
            message
            for message in reversed(self._messages.values())
            if query.get("To") in (None, message["to"]) and query.get("From") in (None, message["from"])
        ]
        page = {
            "messages": found[: min(size, 1000)],
            "page": 0,
            "page_size": size,
            "uri": f"/2010-04-01/Accounts/{account}/Messages.json",
            "next_page_uri": None,
        }
        return Reply(200, orjson.dumps(page), "application/json")

    def _is_authentic(self, request: Request, account: str) -> bool:
        if not self._auth_token:
            return True
        given = request.headers.get("authorization", "")
        if given != self._trusted_authorization:
            if _basic_credentials(given) != (self._account_sid, self._auth_token):
                return False
            self._trusted_authorization = given
        return account == self._account_sid


def _basic_credentials(header: str) -> tuple[str, str]:
    try:
        decoded = base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    user, _, password = decoded.partition(":")
    return user, password


def find_error(form: dict[str, str]) -> int | None:
    to, sender, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
    callback = form.get("StatusCallback")
    checks = (
        (not to, 21604),
        (not sender and not form.get("MessagingServiceSid"), 21603),
        (not body and not form.get("MediaUrl") and not form.get("ContentSid"), 21602),
        (len(body) > MAX_BODY_CHARACTERS, 21617),
        (_E164.fullmatch(to) is None, 21211),
        (bool(sender) and _SENDER.fullmatch(sender) is None, 21212),
        (callback is not None and _CALLBACK_URL.fullmatch(callback) is None, 21609),
    )
    return next((code for wrong, code in checks if wrong), None)


def call_of(form: dict[str, str], account: str, body: bytes) -> Call:
    callback = form.get("StatusCallback", "")
    # The attempt id travels in the callback's query, because Twilio has no custom arguments.
    query = dict(parse_qsl(callback.partition("?")[2]))
    attempt_id = query.get("attempt_id") or query.get("attemptId") or query.get("attempt")
    text = form.get("Body", "")
    size = segment(text)
    content = {"text": text, "encoding": size.encoding, "segments": size.segments, "units": size.units}
    sender = form.get("From") or form.get("MessagingServiceSid", "")
    extra = {"form": form, "account": account}
    return Call(body, "SM" + os.urandom(16).hex(), sender, content, [Part(form["To"], attempt_id)], extra)


def resource_of(call: Call) -> dict[str, Any]:
    account, sid = call.extra["account"], call.provider_id
    uri = f"/2010-04-01/Accounts/{account}/Messages/{sid}"
    created = _rfc2822_now()
    return {
        "account_sid": account,
        "api_version": "2010-04-01",
        "body": call.content["text"],
        "date_created": created,
        "date_sent": None,
        "date_updated": created,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": call.sender,
        "messaging_service_sid": call.extra["form"].get("MessagingServiceSid"),
        "num_media": "0",
        "num_segments": str(call.content.get("segments", 1)),
        "price": None,
        "price_unit": "USD",
        "sid": sid,
        "status": "queued",
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": call.parts[0].recipient,
        "uri": f"{uri}.json",
    }


def _rfc2822_now() -> str:
    return formatdate(time.time()).replace("-0000", "+0000")


def _error(status: int, code: int, form: dict[str, str] | None = None) -> Reply:
    form = form or {}
    message = _ERROR_MESSAGES.get(code, "Method not allowed").format(
        to=form.get("To", ""), sender=form.get("From", ""), callback=form.get("StatusCallback", "")
    )
    answer = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Reply(status, orjson.dumps(answer), "application/json")
