"""WhatsApp by Twilio: as Twilio's SMS (twilio.py), with other addresses, another content and more reasons to refuse.

https://www.twilio.com/docs/whatsapp/api, https://www.twilio.com/docs/content/send-templates-created-with-the-content-template-builder,
error codes of channels: https://www.twilio.com/docs/whatsapp/api/error-code-mapping (all read 2026-11-25)

Its settings are its own, though the account may be the one that sends SMS, so that either works without the other.

Unverified against the real service: approved templates (``ContentSid``), written from the documentation; and which of
the 63xxx codes come with the answer and which with a status callback: the documentation names most for both.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import orjson

from shared.channels.whatsapp import WhatsAppContent
from shared.domain.content import Content
from shared.domain.errors import Misconfigured, Rejected, Throttled, Transient
from shared.ports import HttpClient
from shared.providers import twilio
from shared.providers.provider_answer import Failure
from shared.providers.provider_settings import base_url, own_settings, shared_setting
from shared.providers.sms_senders import senders_of
from shared.providers.twilio import SERVICE, Twilio, TwilioSettings

CODES: Mapping[int, Failure] = {
    63001: (Misconfigured, "authentication_failed"),
    63003: (Rejected, "invalid_address"),
    63005: (Rejected, "invalid_content"),
    63007: (Misconfigured, "invalid_sender"),
    63008: (Misconfigured, "sender_misconfigured"),
    63010: (Transient, "provider_unavailable"),
    63012: (Transient, "provider_unavailable"),
    63013: (Rejected, "policy_violation"),
    63016: (Rejected, "template_required"),  # a text outside the 24 hours after the customer's last message
    63018: (Throttled, "too_many_requests"),
    63020: (Misconfigured, "account_suspended"),
    63021: (Rejected, "invalid_content"),
    63024: (Rejected, "invalid_address"),
    63027: (Rejected, "template_not_found"),
    63028: (Rejected, "template_parameters"),
    63032: (Rejected, "unreachable"),
}
RECEIPT_CODES: Mapping[str, str] = {str(code): reason for code, (_, reason) in CODES.items()}


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "TwilioWhatsApp | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None when no TWILIO_WHATSAPP_ setting is present.

    Raises:
        ValueError: a setting is missing or malformed; names it.
    """
    own = own_settings(
        settings,
        "TWILIO_WHATSAPP_BASE_URL",
        "TWILIO_WHATSAPP_ACCOUNT_SID",
        "TWILIO_WHATSAPP_AUTH_TOKEN",
        "TWILIO_WHATSAPP_FROM_NUMBER",
    )
    if own is None:
        return None
    return TwilioWhatsApp(
        TwilioSettings(
            base_url=base_url("TWILIO_WHATSAPP_BASE_URL", own["TWILIO_WHATSAPP_BASE_URL"]),
            account_sid=own["TWILIO_WHATSAPP_ACCOUNT_SID"],
            auth_token=own["TWILIO_WHATSAPP_AUTH_TOKEN"],
            senders=senders_of("TWILIO_WHATSAPP_FROM_NUMBER", own["TWILIO_WHATSAPP_FROM_NUMBER"], SERVICE),
            public_base_url=base_url("PUBLIC_BASE_URL", shared_setting(settings, "PUBLIC_BASE_URL")),
        ),
        http,
    )


class TwilioWhatsApp(Twilio):
    """Carries WhatsApp messages; posts receipts, ``read`` among them."""

    name = "twilio_whatsapp"
    channel = "whatsapp"
    scheme = "whatsapp:"
    codes: ClassVar[Mapping[int, Failure]] = {**twilio.CODES, **CODES}
    receipt_codes: ClassVar[Mapping[str, str]] = {**twilio.RECEIPT_CODES, **RECEIPT_CODES}

    def _said(self, content: Content) -> Sequence[tuple[str, str]]:
        if not isinstance(content, WhatsAppContent):
            raise Rejected("wrong_channel")
        if content.content_sid is None:
            return [("Body", content.text or "")]
        return [("ContentSid", content.content_sid), ("ContentVariables", orjson.dumps(content.variables).decode())]
