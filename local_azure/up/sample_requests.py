"""One request per channel, as a consumer would send it; the template's own sample supplies the data."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TEMPLATE = {"id": "order-confirmation", "locale": "en"}
_TEMPLATE_FILE = Path("shared/templates/order-confirmation/1.1.0/template.json")


def sample_requests(project: Path, sandbox_url: str) -> dict[str, dict[str, Any]]:
    """Channel → body of POST /api/v1/notifications."""
    addresses: Mapping[str, dict[str, Any]] = {
        "email": {"email": "ada@example.com"},
        "sms": {"phone": "+4915112345678"},
        "push": {"deviceTokens": [{"platform": "fcm", "token": "demo-device"}]},
        "webhook": {"webhookUrl": f"{sandbox_url}/webhooks/demo"},
        "slack": {"slackWebhookUrl": f"{sandbox_url}/services/demo"},
        "whatsapp": {"phone": "+4915112345678"},
    }
    data = json.loads((project / _TEMPLATE_FILE).read_text(encoding="utf-8"))["sample"]
    return {
        channel: {
            "recipient": {"customerId": "cust_demo", **address},
            "channels": [channel],
            "template": _TEMPLATE,
            "data": data,
        }
        for channel, address in addresses.items()
    }
