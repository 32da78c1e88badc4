"""WhatsApp by Twilio: the Messages resource again, for numbers that begin with `whatsapp:`; `read` is reported too.

https://www.twilio.com/docs/whatsapp/api and https://www.twilio.com/docs/content/overview (read 2026-11). Approved
templates are shown by their SID and variables, since their text lives in the account. The 24 hours after a customer's
last message are always open, but for one magic number.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import orjson

from local_azure.provider_sandbox.http_exchange import Request
from local_azure.provider_sandbox.provider_calls import Call, Part, ProviderCalls, ReceiptDraft
from local_azure.provider_sandbox.settings import Settings
from local_azure.provider_sandbox.twilio import PATH, Twilio, call_of, find_error

PREFIX = "whatsapp:"
_TEMPLATE = re.compile(r"HX[0-9a-fA-F]{32}")


class WhatsApp(Twilio):
    """The Messages resource, for WhatsApp."""

    provider = "twilio_whatsapp"
    channel = "whatsapp"
    statuses = Twilio.statuses | {"opened": ("read", None), "outside-window": ("undelivered", 63016)}

    def __init__(self, calls: ProviderCalls, settings: Settings) -> None:
        super().__init__(calls, settings)
        self._account_sid, self._auth_token = settings.whatsapp_account_sid, settings.whatsapp_auth_token

    def takes(self, request: Request) -> bool:
        path = PATH.fullmatch(request.path)
        if path is None:
            return False
        if path["sid"] is not None:
            return path["sid"] in self._messages
        form = request.body.decode("utf-8", "replace") if request.method == "POST" else request.query_string
        return dict(parse_qsl(form)).get("To", "").startswith(PREFIX)

    def find_form_error(self, form: dict[str, str]) -> int | None:
        sender, template = form.get("From", ""), form.get("ContentSid", "")
        if sender and not sender.startswith(PREFIX):
            return 21910
        if template and not _TEMPLATE.fullmatch(template):
            return 21656
        return find_error(_without_prefix(form))

    def call(self, form: dict[str, str], account: str, body: bytes) -> Call:
        call = call_of(_without_prefix(form), account, body)
        call.extra["form"] = form
        call.content = {"text": form.get("Body", "")} | _template(form)
        call.sender = form.get("From") or form.get("MessagingServiceSid", "")
        return call

    def receipt(self, call: Call, part: Part, step: str, at: float) -> ReceiptDraft | None:
        draft = super().receipt(call, part, step, at)
        if draft is None:
            return None
        own = {"To": f"{PREFIX}{part.recipient}", "ChannelPrefix": "whatsapp", "ChannelToAddress": part.recipient}
        read = {"EventType": "READ"} if draft.payload["MessageStatus"] == "read" else {}
        return ReceiptDraft(draft.url, draft.payload | own | read)

    def resource(self, call: Call) -> dict[str, Any]:
        return super().resource(call) | {"to": f"{PREFIX}{call.parts[0].recipient}"}


def _without_prefix(form: dict[str, str]) -> dict[str, str]:
    return form | {name: form[name].removeprefix(PREFIX) for name in ("To", "From") if name in form}


def _template(form: dict[str, str]) -> dict[str, Any]:
    if "ContentSid" not in form:
        return {}
    try:
        variables = orjson.loads(form.get("ContentVariables") or "{}")
    except orjson.JSONDecodeError:
        variables = {}
    return {"contentSid": form["ContentSid"], "variables": variables}
