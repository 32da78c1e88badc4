"""The personal part of a stored notification: who is reached where, with what words, values and remarks.

It is one sealed text on the document (sealing.py). Documents from before have it in the open.
"""

from collections.abc import Mapping
from typing import Any

from shared.contracts.sealing import Sealer, context_of, opened_part, sealed_part
from shared.domain.notification import Delivery, Notification

PERSONAL = "personal"
_NOT_OPENED: Mapping[str, Any] = {"deliveries": {}}


def personal_of(notification: Notification) -> dict[str, Any]:
    """What is personal about the notification, and nobody but its deliveries needs."""
    personal: dict[str, Any] = {
        "deliveries": {channel: _personal_part(delivery) for channel, delivery in notification.deliveries.items()}
    }
    if notification.data:
        personal["data"] = dict(notification.data)
    if notification.metadata:
        personal["metadata"] = dict(notification.metadata)
    return personal


def _personal_part(delivery: Delivery) -> dict[str, Any]:
    part: dict[str, Any] = {"address": delivery.address.stored()}
    if delivery.content:
        part["content"] = delivery.content.stored()
    return part


def with_personal(document: dict[str, Any], personal: dict[str, Any], sealer: Sealer | None) -> dict[str, Any]:
    """The document with its personal part: sealed, or without a ``sealer`` in the open."""
    if sealer:
        return document | sealed_part(personal, _place(document), sealer)
    deliveries = {
        channel: delivery | personal["deliveries"].get(channel, {})
        for channel, delivery in document["deliveries"].items()
    }
    return document | personal | {"deliveries": deliveries}


def opened(document: Mapping[str, Any], sealer: Sealer | None) -> Mapping[str, Any]:
    """The personal part, wherever it is; empty where it is sealed and there is no key, or where it was erased."""
    if "sealed" not in document:
        return document
    if sealer is None:
        return _NOT_OPENED
    return opened_part(document, _place(document), sealer)


def _place(document: Mapping[str, Any]) -> str:
    return context_of(document["tenantId"], document.get("customerId"), PERSONAL, document["id"])
