"""Contracts of the stand-by providers for email and SMS: Azure Communication Services, and any SMTP server."""

import base64
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit

import orjson

from shared.domain.address import EmailAddress, PhoneNumber
from shared.domain.content import EmailContent, SmsContent
from shared.domain.receipt import ReceiptKind
from shared.ports import ReceiptRequest
from shared.providers import acs_email, acs_sms, smtp
from tests.contract.contract_shape import SAMPLES, Contract, ReceiptContract, message
from tests.contract.wires import SmtpWire

RECEIPT_KEY = "a-key-of-thirty-two-characters-ok"
ACCESS_KEY = base64.b64encode(b"access key of the resource").decode()


def communication_settings(base_url: str) -> dict[str, str]:
    address = urlsplit(base_url)
    return {
        "ACS_EMAIL_CONNECTION": f"endpoint={base_url}/;accesskey={ACCESS_KEY}",
        "ACS_EMAIL_FROM_ADDRESS": "no-reply@example.com",
        "ACS_EMAIL_RECEIPT_KEY": RECEIPT_KEY,
        "ACS_SMS_CONNECTION": f"endpoint={base_url}/;accesskey={ACCESS_KEY}",
        "ACS_SMS_FROM": "+18005550100",
        "ACS_SMS_RECEIPT_KEY": RECEIPT_KEY,
        "SMTP_HOST": address.hostname or "",
        "SMTP_PORT": str(address.port or 25),
        "SMTP_TLS": "none",
        "SMTP_USERNAME": "user",
        "SMTP_PASSWORD": "password",
        "SMTP_FROM_ADDRESS": "Acme <no-reply@example.com>",
    }


# Settings without which the provider is still configured.
OPTIONAL = {"SMTP_PORT", "SMTP_TLS"}


def grid_receipt(name: str):
    def sign(body: bytes, at: datetime) -> ReceiptRequest:
        headers = {"x-cns-receipt-key": RECEIPT_KEY}
        return ReceiptRequest(f"/api/v1/receipts/{name}", {}, headers, body)

    return sign


def changed(sample: bytes, **data: object) -> bytes:
    """The sample's first event alone, with other data."""
    event = orjson.loads(sample)[0]
    return orjson.dumps([event | {"data": event["data"] | data}])


EMAIL_EVENTS = (SAMPLES / "acs_email-events.json").read_bytes()
SMS_EVENTS = (SAMPLES / "acs_sms-events.json").read_bytes()
OPERATION = "05563e3a-b5d3-d676-4c61-efb99302bd5b"

COMMUNICATION_CONTRACTS = {
    "acs_email": Contract(
        acs_email.from_settings,
        message("email", EmailAddress("pat@example.com"), EmailContent("Hello", "text", "<p>html</p>")),
        accepted=(
            202,
            {"Operation-Location": f"https://x.communication.azure.com/emails/operations/{OPERATION}"},
            b'{"id":"%s","status":"Running","error":null}' % OPERATION.encode(),
        ),
        message_id=OPERATION,
        rejected=(400, b'{"error":{"code":"BadRequest","message":"Invalid format for email address"}}'),
        receipts=ReceiptContract(
            grid_receipt("acs_email"),
            EMAIL_EVENTS,
            (
                ReceiptKind.DELIVERED,
                ReceiptKind.BOUNCED,
                ReceiptKind.BOUNCED,
                ReceiptKind.BOUNCED,
                ReceiptKind.FAILED,
                ReceiptKind.FAILED,
                ReceiptKind.SENT,
                ReceiptKind.OPENED,
                ReceiptKind.CLICKED,
            ),
            unknown=changed(EMAIL_EVENTS, status="teleported"),
            not_ours=lambda request: replace(
                request,
                body=changed(
                    request.body,
                    internetMessageId="<1@elsewhere.example>",
                    messageId="00000000-0000-0000-0000-000000000000",
                ),
            ),
            malformed=b'{"eventType":"Microsoft.Communication.EmailDeliveryReportReceived"}',
            signs_time=False,
            signs_body=False,
        ),
    ),
    "acs_sms": Contract(
        acs_sms.from_settings,
        message("sms", PhoneNumber("+15005550006"), SmsContent("Hello")),
        accepted=(
            202,
            {},
            b'{"value":[{"to":"+15005550006","messageId":"Outgoing_1","httpStatusCode":202,"successful":true}]}',
        ),
        message_id="Outgoing_1",
        rejected=(
            202,
            b'{"value":[{"to":"+1","httpStatusCode":400,"errorMessage":"Invalid format.","successful":false}]}',
        ),
        receipts=ReceiptContract(
            grid_receipt("acs_sms"),
            SMS_EVENTS,
            (
                ReceiptKind.DELIVERED,
                ReceiptKind.BOUNCED,
                ReceiptKind.FAILED,
                ReceiptKind.DEFERRED,
            ),
            unknown=changed(SMS_EVENTS, deliveryStatus="teleported", deliveryStatusDetails=""),
            not_ours=lambda request: replace(request, body=changed(request.body, tag="somebody-elses")),
            malformed=b'[{"eventType":"Microsoft.Communication.SMSDeliveryReportReceived"}]',
            signs_time=False,
            signs_body=False,
        ),
    ),
    "smtp": Contract(
        smtp.from_settings,
        message("email", EmailAddress("pat@example.com"), EmailContent("Hello", "text", "<p>html</p>")),
        message_id="<acme.01ARZ3NDEKTSV4RRFFQ69G5FAV.email.1@example.com>",
        wire=SmtpWire,
        hurry=lambda provider, timeout: setattr(provider, "_timeout", timeout),
    ),
}
