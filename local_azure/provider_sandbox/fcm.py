"""Firebase Cloud Messaging: POST /token grants access tokens, POST /v1/projects/{project}/messages:send takes pushes.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send, …/v1/ErrorCode and
https://developers.google.com/identity/protocols/oauth2/service-account (read 2026-11). Played: device tokens; topics
and conditions are not. The acknowledgement is the customer's mobile backend's, as for Notification Hubs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
import uuid
from typing import Any
from urllib.parse import parse_qs

import jwt
import orjson

from local_azure.provider_sandbox.http_exchange import Reply, Request, json_reply
from local_azure.provider_sandbox.inbox import iso_time
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.settings import Settings

PATH = re.compile(r"/v1/projects/(?P<project>[^/]+)/messages:send")
TOKEN_PATH = "/token"  # noqa: S105 - an address
TOKEN_SECONDS = 3600
MAX_PAYLOAD_BYTES = 4096
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCE = "https://oauth2.googleapis.com/token"
_CODES = {
    400: ("INVALID_ARGUMENT", "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"),
    401: ("UNAUTHENTICATED", "", "Request had invalid authentication credentials."),
    404: ("NOT_FOUND", "UNREGISTERED", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "Sending quota exceeded."),
    500: ("INTERNAL", "INTERNAL", "An internal error has occurred."),
    502: ("INTERNAL", "INTERNAL", "An internal error has occurred."),
    503: ("UNAVAILABLE", "UNAVAILABLE", "The service is currently unavailable."),
}
_ACKNOWLEDGED = {
    "delivered": "delivered",
    "opened": "opened",
    "bounced": "failed",
    "blocked": "failed",
    "dropped": "failed",
}


class Fcm:
    """The token endpoint and messages:send."""

    provider = "fcm"
    channel = "push"
    success_status = 200

    def __init__(self, calls: ProviderCalls, settings: Settings) -> None:
        self._calls = calls
        self._public_key = settings.fcm_public_key
        # Derived, so that a token granted before a restart is good after it.
        self._secret = hashlib.sha256(self._public_key.encode()).digest()
        self._receipts_url = f"{settings.receipts_url}/api/v1/receipts/fcm"

    def takes(self, request: Request) -> bool:
        return request.path == TOKEN_PATH or PATH.fullmatch(request.path) is not None

    async def handle(self, request: Request) -> Reply | None:
        if request.method != "POST":
            return _error(404, "")
        if request.path == TOKEN_PATH:
            return self._grant(request)
        if self._public_key and not self._is_granted(request.headers.get("authorization", "")):
            return self._note(request, "unauthorized", _error(401))
        message = _message(request.body)
        flaw = _flaw(message)
        if flaw is not None:
            return self._note(request, "invalid", _error(400, f"Invalid value at '{flaw}'", field=flaw))
        return await self._calls.answer(self, _call(message, request))

    def succeed(self, call: Call) -> Reply:
        return json_reply({"name": f"projects/{call.extra['project']}/messages/{call.provider_id}"})

    def refuse(self, outcome: Outcome, call: Call) -> Reply:  # noqa: ARG002 - the vendor's answer names no device
        reply = _error(404 if outcome.status == 410 else outcome.status)
        if outcome.retry_after_seconds:
            reply.headers.append(("Retry-After", str(outcome.retry_after_seconds)))
        return reply

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:
        status = _ACKNOWLEDGED.get(step)
        if status is None:
            return None
        facts = {"attemptId": part.attempt_id, "notificationId": call.provider_id, "status": status}
        return ReceiptDraft(self._receipts_url, {"type": "push.acknowledged", "timestamp": iso_time(at), "data": facts})

    def _grant(self, request: Request) -> Reply:
        form = parse_qs(request.body.decode("utf-8", "replace"))
        if form.get("grant_type") != [_GRANT]:
            return json_reply({"error": "unsupported_grant_type"}, 400)
        if self._public_key:
            try:
                jwt.decode(form["assertion"][0], self._public_key, algorithms=["RS256"], audience=_AUDIENCE)
            except (KeyError, jwt.PyJWTError) as error:
                return json_reply({"error": "invalid_grant", "error_description": f"Invalid JWT: {error}"}, 400)
        ends_at = str(int(time.time()) + TOKEN_SECONDS)
        token = f"ya29.{ends_at}.{self._proof(ends_at)}"
        return json_reply({"access_token": token, "expires_in": TOKEN_SECONDS - 1, "token_type": "Bearer"})

    def _is_granted(self, authorization: str) -> bool:
        parts = authorization.removeprefix("Bearer ya29.").partition(".")
        return (
            hmac.compare_digest(parts[2], self._proof(parts[0])) and parts[0].isdigit() and int(parts[0]) > time.time()
        )

    def _proof(self, ends_at: str) -> str:
        return hmac.new(self._secret, ends_at.encode(), "sha256").hexdigest()

    def _note(self, request: Request, outcome: str, reply: Reply) -> Reply:
        return self._calls.note_refusal(self, request.body, outcome, reply)


def _message(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    message = document.get("message") if isinstance(document, dict) else None
    return message if isinstance(message, dict) else {}


def _flaw(message: dict[str, Any]) -> str | None:
    """The field at fault, as the vendor names it."""
    shown, data = message.get("notification", {}), message.get("data", {})
    if not isinstance(message.get("token"), str) or not message["token"]:
        return "message.token"
    if not isinstance(shown, dict):
        return "message.notification"
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        return "message.data[0].value"
    ttl = message.get("android", {}).get("ttl", "0s")
    if not re.fullmatch(r"\d+(?:\.\d+)?s", ttl):
        return "message.android.ttl"
    return "message" if len(orjson.dumps({"notification": shown, "data": data})) > MAX_PAYLOAD_BYTES else None


def _call(message: dict[str, Any], request: Request) -> Call:
    shown, data = message.get("notification", {}), message.get("data", {})
    content = {
        "platform": "fcmv1",
        "title": shown.get("title") or "",
        "body": shown.get("body") or "",
        "data": data,
        "payload": {"message": message},
    }
    path = PATH.fullmatch(request.path)
    project = path["project"] if path else ""
    message_id = f"0:{int(time.time() * 1e6)}%{secrets.token_hex(8)}"
    part = Part(message["token"], data.get("attempt_id"))
    return Call(request.body, message_id, "fcmv1", content, [part], {"project": project})


def _error(status: int, text: str = "", *, field: str = "") -> Reply:
    known, code, usual = _CODES.get(status, _CODES[500])
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code})
    if field:
        violation = {"field": field, "description": text}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    error = {"code": status, "message": text or usual, "status": known, "details": details}
    return json_reply({"error": error}, status, [("X-Request-Id", str(uuid.uuid4()))])
