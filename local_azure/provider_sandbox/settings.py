"""The sandbox's settings, from the environment.

Credentials that are not set are not checked; without its signing secret a provider posts no receipts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(ValueError):
    """A setting cannot be used; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class HubConnection:
    """A Notification Hubs connection string's parts."""

    key_name: str
    key: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment says; empty text means "not set"."""

    sendgrid_api_key: str
    sendgrid_receipt_private_key: str
    twilio_account_sid: str
    twilio_auth_token: str
    hub_name: str
    hub_connection: HubConnection | None
    hub_receipt_secret: str
    fcm_public_key: str
    fcm_receipt_secret: str
    whatsapp_account_sid: str
    whatsapp_auth_token: str
    acs_email_connection: str
    acs_email_receipt_key: str
    acs_sms_connection: str
    acs_sms_receipt_key: str
    smtp_username: str
    smtp_password: str
    webhook_signing_secret: str
    receipts_url: str


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ`. Raises: SettingsError."""
    return Settings(
        sendgrid_api_key=environ.get("SENDGRID_API_KEY", ""),
        sendgrid_receipt_private_key=_private_key(environ),
        twilio_account_sid=environ.get("TWILIO_ACCOUNT_SID", ""),
        twilio_auth_token=environ.get("TWILIO_AUTH_TOKEN", ""),
        hub_name=environ.get("NOTIFICATION_HUBS_HUB", ""),
        hub_connection=_hub_connection(environ.get("NOTIFICATION_HUBS_CONNECTION", "")),
        hub_receipt_secret=environ.get("NOTIFICATION_HUBS_RECEIPT_SECRET", ""),
        fcm_public_key=environ.get("FCM_PUBLIC_KEY", "").replace("\\n", "\n"),
        fcm_receipt_secret=environ.get("FCM_RECEIPT_SECRET", ""),
        whatsapp_account_sid=environ.get("TWILIO_WHATSAPP_ACCOUNT_SID", ""),
        whatsapp_auth_token=environ.get("TWILIO_WHATSAPP_AUTH_TOKEN", ""),
        acs_email_connection=environ.get("ACS_EMAIL_CONNECTION", ""),
        acs_email_receipt_key=environ.get("ACS_EMAIL_RECEIPT_KEY", ""),
        acs_sms_connection=environ.get("ACS_SMS_CONNECTION", ""),
        acs_sms_receipt_key=environ.get("ACS_SMS_RECEIPT_KEY", ""),
        smtp_username=environ.get("SMTP_USERNAME", ""),
        smtp_password=environ.get("SMTP_PASSWORD", ""),
        webhook_signing_secret=environ.get("WEBHOOK_SIGNING_SECRET", ""),
        receipts_url=environ.get("RECEIPTS_URL", "http://127.0.0.1:7071").rstrip("/"),
    )


def _private_key(environ: Mapping[str, str]) -> str:
    text = environ.get("SENDGRID_RECEIPT_PRIVATE_KEY", "")
    file = environ.get("SENDGRID_RECEIPT_PRIVATE_KEY_FILE", "")
    if text or not file:
        return text.replace("\\n", "\n")
    try:
        return Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise SettingsError(f"SENDGRID_RECEIPT_PRIVATE_KEY_FILE: {error.strerror}: {file}") from error


def _hub_connection(text: str) -> HubConnection | None:
    if not text:
        return None
    pairs = (part.partition("=") for part in text.split(";"))
    parts = {name.strip().lower(): value for name, _, value in pairs}
    for name in ("SharedAccessKeyName", "SharedAccessKey"):
        if not parts.get(name.lower()):
            raise SettingsError(f"NOTIFICATION_HUBS_CONNECTION has no {name}")
    return HubConnection(parts["sharedaccesskeyname"], parts["sharedaccesskey"])
