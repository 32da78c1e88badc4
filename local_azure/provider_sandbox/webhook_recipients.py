"""A customer's webhook endpoint: shows POST /webhooks/{name} in the inbox, answers 200 or what the name means.

The attempt id is the `webhook-id`; with WEBHOOK_SIGNING_SECRET set the signature is checked and shown, never refused.
"""

from __future__ import annotations

import time

import orjson

from local_azure.provider_sandbox import signatures
from local_azure.provider_sandbox.http_exchange import Reply, Request, json_reply, problem
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.settings import Settings, SettingsError

PREFIX = "/webhooks/"
_SHOWN_HEADERS = ("content-type", "user-agent", "webhook-id", "webhook-timestamp", "webhook-signature", "traceparent")


class WebhookRecipients:
    """POST /webhooks/{name}."""

    provider = "webhook"
    channel = "webhook"
    success_status = 200

    def __init__(self, calls: ProviderCalls, settings: Settings) -> None:
        self._calls = calls
        try:
            secret = settings.webhook_signing_secret
            self._keys = signatures.webhook_keys(secret) if secret else ()
        except signatures.SigningKeyError as error:
            raise SettingsError(f"WEBHOOK_SIGNING_SECRET: {error}") from error

    def takes(self, request: Request) -> bool:
        return request.path.startswith(PREFIX)

    async def handle(self, request: Request) -> Reply | None:
        name = request.path.removeprefix(PREFIX)
        if request.method != "POST" or not name or "/" in name:
            return problem(404, "a webhook endpoint is POST /webhooks/{name}")
        content = {
            "text": request.body.decode("utf-8", "replace"),
            "json": _parsed(request.body),
            "headers": {header: request.headers[header] for header in _SHOWN_HEADERS if header in request.headers},
            "signature": self._judge(request),
        }
        attempt_id = request.headers.get("webhook-id")
        sender = request.headers.get("user-agent", "")
        call = Call(request.body, attempt_id or "", sender, content, [Part(name, attempt_id)])
        return await self._calls.answer(self, call)

    def succeed(self, call: Call) -> Reply:  # noqa: ARG002 - every customer answers alike
        return json_reply({"received": True})

    def refuse(self, outcome: Outcome, call: Call) -> Reply:  # noqa: ARG002 - every customer answers alike
        reply = problem(outcome.status, f"this endpoint plays {outcome.name!r}")
        if outcome.status == 302:
            reply.headers.append(("Location", "/webhooks/elsewhere"))
        if outcome.retry_after_seconds:
            reply.headers.append(("Retry-After", str(outcome.retry_after_seconds)))
        return reply

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:  # noqa: ARG002 - see below
        # A webhook's own answer is all there is: it is delivered when it was taken, and nobody reports later.
        return ReceiptDraft(None, {}) if step == "delivered" else None

    def _judge(self, request: Request) -> str:
        if not self._keys or "webhook-signature" not in request.headers:
            return "unchecked"
        return (
            "verified" if signatures.is_signed_by(self._keys, request.headers, request.body, time.time()) else "forged"
        )


def _parsed(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
