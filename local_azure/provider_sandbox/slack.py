"""Slack's incoming webhooks: POST /services/{…}; what is posted is in the conversation, and "ok" is all that is said.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (read 2026-11). The last part of the path
names the recipient, magic or not. Slack knows no attempt id; the sandbox reads it from `X-Attempt-Id`. Played without
its limit of about one message a second.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from local_azure.provider_sandbox.http_exchange import Reply, Request
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft

PATH = re.compile(r"/services/(?:[A-Za-z0-9_-]+/)*(?P<name>[A-Za-z0-9_-]+)")
MAX_TEXT_CHARACTERS = 40_000
MAX_BLOCKS = 50
_TEXT = "text/html; charset=utf-8"
_WORDS = {
    400: "invalid_payload",
    401: "invalid_token",
    410: "channel_is_archived",
    429: "rate_limited",
    500: "rollup_error",
    502: "rollup_error",
    503: "rollup_error",
}


class Slack:
    """POST to an incoming webhook."""

    provider = "slack"
    channel = "slack"
    success_status = 200

    def __init__(self, calls: ProviderCalls) -> None:
        self._calls = calls

    def takes(self, request: Request) -> bool:
        return request.path.startswith("/services/")

    async def handle(self, request: Request) -> Reply | None:
        path = PATH.fullmatch(request.path)
        if request.method != "POST" or path is None:
            return self._note(request, 404, "no_service")
        message = _parsed(request.body)
        word = _flaw(message)
        if word is not None:
            return self._note(request, 400, word)
        content = {"text": message.get("text", ""), "blocks": message.get("blocks", []), "payload": message}
        attempt_id = request.headers.get("x-attempt-id")
        return await self._calls.answer(self, Call(request.body, "", "", content, [Part(path["name"], attempt_id)]))

    def succeed(self, call: Call) -> Reply:  # noqa: ARG002 - every webhook answers alike
        return Reply(200, b"ok", _TEXT)

    def refuse(self, outcome: Outcome, call: Call) -> Reply:  # noqa: ARG002 - every webhook answers alike
        reply = Reply(outcome.status, _WORDS.get(outcome.status, "rollup_error").encode(), _TEXT)
        if outcome.retry_after_seconds:
            reply.headers.append(("Retry-After", str(outcome.retry_after_seconds)))
        return reply

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:  # noqa: ARG002 - see below
        # The answer is all there is: the message is in the conversation when it was taken, and nobody reports later.
        return ReceiptDraft(None, {}) if step == "delivered" else None

    def _note(self, request: Request, status: int, word: str) -> Reply:
        return self._calls.note_refusal(self, request.body, "invalid", Reply(status, word.encode(), _TEXT))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _flaw(message: dict[str, Any]) -> str | None:
    text, blocks = message.get("text"), message.get("blocks", [])
    if not message or not isinstance(text, str | None):
        return "invalid_payload"
    if not isinstance(blocks, list) or len(blocks) > MAX_BLOCKS or not all(isinstance(each, dict) for each in blocks):
        return "invalid_blocks"
    if not text and not blocks:
        return "no_text"
    return "invalid_payload" if text and len(text) > MAX_TEXT_CHARACTERS else None
