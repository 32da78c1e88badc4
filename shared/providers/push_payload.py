"""What a push says to the two platforms, the same for every provider of the channel.

FCM v1's message object: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
APNs' payload and headers: https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns
(both read 2026-11-25)

The attempt id travels in the payload's data, so that the app, and through it the customer's backend, can acknowledge.
The lane becomes the platform's priority: high and low say so, normal leaves the platform its default. ``expires_at``
becomes the time that the platform keeps the push for a device that is away.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from shared.domain.content import PushContent
from shared.domain.errors import Rejected
from shared.domain.notification import Lane
from shared.ports import OutboundMessage

MAX_PAYLOAD_BYTES = 4096  # of both platforms; what a provider takes beyond that, the platform drops in silence
LONGEST_TIME_TO_LIVE = timedelta(days=28)  # FCM's own maximum
ANDROID_PRIORITY: Mapping[Lane, str] = {Lane.HIGH: "HIGH", Lane.LOW: "NORMAL"}
APNS_PRIORITY: Mapping[Lane, str] = {Lane.HIGH: "10", Lane.LOW: "5"}


def push_content(message: OutboundMessage) -> PushContent:
    """The message's content. Raises Rejected when it is no push."""
    if not isinstance(message.content, PushContent):
        raise Rejected("wrong_channel")
    return message.content


def fcm_message(message: OutboundMessage, now: datetime) -> dict[str, Any]:
    """FCM v1's message object, without its target.

    Raises:
        Rejected: it is more than the platform takes.
    """
    content = push_content(message)
    said = {"notification": {"title": content.title, "body": content.body}, "data": _data(message)}
    _check_size(said)
    android = _present(
        {
            "priority": ANDROID_PRIORITY.get(message.lane),
            "ttl": f"{_seconds_left(message.expires_at, now)}s" if message.expires_at else None,
            "collapse_key": content.collapse_key,
        }
    )
    headers = apns_headers(message)
    return said | ({"android": android} if android else {}) | ({"apns": {"headers": headers}} if headers else {})


def apns_payload(message: OutboundMessage) -> bytes:
    """What APNs takes as its body.

    Raises:
        Rejected: it is more than the platform takes.
    """
    content = push_content(message)
    return _check_size({**_data(message), "aps": {"alert": {"title": content.title, "body": content.body}}})


def apns_headers(message: OutboundMessage) -> dict[str, str]:
    """APNs' own headers for the message; only those that differ from the platform's defaults."""
    headers = {
        "apns-priority": APNS_PRIORITY.get(message.lane),
        "apns-expiration": str(int(message.expires_at.timestamp())) if message.expires_at else None,
        "apns-collapse-id": push_content(message).collapse_key,
    }
    return _present(headers)


def _data(message: OutboundMessage) -> dict[str, str]:
    return {**push_content(message).data, "attempt_id": message.attempt_id}


def _check_size(payload: Mapping[str, Any]) -> bytes:
    encoded = orjson.dumps(payload)
    if len(encoded) > MAX_PAYLOAD_BYTES:
        raise Rejected("content_too_large")
    return encoded


def _seconds_left(expires_at: datetime, now: datetime) -> int:
    return int(max(timedelta(0), min(expires_at - now, LONGEST_TIME_TO_LIVE)).total_seconds())


def _present(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
