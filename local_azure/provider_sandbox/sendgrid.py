"""SendGrid's v3 Mail Send: takes POST /v3/mail/send, answers and reports as the vendor does.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send and
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event (read 2026-11). Not played: scheduling
(`send_at` is accepted and ignored), suppression groups, attachments' content, and the Email Activity API.
"""

from __future__ import annotations

import base64
import os
import time
from typing import Any

import orjson

from local_azure.provider_sandbox.http_exchange import Reply, Request
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.sendgrid_validation import error, find_errors
from local_azure.provider_sandbox.settings import Settings

PATH = "/v3/mail/send"
MAX_MESSAGE_BYTES = 30 * 1024 * 1024

_EVENTS: dict[str, dict[str, Any]] = {
    "sent": {"event": "processed"},
    "delivered": {"event": "delivered", "response": "250 2.0.0 OK", "tls": 1},
    "deferred": {"event": "deferred", "response": "451 4.7.1 Try again later", "attempt": "1"},
    "bounced": {
        "event": "bounce",
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 The email account that you tried to reach does not exist.",
        "bounce_classification": "Invalid Address",
    },
    "blocked": {
        "event": "bounce",
        "type": "blocked",
        "status": "4.2.2",
        "reason": "452 4.2.2 The mailbox is over quota",
        "bounce_classification": "Mailbox Unavailable",
    },
    "dropped": {"event": "dropped", "reason": "Bounced Address", "status": "5.0.0"},
    "opened": {"event": "open", "useragent": "Mozilla/5.0", "ip": "127.0.0.1", "sg_machine_open": False},
    "clicked": {"event": "click", "useragent": "Mozilla/5.0", "ip": "127.0.0.1", "url": "https://example.com/"},
    "complained": {"event": "spamreport"},
    "unsubscribed": {"event": "unsubscribe"},
}

_REFUSALS = {
    400: "Does not contain a valid address.",
    401: "The provided authorization grant is invalid, expired, or revoked",
    413: "The JSON payload you have included in your request is too large.",
    415: "Content-Type should be application/json.",
    429: "too many requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class SendGrid:
    """POST /v3/mail/send."""

    provider = "sendgrid"
    channel = "email"
    success_status = 202

    def __init__(self, calls: ProviderCalls, settings: Settings) -> None:
        self._calls = calls
        self._authorization = f"Bearer {settings.sendgrid_api_key}" if settings.sendgrid_api_key else ""
        self._receipts_url = f"{settings.receipts_url}/api/v1/receipts/sendgrid"

    def takes(self, request: Request) -> bool:
        return request.path == PATH and request.method == "POST"

    async def handle(self, request: Request) -> Reply | None:
        given = request.headers.get("authorization", "")
        if self._authorization and given != self._authorization:
            message = _REFUSALS[401] if given.startswith("Bearer ") else "Permission denied, wrong credentials"
            return self._note(request, "unauthorized", 401, [error(message)])
        if not request.headers.get("content-type", "").startswith("application/json"):
            return self._note(request, "invalid", 415, [error(_REFUSALS[415])])
        if len(request.body) > MAX_MESSAGE_BYTES:
            return self._note(request, "invalid", 413, [error(_REFUSALS[413])])
        try:
            mail = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            return self._note(request, "invalid", 400, [error("Bad Request")])
        errors = find_errors(mail)
        if errors:
            return self._note(request, "invalid", 400, errors)
        if _is_sandboxed(mail):
            return self._note(request, "sandbox-mode", 200, [])
        return await self._calls.answer(self, _call(mail, request.body))

    def succeed(self, call: Call) -> Reply:
        return Reply(202, headers=[("X-Message-Id", call.provider_id)])

    def refuse(self, outcome: Outcome, call: Call) -> Reply:
        message = _REFUSALS.get(outcome.status, "error")
        errors = [error(message, part.extra["field"]) for part in call.at_fault] if outcome.status == 400 else []
        reply = _errors_reply(outcome.status, errors or [error(message)])
        if outcome.retry_after_seconds:
            reset_at = str(int(time.time()) + outcome.retry_after_seconds)
            reply.headers += [
                ("Retry-After", str(outcome.retry_after_seconds)),
                ("X-RateLimit-Remaining", "0"),
                ("X-RateLimit-Reset", reset_at),
            ]
        return reply

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:
        facts = _EVENTS.get(step)
        if facts is None:
            return None
        event = {
            **part.extra["custom_args"],
            "email": part.recipient,
            "timestamp": int(at),
            "smtp-id": f"<{call.provider_id}@geopod-ismtpd-1>",
            "sg_event_id": _opaque_id(16),
            "sg_message_id": f"{call.provider_id}.recvd-local-1-{part.extra['number']}.0",
            **facts,
        }
        if call.extra["categories"]:
            event["category"] = call.extra["categories"]
        return ReceiptDraft(self._receipts_url, event)

    def _note(self, request: Request, outcome: str, status: int, errors: list[dict[str, str | None]]) -> Reply:
        reply = _errors_reply(status, errors) if errors else Reply(status)
        return self._calls.note_refusal(self, request.body, outcome, reply)


def _call(mail: dict[str, Any], body: bytes) -> Call:
    common_args: dict[str, str] = mail.get("custom_args") or {}
    headers: dict[str, str] = mail.get("headers") or {}
    content = {
        "subject": mail.get("subject", ""),
        "from": mail["from"],
        "reply_to": mail.get("reply_to"),
        "templateId": mail.get("template_id"),
        "headers": headers,
        **{_CONTENT_NAMES.get(block["type"], block["type"]): block["value"] for block in mail.get("content") or ()},
    }
    people = mail["personalizations"]
    parts = [part for place, person in enumerate(people) for part in _parts(place, person, common_args, headers)]
    for number, part in enumerate(parts):
        part.extra["number"] = number
    extra = {"categories": mail.get("categories") or []}
    return Call(body, _opaque_id(16), mail["from"]["email"], content, parts, extra)


_CONTENT_NAMES = {"text/plain": "text", "text/html": "html"}


def _parts(
    place: int, person: dict[str, Any], common_args: dict[str, str], common_headers: dict[str, str]
) -> list[Part]:
    arguments = common_args | (person.get("custom_args") or {})
    merge = dict(person.get("substitutions") or {})
    own_content: dict[str, Any] = {"subject": person["subject"]} if person.get("subject") else {}
    if person.get("headers"):
        own_content["headers"] = common_headers | person["headers"]
    if person.get("dynamic_template_data"):
        own_content["templateData"] = person["dynamic_template_data"]
    # Every address of a personalization gets the message and its own events.
    return [
        Part(
            address["email"],
            arguments.get("attempt_id"),
            merge,
            own_content,
            {"custom_args": arguments, "field": f"personalizations.{place}.{kind}.{number}.email"},
        )
        for kind in ("to", "cc", "bcc")
        for number, address in enumerate(person.get(kind) or ())
    ]


def _is_sandboxed(mail: dict[str, Any]) -> bool:
    mode = (mail.get("mail_settings") or {}).get("sandbox_mode") or {}
    return mode.get("enable") is True


def _errors_reply(status: int, errors: list[dict[str, str | None]]) -> Reply:
    return Reply(status, orjson.dumps({"errors": errors}), "application/json")


def _opaque_id(size_bytes: int) -> str:
    return base64.urlsafe_b64encode(os.urandom(size_bytes)).rstrip(b"=").decode()
