"""How each provider posts its receipts: body, headers and signature.

SendGrid: JSON array of events (Event Webhook, at most 768 KB per post). Twilio and WhatsApp: one form per change.
Communication Services: Event Grid, a JSON array with one event, and a key of ours as a delivery property.
Push providers post nothing themselves; the customer's mobile backend acknowledges with a Standard Webhooks JSON post.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

import orjson

from local_azure.provider_sandbox import signatures
from local_azure.provider_sandbox.receipts import Post, Receipt, ReceiptFormat
from local_azure.provider_sandbox.settings import Settings, SettingsError

SENDGRID, TWILIO, WHATSAPP = "sendgrid", "twilio", "twilio_whatsapp"
HUB_ACKNOWLEDGEMENT, FCM_ACKNOWLEDGEMENT = "notification_hubs", "fcm"
ACS_EMAIL, ACS_SMS = "acs_email", "acs_sms"


class SendGridEvents:
    """Signed Event Webhook."""

    max_batch = 500  # about 250 KB
    gather_seconds = 0.05

    def __init__(self, private_key_pem: str) -> None:
        self._key = signatures.load_sendgrid_key(private_key_pem)

    def compose(self, receipts: Sequence[Receipt], now: float) -> Post:
        body = orjson.dumps([receipt.payload for receipt in receipts])
        timestamp = str(int(now))
        signed = b"forged" if receipts[0].forged else body
        return Post(
            {
                "Content-Type": "application/json",
                "User-Agent": "SendGrid Event API",
                "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
                "X-Twilio-Email-Event-Webhook-Signature": signatures.sendgrid_signature(self._key, timestamp, signed),
            },
            body,
        )


class TwilioStatusCallback:
    """Form post to the message's StatusCallback URL."""

    max_batch = 1
    gather_seconds = 0.0

    def __init__(self, auth_token: str) -> None:
        self._auth_token = auth_token

    def compose(self, receipts: Sequence[Receipt], now: float) -> Post:  # noqa: ARG002 - Twilio signs no timestamp
        receipt = receipts[0]
        token = "forged" if receipt.forged else self._auth_token
        return Post(
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "User-Agent": "TwilioProxy/1.1",
                "X-Twilio-Signature": signatures.twilio_signature(token, receipt.url, receipt.payload),
            },
            urlencode(receipt.payload).encode(),
        )


class EventGridPost:
    """Event Grid's delivery to a webhook; nothing is signed, the key of the subscription comes along."""

    max_batch = 1  # output batching is off unless a subscription turns it on
    gather_seconds = 0.0

    def __init__(self, key: str) -> None:
        self._key = key.split(maxsplit=1)[0]

    def compose(self, receipts: Sequence[Receipt], now: float) -> Post:  # noqa: ARG002 - Event Grid signs no timestamp
        receipt = receipts[0]
        return Post(
            {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "EventGrid",
                "aeg-event-type": "Notification",
                "aeg-subscription-name": "LOCAL",
                "aeg-delivery-count": str(receipt.tries),
                "x-cns-receipt-key": "forged-key-of-nobody" if receipt.forged else self._key,
            },
            orjson.dumps([receipt.payload]),
        )


class PushAcknowledgement:
    """Standard Webhooks post of the customer's mobile backend."""

    max_batch = 1
    gather_seconds = 0.0

    def __init__(self, secret: str) -> None:
        self._keys = signatures.webhook_keys(secret)

    def compose(self, receipts: Sequence[Receipt], now: float) -> Post:
        receipt = receipts[0]
        body = orjson.dumps(receipt.payload)
        # The id stays the same over retries: it is the receiver's idempotency key.
        webhook_id, timestamp = f"ack_{receipt.payload['data']['notificationId']}_{receipt.step}", str(int(now))
        keys = (b"forged",) if receipt.forged else self._keys
        return Post(
            {
                "Content-Type": "application/json",
                "User-Agent": "mobile-backend",
                "webhook-id": webhook_id,
                "webhook-timestamp": timestamp,
                "webhook-signature": signatures.standard_webhook_signatures(keys, webhook_id, timestamp, body),
            },
            body,
        )


def receipt_formats(settings: Settings) -> dict[str, ReceiptFormat]:
    """The formats whose signing secret is set. Raises: SettingsError."""
    try:
        formats: dict[str, ReceiptFormat] = {}
        if settings.sendgrid_receipt_private_key:
            formats[SENDGRID] = SendGridEvents(settings.sendgrid_receipt_private_key)
        if settings.twilio_auth_token:
            formats[TWILIO] = TwilioStatusCallback(settings.twilio_auth_token)
        if settings.acs_email_receipt_key:
            formats[ACS_EMAIL] = EventGridPost(settings.acs_email_receipt_key)
        if settings.acs_sms_receipt_key:
            formats[ACS_SMS] = EventGridPost(settings.acs_sms_receipt_key)
        if settings.hub_receipt_secret:
            formats[HUB_ACKNOWLEDGEMENT] = PushAcknowledgement(settings.hub_receipt_secret)
        if settings.fcm_receipt_secret:
            formats[FCM_ACKNOWLEDGEMENT] = PushAcknowledgement(settings.fcm_receipt_secret)
        if settings.whatsapp_auth_token:
            formats[WHATSAPP] = TwilioStatusCallback(settings.whatsapp_auth_token)
    except signatures.SigningKeyError as error:
        raise SettingsError(f"a receipt's signing secret cannot be used: {error}") from error
    return formats
