"""Settings of the app and the parts: process environment, then local.settings.json, then generated defaults.

Each part receives only what it needs: the sandbox never sees the Cosmos key, the app never sees the key receipts are
signed with. `local.settings.json` is the file of Azure Functions Core Tools
(https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local_azure.entra.identities import CLIENT_IDS
from local_azure.up.ports import HOST, Ports

# What any program needs to run; nothing else of the environment reaches the parts that play Azure.
_PROCESS_NAMES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONHASHSEED")
_PART_NAMES: Mapping[str, tuple[str, ...]] = {
    "entra": (),
    "servicebus": ("SERVICEBUS_SAS_KEY",),
    "cosmos": ("COSMOS_KEY",),
    "sandbox": (
        "SENDGRID_API_KEY",
        "SENDGRID_RECEIPT_PRIVATE_KEY_FILE",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "NOTIFICATION_HUBS_HUB",
        "NOTIFICATION_HUBS_CONNECTION",
        "NOTIFICATION_HUBS_RECEIPT_SECRET",
        "FCM_PUBLIC_KEY",
        "FCM_RECEIPT_SECRET",
        "TWILIO_WHATSAPP_ACCOUNT_SID",
        "TWILIO_WHATSAPP_AUTH_TOKEN",
        "ACS_EMAIL_CONNECTION",
        "ACS_EMAIL_RECEIPT_KEY",
        "ACS_SMS_CONNECTION",
        "ACS_SMS_RECEIPT_KEY",
        "SMTP_USERNAME",
        "SMTP_PASSWORD",
        "WEBHOOK_SIGNING_SECRET",
        "RECEIPTS_URL",
    ),
}
_NOT_FOR_THE_APP = {
    "COSMOS_KEY",
    "SERVICEBUS_SAS_KEY",
    "SENDGRID_RECEIPT_PRIVATE_KEY_FILE",
    "ACS_ACCESS_KEY",
    "FCM_PUBLIC_KEY",
    "RECEIPTS_URL",
}
# The address of a channel's first provider → the settings of those that stand by for it.
_STAND_BY: Mapping[str, tuple[str, ...]] = {
    "SENDGRID_BASE_URL": ("ACS_EMAIL_", "SMTP_"),
    "TWILIO_BASE_URL": ("ACS_SMS_",),
    "NOTIFICATION_HUBS_BASE_URL": ("FCM_",),
}


class BadLocalSettings(Exception):
    """local.settings.json cannot be used."""


@dataclass(frozen=True)
class Settings:
    """All settings by name, the process environment they came from, and which of them a person changed."""

    values: Mapping[str, str]
    environment: Mapping[str, str]
    chosen: Mapping[str, str]  # name → where from

    def for_part(self, part_name: str) -> dict[str, str]:
        """The environment of a part that plays a service."""
        process = {name: self.environment[name] for name in _PROCESS_NAMES if name in self.environment}
        return process | {name: self.values[name] for name in _PART_NAMES[part_name] if name in self.values}

    def for_app(self) -> dict[str, str]:
        """The environment of the Functions host and the app inside it."""
        merged = {**self.environment, **self.values}
        return {name: value for name, value in merged.items() if name not in _NOT_FOR_THE_APP}


def read_local_settings(project: Path) -> dict[str, str]:
    """`Values` of local.settings.json; empty ones and `<placeholders>` of the sample count as not set.

    Raises:
        BadLocalSettings: the file is there and is not JSON, or `Values` is not an object of strings.
    """
    path = project / "local.settings.json"
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig")).get("Values", {})
    except (ValueError, AttributeError) as error:
        raise BadLocalSettings(f"{path} is not a JSON object: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise BadLocalSettings(f"{path}: Values must be an object whose values are strings")
    return {name: value for name, value in values.items() if value and "<" not in value}


def resolve_settings(
    *,
    keys: Mapping[str, str],
    ports: Ports,
    tenant_id: str,
    local_settings: Mapping[str, str],
    environment: Mapping[str, str],
) -> Settings:
    """Everything by name, the strongest source winning: environment, local.settings.json, generated.

    Where a channel's first provider is somewhere else than in the sandbox, no stand-by of the sandbox's is configured:
    a mail that a real provider did not take must not count as sent because the sandbox did.
    """
    with_keys = {**keys, **local_settings, **environment}
    addresses = _addresses(with_keys, ports, tenant_id)
    generated = {**keys, **addresses, **_stand_by_providers(with_keys, ports)}
    for first, prefixes in _STAND_BY.items():
        if with_keys.get(first, addresses[first]) != addresses[first]:
            generated = {name: value for name, value in generated.items() if not name.startswith(prefixes)}
    known = {**generated, **local_settings}
    own = {name: environment[name] for name in known if name in environment}
    values = {**known, **own}
    sources = dict.fromkeys(local_settings, "local.settings.json") | dict.fromkeys(own, "the environment")
    chosen = {name: source for name, source in sources.items() if values[name] != generated.get(name)}
    return Settings(values=values, environment=environment, chosen=chosen)


def _addresses(keys: Mapping[str, str], ports: Ports, tenant_id: str) -> dict[str, str]:
    api = f"http://{HOST}:{ports.api}"
    sandbox = f"http://{HOST}:{ports.sandbox}"
    issuer = f"http://{HOST}:{ports.entra}/{tenant_id}"
    return {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "SERVICEBUS_CONNECTION": (
            f"Endpoint=sb://{HOST}:{ports.servicebus};SharedAccessKeyName=RootManageSharedAccessKey;"
            f"SharedAccessKey={keys['SERVICEBUS_SAS_KEY']};UseDevelopmentEmulator=true;"
        ),
        "COSMOS_CONNECTION": f"AccountEndpoint=http://{HOST}:{ports.cosmos}/;AccountKey={keys['COSMOS_KEY']};",
        "COSMOS_DATABASE": "cns",
        "SENDGRID_BASE_URL": sandbox,
        "SENDGRID_FROM_ADDRESS": "notifications@cns.example",
        "TWILIO_BASE_URL": sandbox,
        "TWILIO_FROM_NUMBER": "+15005550006",  # Twilio's magic number that sends successfully
        "NOTIFICATION_HUBS_BASE_URL": sandbox,
        "NOTIFICATION_HUBS_HUB": "cns",
        "SLACK_ENABLED": "true",
        "TWILIO_WHATSAPP_BASE_URL": sandbox,
        "TWILIO_WHATSAPP_FROM_NUMBER": "+14155238886",
        "PUBLIC_BASE_URL": api,
        "RECEIPTS_URL": api,
        "REPLY_TENANTS": f"*={CLIENT_IDS['demo']}",
        "REPLY_HELP_TEXT": "CNS demo. Write STOP to get no more messages, START to get them again.",
        "IDENTITY_ISSUER": f"{issuer}/v2.0",
        "IDENTITY_AUDIENCE": "api://cns",
        "IDENTITY_JWKS_URI": f"{issuer}/discovery/v2.0/keys",
        "ALLOW_HTTP_DESTINATIONS": "true",
        "SWEEP_SCHEDULE": "*/5 * * * * *",
        "PUBLISH_PATIENCE_SECONDS": "20",  # shorter than in Azure, so that a person sees recovery happen
        "IN_DOUBT_PATIENCE_SECONDS": "20",
    }


def _stand_by_providers(keys: Mapping[str, str], ports: Ports) -> dict[str, str]:
    resource = f"endpoint=http://{HOST}:{ports.sandbox}/;accesskey={keys['ACS_ACCESS_KEY']}"
    return {
        "ACS_EMAIL_CONNECTION": resource,
        "ACS_EMAIL_FROM_ADDRESS": "notifications@cns.example",
        "ACS_SMS_CONNECTION": resource,
        "ACS_SMS_FROM": "+18005550100",
        "FCM_BASE_URL": f"http://{HOST}:{ports.sandbox}",
        "FCM_TOKEN_BASE_URL": f"http://{HOST}:{ports.sandbox}",
        "SMTP_HOST": HOST,
        "SMTP_PORT": str(ports.smtp),
        "SMTP_TLS": "none",
        "SMTP_USERNAME": "cns",
        "SMTP_FROM_ADDRESS": "notifications@cns.example",
    }
