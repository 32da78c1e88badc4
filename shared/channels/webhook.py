"""Webhook: the recipient's own endpoint gets the notification's data as signed JSON (https://www.standardwebhooks.com)."""

import json
from collections.abc import Mapping
from typing import Annotated

from shared.contracts.field_types import JsonObject, plain
from shared.domain.address import WebhookUrl
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import WebhookContent
from shared.domain.notification import JsonValue

_MAX_URL_LENGTH = 2048


def _literal(document: JsonObject) -> WebhookContent:
    return WebhookContent(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def _address(recipient: Recipient) -> WebhookUrl:
    url = recipient.written.get("webhook_url")
    if url is None:
        raise AddressProblem("/recipient/webhookUrl", "is required for channel webhook")
    if len(url) > _MAX_URL_LENGTH or not url.isascii() or not url.isprintable():
        raise AddressProblem("/recipient/webhookUrl", "is not an http or https URL")
    return WebhookUrl(url)


def _compose(_parts: Mapping[str, str], template: str, data: Mapping[str, JsonValue]) -> WebhookContent:
    return WebhookContent(json.dumps({"type": template, "data": data}, ensure_ascii=False, separators=(",", ":")))


WEBHOOK = Channel(
    name="webhook",
    max_attempts=6,
    parts=(),
    required_parts=(),
    recipient={"webhook_url": Annotated[str, plain(_MAX_URL_LENGTH)]},
    address=_address,
    restore_address=WebhookUrl.restored,
    literal=JsonObject,
    from_literal=_literal,
    compose=_compose,
    restore_content=WebhookContent.restored,
)
