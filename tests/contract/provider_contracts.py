"""What the contract suites know of each provider: how it is set up, what its vendor answers, how its receipts look.

A new provider adds one entry to ``CONTRACTS`` (docs/adding-a-provider.md). Receipts are signed here independently of
the code under test, with keys made for the run.
"""

import base64
import hmac
import json
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.adapters.guarded_destinations import GuardedClient
from shared.adapters.http_client import AiohttpClient
from shared.domain.address import Devices, DeviceToken, EmailAddress, PhoneNumber, WebhookUrl
from shared.domain.content import EmailContent, PushContent, SmsContent, WebhookContent
from shared.domain.receipt import ReceiptKind
from shared.domain.webhook_signature import signed_headers
from shared.ports import ReceiptRequest
from shared.providers import fcm, notification_hubs, sendgrid, twilio, webhook
from tests.contract.chat_contracts import CHAT_CONTRACTS, PUBLIC_BASE_URL, chat_settings
from tests.contract.communication_contracts import COMMUNICATION_CONTRACTS, OPTIONAL, communication_settings
from tests.contract.contract_shape import NOW, SAMPLES, Contract, ReceiptContract, message

__all__ = ["CONTRACTS", "NOW", "OPTIONAL", "WITH_RECEIPTS", "build", "settings_for", "twilio_receipt"]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECEIPT_KEY = ec.generate_private_key(ec.SECP256R1())
SERVICE_ACCOUNT_KEY = rsa.generate_private_key(65537, 2048)
SERVICE_ACCOUNT = json.dumps(
    {
        "type": "service_account",
        "project_id": "acme-app",
        "private_key_id": "key-1",
        "private_key": SERVICE_ACCOUNT_KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        "client_email": "push@acme-app.example",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
)
PUBLIC_KEY = base64.b64encode(
    RECEIPT_KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
).decode()


def settings_for(base_url: str) -> dict[str, str]:
    return {
        "SENDGRID_BASE_URL": base_url,
        "SENDGRID_API_KEY": "SG.key",
        "SENDGRID_FROM_ADDRESS": "Acme <no-reply@example.com>",
        "SENDGRID_RECEIPT_PUBLIC_KEY": PUBLIC_KEY,
        "TWILIO_BASE_URL": base_url,
        "TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000001",
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_FROM_NUMBER": "+15017250604",
        "NOTIFICATION_HUBS_BASE_URL": base_url,
        "NOTIFICATION_HUBS_HUB": "hub",
        "NOTIFICATION_HUBS_CONNECTION": "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=n;SharedAccessKey=k",
        "NOTIFICATION_HUBS_RECEIPT_SECRET": SECRET,
        "FCM_BASE_URL": base_url,
        "FCM_TOKEN_BASE_URL": base_url,
        "FCM_SERVICE_ACCOUNT": SERVICE_ACCOUNT,
        "FCM_RECEIPT_SECRET": SECRET,
        "WEBHOOK_SIGNING_SECRET": SECRET,
        "PUBLIC_BASE_URL": PUBLIC_BASE_URL,
        **communication_settings(base_url),
        **chat_settings(base_url),
    }


def sendgrid_receipt(body: bytes, at: datetime) -> ReceiptRequest:
    timestamp = str(int(at.timestamp()))
    signature = base64.b64encode(RECEIPT_KEY.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    headers = {
        "x-twilio-email-event-webhook-timestamp": timestamp,
        "x-twilio-email-event-webhook-signature": signature,
    }
    return ReceiptRequest("/api/v1/receipts/sendgrid", {}, headers, body)


def twilio_receipt(body: bytes, at: datetime) -> ReceiptRequest:
    attempt_id = "acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.sms.1"
    path = f"/api/v1/receipts/twilio?attempt_id={attempt_id}"
    text = PUBLIC_BASE_URL + path + "".join(n + v for n, v in sorted(parse_qsl(body.decode(), keep_blank_values=True)))
    signature = base64.b64encode(hmac.digest(b"token", text.encode(), "sha1")).decode()
    return ReceiptRequest(path, {"attempt_id": attempt_id}, {"x-twilio-signature": signature}, body)


def push_receipt(body: bytes, at: datetime) -> ReceiptRequest:
    headers = signed_headers([SECRET], "ack-1", at, body)
    return ReceiptRequest("/api/v1/receipts/any-push-provider", {}, headers, body)


def push_receipts() -> ReceiptContract:
    return ReceiptContract(
        push_receipt,
        (SAMPLES / "push-acknowledged.json").read_bytes(),
        (ReceiptKind.DELIVERED,),
        unknown=b'{"timestamp":"2026-11-24T12:30:00Z","data":{"attemptId":'
        b'"acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.push.1","status":"teleported"}}',
        not_ours=lambda request: replace(request, body=b'{"data":{"attemptId":"other","status":"delivered"}}'),
        malformed=b"[]",
    )


PUSH = message("push", Devices((DeviceToken("fcm", "device-1"),)), PushContent("Hi", "There", {"k": "v"}))

CONTRACTS = {
    "sendgrid": Contract(
        sendgrid.from_settings,
        message("email", EmailAddress("pat@example.com"), EmailContent("Hello", "text", "<p>html</p>")),
        accepted=(202, {"X-Message-Id": "14c5d75ce93.dfd.64b469"}, b""),
        message_id="14c5d75ce93.dfd.64b469",
        rejected=(400, b'{"errors":[{"message":"invalid","field":"personalizations.0.to.0.email"}]}'),
        receipts=ReceiptContract(
            sendgrid_receipt,
            (SAMPLES / "sendgrid-events.json").read_bytes(),
            (
                ReceiptKind.SENT,
                ReceiptKind.DEFERRED,
                ReceiptKind.DELIVERED,
                ReceiptKind.OPENED,
                ReceiptKind.CLICKED,
                ReceiptKind.BOUNCED,
                ReceiptKind.BOUNCED,
                ReceiptKind.FAILED,
                ReceiptKind.COMPLAINED,
                ReceiptKind.UNSUBSCRIBED,
                ReceiptKind.UNSUBSCRIBED,
            ),
            unknown=b'[{"event":"teleported","timestamp":1,"attempt_id":"acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.email.1"}]',
            not_ours=lambda request: replace(request, body=b'[{"event":"delivered","timestamp":1}]'),
            malformed=b'{"event":"delivered"}',
        ),
    ),
    "twilio": Contract(
        twilio.from_settings,
        message("sms", PhoneNumber("+15005550006"), SmsContent("Hello")),
        accepted=(201, {"Content-Type": "application/json"}, b'{"sid":"SM1f0e8ae6","status":"queued"}'),
        message_id="SM1f0e8ae6",
        rejected=(400, b'{"code":21211,"message":"Invalid To","status":400}'),
        receipts=ReceiptContract(
            twilio_receipt,
            (SAMPLES / "twilio-undelivered.form").read_bytes(),
            (ReceiptKind.BOUNCED,),
            unknown=b"MessageStatus=teleported&MessageSid=SM1",
            not_ours=lambda request: replace(request, query={"attempt_id": "someone-elses"}),
            malformed=b"Nothing=1",
            signs_time=False,
        ),
    ),
    "notification_hubs": Contract(
        notification_hubs.from_settings,
        PUSH,
        accepted=(201, {"Location": "https://ns.servicebus.windows.net/hub/messages/22-33-1?api-version=2020-06"}, b""),
        message_id="22-33-1",
        rejected=(410, b"<Error><Code>410</Code></Error>"),
        receipts=push_receipts(),
    ),
    "fcm": Contract(
        fcm.from_settings,
        PUSH,
        accepted=(200, {"Content-Type": "application/json"}, b'{"name":"projects/acme-app/messages/0:15%31"}'),
        message_id="0:15%31",
        rejected=(
            404,
            b'{"error":{"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}',
        ),
        receipts=push_receipts(),
    ),
    "webhook": Contract(
        webhook.from_settings,
        message("webhook", WebhookUrl("{base_url}/hook"), WebhookContent('{"a":1}')),
        accepted=(204, {}, b""),
        message_id=None,
        rejected=(410, b""),
        unauthorised=None,  # the recipient has no account of ours
        delivered=True,
    ),
    **COMMUNICATION_CONTRACTS,
    **CHAT_CONTRACTS,
}
WITH_RECEIPTS = [name for name, contract in CONTRACTS.items() if contract.receipts]


def build(name: str):
    # Neither client connects before its first call, so none needs closing here.
    return CONTRACTS[name].factory(settings_for("http://127.0.0.1:9"), AiohttpClient(), GuardedClient(allow_http=True))
