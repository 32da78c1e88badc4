"""Takes a channel and a recipient, gives the outcome: the table of recipients that make something happen.

The style is that of GOV.UK Notify's and Twilio's test recipients. An email address is magic by its local part up to a
"+" (`bounce+anything@example.com`), a device token by its beginning (`bounce-anything`), a webhook, Slack's too, by the
last part of its address (`/webhooks/reject`), a phone number by being in the table. The README shows the table; a test
compares them.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

from local_azure.provider_sandbox.outcomes import DELIVERED, HANG_MS, SLOW_MS, Outcome, refused

EMAIL, SMS, PUSH, WEBHOOK, SLACK, WHATSAPP = "email", "sms", "push", "webhook", "slack", "whatsapp"
_ALL = (EMAIL, SMS, PUSH, WEBHOOK, SLACK, WHATSAPP)
_WITH_RECEIPTS = (EMAIL, SMS, PUSH, WHATSAPP)
_BY_NUMBER = (SMS, WHATSAPP)
_REMEMBERED_RECIPIENTS = 10_000


@dataclass(frozen=True, slots=True)
class MagicRecipient:
    """One row. `counted`: the first n calls (`-n`, default 1) meet the outcome, the next is accepted, and so on."""

    outcome: Outcome
    meaning: str
    channels: tuple[str, ...] = _WITH_RECEIPTS
    phone: str = ""
    counted: bool = False


TABLE: tuple[MagicRecipient, ...] = (
    MagicRecipient(
        Outcome("bounce", steps=("sent", "bounced")), "accepted, then a hard bounce; SMS 30003", phone="+15005550100"
    ),
    MagicRecipient(
        Outcome("blocked", steps=("sent", "blocked")), "accepted, then a soft bounce; SMS 30007", phone="+15005550101"
    ),
    MagicRecipient(
        Outcome("dropped", steps=("dropped",)), "accepted, then dropped unsent; SMS failed 30008", phone="+15005550102"
    ),
    MagicRecipient(
        Outcome("deferred", steps=("sent", "deferred", "delivered")), "delivered after a deferral", (EMAIL,)
    ),
    MagicRecipient(
        Outcome("complaint", steps=("sent", "delivered", "complained")), "delivered, then reported as spam", (EMAIL,)
    ),
    MagicRecipient(
        Outcome("unsubscribe", steps=("sent", "delivered", "unsubscribed")), "delivered, then unsubscribes", (EMAIL,)
    ),
    MagicRecipient(
        Outcome("opened", steps=("sent", "delivered", "opened")),
        "delivered, then opened; WhatsApp: read",
        (EMAIL, PUSH, WHATSAPP),
        phone="+15005550117",
    ),
    MagicRecipient(
        Outcome("outside-window", steps=("outside-window",)),
        "accepted, then 63016: the customer has not written for 24 hours",
        (WHATSAPP,),
        phone="+15005550118",
    ),
    MagicRecipient(
        Outcome("clicked", steps=("sent", "delivered", "opened", "clicked")),
        "delivered, opened, a link clicked",
        (EMAIL,),
    ),
    MagicRecipient(Outcome("never-delivered", steps=()), "accepted, no receipt ever", phone="+15005550103"),
    MagicRecipient(
        Outcome("late-receipt", receipt_delay_ms=60_000), "delivered, receipt after a minute", phone="+15005550104"
    ),
    MagicRecipient(
        Outcome("duplicate-receipts", posts_twice=True), "delivered, each receipt posted twice", phone="+15005550105"
    ),
    MagicRecipient(
        Outcome("reversed-receipts", steps=("delivered", "sent")),
        "delivered, receipts in the wrong order",
        (EMAIL, SMS, WHATSAPP),
        phone="+15005550106",
    ),
    MagicRecipient(
        Outcome("forged-receipt", forges_signature=True), "receipts with a wrong signature", phone="+15005550107"
    ),
    MagicRecipient(
        refused("temporary-failure", 500),
        "500 for the first n calls, then accepted",
        _ALL,
        "+15005550201",
        counted=True,
    ),
    MagicRecipient(
        refused("throttled", 429, retry_after_seconds=2),
        "429 with Retry-After for the first n calls, then accepted",
        _ALL,
        "+15005550301",
        counted=True,
    ),
    MagicRecipient(refused("unavailable", 503), "503, always", _ALL, "+15005550108"),
    MagicRecipient(refused("overloaded", 429, retry_after_seconds=30), "429, always", _ALL, "+15005550109"),
    MagicRecipient(refused("reject", 400), "400: the provider will never take it", _ALL, "+15005550110"),
    MagicRecipient(refused("unauthorized", 401), "401, as with a wrong credential", _ALL, "+15005550111"),
    MagicRecipient(refused("gone", 410), "410: the device or endpoint is no more", (PUSH, WEBHOOK, SLACK)),
    MagicRecipient(refused("redirect", 302), "302 to another address", (WEBHOOK,)),
    MagicRecipient(refused("invalid-number", 400), "21211, Twilio's own test number", (SMS,), "+15005550001"),
    MagicRecipient(refused("unreachable", 400), "21612, Twilio's own test number", (SMS,), "+15005550002"),
    MagicRecipient(refused("no-permission", 400), "21408, Twilio's own test number", (SMS,), "+15005550003"),
    MagicRecipient(refused("opted-out", 400), "21610, Twilio's own test number", (SMS,), "+15005550004"),
    MagicRecipient(refused("landline", 400), "21614, Twilio's own test number", (SMS,), "+15005550009"),
    MagicRecipient(Outcome("hang", delay_ms=HANG_MS), "accepted, answered after 60 s", _ALL, phone="+15005550112"),
    MagicRecipient(Outcome("slow", delay_ms=SLOW_MS), "accepted, answered after 5 s", _ALL, phone="+15005550113"),
    MagicRecipient(
        Outcome("reset", accepted=False, steps=(), cuts_connection=True),
        "connection cut, nothing accepted",
        _ALL,
        "+15005550114",
    ),
    MagicRecipient(
        Outcome("reset-after-accept", cuts_connection=True),
        "accepted, then the connection is cut",
        _ALL,
        "+15005550115",
    ),
    MagicRecipient(
        Outcome("malformed", garbled=True), "accepted, but the answer is garbage", _ALL, phone="+15005550116"
    ),
)

_BY_NAME = {row.outcome.name: row for row in TABLE}
_MAX_COUNT = 9
_NUMBERS_IN_NAMES = re.compile(
    "(" + "|".join(sorted(map(re.escape, _BY_NAME), key=len, reverse=True)) + r")(?:-(\d{1,2}))?(?:[-+:].*)?"
)


def _phones() -> dict[str, tuple[MagicRecipient, int]]:
    numbers = {row.phone: (row, 1) for row in TABLE if row.phone}
    for row in TABLE:
        if row.phone and row.counted:
            numbers |= {row.phone[:-1] + str(n): (row, n) for n in range(1, _MAX_COUNT + 1)}
    return numbers


_BY_PHONE = _phones()


class MagicRecipients:
    """Looks recipients up and remembers how often the counted ones have failed (a bounded, least-recent memory)."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[str, str], int] = OrderedDict()

    def outcome(self, channel: str, recipient: str) -> Outcome:
        """What this call shall become. Counted recipients move one step with each look."""
        found = _find(channel, recipient)
        if found is None:
            return DELIVERED
        row, limit = found
        if row.counted and not self._fails_once_more((channel, recipient), limit):
            return DELIVERED
        return row.outcome

    def _fails_once_more(self, key: tuple[str, str], limit: int) -> bool:
        failures = self._failures.pop(key, 0)
        if failures >= limit:
            return False
        self._failures[key] = failures + 1
        if len(self._failures) > _REMEMBERED_RECIPIENTS:
            self._failures.popitem(last=False)
        return True


def _find(channel: str, recipient: str) -> tuple[MagicRecipient, int] | None:
    if channel in _BY_NUMBER:
        listed = _BY_PHONE.get(recipient)
        return listed if listed and channel in listed[0].channels else None
    name = recipient.partition("@")[0].lower() if channel == EMAIL else recipient
    match = _NUMBERS_IN_NAMES.fullmatch(name)
    if match is None:
        return None
    row = _BY_NAME[match[1]]
    return (row, int(match[2] or 1)) if channel in row.channels else None
