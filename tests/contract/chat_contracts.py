"""Contracts of the chat channels' providers: Slack's incoming webhooks, and WhatsApp by Twilio."""

import base64
import hmac
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qsl

from shared.channels.slack import SlackContent, SlackHook
from shared.channels.whatsapp import WhatsAppContent
from shared.domain.address import PhoneNumber
from shared.domain.receipt import ReceiptKind
from shared.ports import ReceiptRequest
from shared.providers import slack, twilio_whatsapp
from tests.contract.contract_shape import SAMPLES, Contract, ReceiptContract, message

PUBLIC_BASE_URL = "https://notify.example.com"


def chat_settings(base_url: str) -> dict[str, str]:
    return {
        "SLACK_ENABLED": "true",
        "TWILIO_WHATSAPP_BASE_URL": base_url,
        "TWILIO_WHATSAPP_ACCOUNT_SID": "AC00000000000000000000000000000002",
        "TWILIO_WHATSAPP_AUTH_TOKEN": "whatsapp-token",
        "TWILIO_WHATSAPP_FROM_NUMBER": "+14155238886",
    }


def whatsapp_receipt(body: bytes, at: datetime) -> ReceiptRequest:
    attempt_id = "acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.whatsapp.1"
    path = f"/api/v1/receipts/twilio_whatsapp?attempt_id={attempt_id}"
    text = PUBLIC_BASE_URL + path + "".join(n + v for n, v in sorted(parse_qsl(body.decode(), keep_blank_values=True)))
    signature = base64.b64encode(hmac.digest(b"whatsapp-token", text.encode(), "sha1")).decode()
    return ReceiptRequest(path, {"attempt_id": attempt_id}, {"x-twilio-signature": signature}, body)


CHAT_CONTRACTS = {
    "slack": Contract(
        slack.from_settings,
        message("slack", SlackHook("{base_url}/services/T0/B0/x"), SlackContent("Hello")),
        accepted=(200, {"Content-Type": "text/html"}, b"ok"),
        message_id=None,
        rejected=(410, b"channel_is_archived"),
        unauthorised=None,  # the recipient has no account of ours
        delivered=True,
    ),
    "twilio_whatsapp": Contract(
        twilio_whatsapp.from_settings,
        message("whatsapp", PhoneNumber("+15005550006"), WhatsAppContent("Hello")),
        accepted=(201, {"Content-Type": "application/json"}, b'{"sid":"SM1f0e8ae7","status":"queued"}'),
        message_id="SM1f0e8ae7",
        rejected=(400, b'{"code":63003,"message":"Channel could not find To address","status":400}'),
        receipts=ReceiptContract(
            whatsapp_receipt,
            (SAMPLES / "twilio_whatsapp-read.form").read_bytes(),
            (ReceiptKind.OPENED,),
            unknown=b"MessageStatus=teleported&MessageSid=SM1",
            not_ours=lambda request: replace(request, query={"attempt_id": "someone-elses"}),
            malformed=b"Nothing=1",
            signs_time=False,
        ),
    ),
}
