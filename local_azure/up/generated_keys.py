"""Random keys of one data folder: made once, kept in settings.json (0600), never in the code.

Shapes follow what each service hands out, because SDKs and verifiers parse them: Cosmos DB account keys are 64 bytes
in base64; SendGrid shows its receipt key as base64 DER SubjectPublicKeyInfo of a P-256 key
(https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features);
Standard Webhooks secrets are `whsec_` and 24 to 64 bytes in base64.
"""

import base64
import json
import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from local_azure.up.data_folder import DataFolder, write_privately


def load_or_make_keys(folder: DataFolder) -> dict[str, str]:
    """The folder's keys; names missing from an older settings.json are added, present ones never change."""
    kept: dict[str, str] = {}
    if folder.settings_file.exists():
        kept = json.loads(folder.settings_file.read_text())
    keys = kept | {name: make() for name, make in _MAKERS.items() if name not in kept}
    keys |= _receipt_key_pair(folder, keys)
    keys |= _service_account(keys)
    keys |= _data_keys_file(folder)
    if keys != kept:
        write_privately(folder.settings_file, json.dumps(keys, indent=2) + "\n")
    return keys


def _receipt_key_pair(folder: DataFolder, keys: dict[str, str]) -> dict[str, str]:
    """The key SendGrid would sign receipts with: private half in a file for the sandbox, public half for the app."""
    private_file = folder.path / "keys" / "sendgrid_receipts.pem"
    if private_file.exists() and "SENDGRID_RECEIPT_PUBLIC_KEY" in keys:
        return {"SENDGRID_RECEIPT_PRIVATE_KEY_FILE": str(private_file)}
    private_key = ec.generate_private_key(ec.SECP256R1())
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    private_file.parent.mkdir(mode=0o700, exist_ok=True)
    write_privately(private_file, pem.decode())
    public_der = private_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "SENDGRID_RECEIPT_PRIVATE_KEY_FILE": str(private_file),
        "SENDGRID_RECEIPT_PUBLIC_KEY": base64.b64encode(public_der).decode(),
    }


def _data_keys_file(folder: DataFolder) -> dict[str, str]:
    """The file that stands for the key in Key Vault which wraps the app's data keys; made once, kept for ever."""
    key_file = folder.path / "keys" / "data_keys.json"
    if not key_file.exists():
        key_file.parent.mkdir(mode=0o700, exist_ok=True)
        keys = {"newest": "k1", "keys": {"k1": _random_base64(32)}}
        write_privately(key_file, json.dumps(keys, indent=2) + "\n")
    return {"DATA_KEYS_PROVIDER": "local", "DATA_KEYS_FILE": str(key_file)}


def _service_account(keys: dict[str, str]) -> dict[str, str]:
    """The key file that Google would hand out for the app, and its public half, which the sandbox checks with."""
    if "FCM_SERVICE_ACCOUNT" in keys and "FCM_PUBLIC_KEY" in keys:
        return {}
    private_key = rsa.generate_private_key(65537, 2048)
    pem = private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "cns-local",
        "private_key_id": secrets.token_hex(20),
        "private_key": pem.decode(),
        "client_email": "push@cns-local.example",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    public = private_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {"FCM_SERVICE_ACCOUNT": json.dumps(account), "FCM_PUBLIC_KEY": public.decode()}


def _random_base64(size_bytes: int) -> str:
    return base64.b64encode(secrets.token_bytes(size_bytes)).decode()


def _webhook_secret() -> str:
    return f"whsec_{_random_base64(32)}"


def _hub_connection() -> str:
    return (
        "Endpoint=sb://cns-local.servicebus.windows.net/;SharedAccessKeyName=DefaultFullSharedAccessSignature;"
        f"SharedAccessKey={_random_base64(32)}"
    )


_MAKERS: dict[str, Callable[[], str]] = {
    "COSMOS_KEY": lambda: _random_base64(64),
    "SERVICEBUS_SAS_KEY": lambda: _random_base64(32),
    "SENDGRID_API_KEY": lambda: f"SG.{secrets.token_urlsafe(16)}.{secrets.token_urlsafe(32)}",
    "ACS_ACCESS_KEY": lambda: _random_base64(64),
    "ACS_EMAIL_RECEIPT_KEY": lambda: secrets.token_urlsafe(32),
    "ACS_SMS_RECEIPT_KEY": lambda: secrets.token_urlsafe(32),
    "SMTP_PASSWORD": lambda: secrets.token_urlsafe(24),
    "TWILIO_ACCOUNT_SID": lambda: f"AC{secrets.token_hex(16)}",
    "TWILIO_AUTH_TOKEN": lambda: secrets.token_hex(16),
    "TWILIO_WHATSAPP_ACCOUNT_SID": lambda: f"AC{secrets.token_hex(16)}",
    "TWILIO_WHATSAPP_AUTH_TOKEN": lambda: secrets.token_hex(16),
    "FCM_RECEIPT_SECRET": _webhook_secret,
    "NOTIFICATION_HUBS_CONNECTION": _hub_connection,
    "NOTIFICATION_HUBS_RECEIPT_SECRET": _webhook_secret,
    "WEBHOOK_SIGNING_SECRET": _webhook_secret,
    "BUCKET_SECRET": lambda: _random_base64(32),
    "CALLBACK_SECRETS_KEY": lambda: _random_base64(32),
}
