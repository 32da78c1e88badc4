"""A mail server that takes submissions: what arrives over SMTP becomes a provider call like any other.

RFC 5321 and RFC 3463 (read 2026-11). The attempt id is the header `X-CNS-Attempt-Id`. Nothing comes back later: a real
server would mail a bounce to the sender, which nobody reads. What happens to the message shows in the inbox all the
same.
"""

from __future__ import annotations

import os
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr
from typing import Any, cast

from local_azure.provider_sandbox.http_exchange import Reply
from local_azure.provider_sandbox.outcomes import Outcome
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.settings import Settings

_SHOWN_HEADERS = (
    "From",
    "To",
    "Date",
    "Message-ID",
    "X-CNS-Attempt-Id",
    "Auto-Submitted",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
_REFUSALS = {
    400: b"550 5.1.1 no such mailbox\r\n",
    401: b"535 5.7.8 the credentials are invalid\r\n",
    429: b"450 4.7.28 too many messages, slow down\r\n",
    500: b"451 4.3.0 local error in processing\r\n",
    502: b"451 4.4.1 no answer from the next host\r\n",
    503: b"421 4.3.2 service not available\r\n",
}
_OTHER_REFUSAL = b"554 5.0.0 transaction failed\r\n"


class Smtp:
    """Takes messages; the reply's body is the line that answers the final dot."""

    provider = "smtp"
    channel = "email"
    success_status = 250

    def __init__(self, calls: ProviderCalls, settings: Settings) -> None:
        self._calls = calls
        self.credentials = (settings.smtp_username, settings.smtp_password) if settings.smtp_username else None

    async def submit(self, sender: str, recipients: list[str], raw: bytes) -> Reply | None:
        """The answer to a whole message; None cuts the connection."""
        return await self._calls.answer(self, _call(sender, recipients, raw))

    def succeed(self, call: Call) -> Reply:
        return Reply(250, f"250 2.0.0 queued as {call.provider_id}\r\n".encode())

    def refuse(self, outcome: Outcome, call: Call) -> Reply:  # noqa: ARG002 - the answer names no recipient
        return Reply(outcome.status, _REFUSALS.get(outcome.status, _OTHER_REFUSAL))

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:  # noqa: ARG002 - nothing is posted
        return ReceiptDraft(None, {})


def _call(sender: str, recipients: list[str], raw: bytes) -> Call:
    mail = cast("EmailMessage", message_from_bytes(raw, policy=default))
    attempt_id = mail["X-CNS-Attempt-Id"]
    content: dict[str, Any] = {
        "subject": str(mail["Subject"] or ""),
        "from": dict(zip(("name", "email"), parseaddr(str(mail["From"] or "")), strict=True)),
        "headers": {name: str(mail[name]) for name in _SHOWN_HEADERS if mail[name]},
        "text": _part(mail, "plain"),
        "html": _part(mail, "html"),
    }
    parts = [Part(recipient, str(attempt_id) if attempt_id else None) for recipient in recipients]
    return Call(raw, os.urandom(8).hex().upper(), sender, content, parts)


def _part(mail: EmailMessage, kind: str) -> str | None:
    part = mail.get_body((kind,))
    if part is None:
        return None
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):
        return "(not readable)"
