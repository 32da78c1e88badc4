"""docs/providers.md shows the tables that the code uses."""

from pathlib import Path

import pytest

from shared.providers import (
    fcm,
    google_access_token,
    notification_hubs,
    push_acknowledgement,
    sendgrid,
    twilio,
    webhook,
)

PAGE = (Path(__file__).parents[3] / "docs" / "providers.md").read_text(encoding="utf-8")
FAILURES = {
    "sendgrid": [sendgrid.STATUSES, {f"`{prefix}`": failure for prefix, failure in sendgrid.FIELDS}],
    "twilio": [twilio.CODES, twilio.STATUSES],
    "notification_hubs": [notification_hubs.STATUSES],
    "fcm": [{f"`{code}`": failure for code, failure in fcm.CODES.items()}, fcm.STATUSES],
    "Tokens of Google": [google_access_token.STATUSES],
}
KINDS = {
    "sendgrid": [sendgrid.EVENTS],
    "twilio": [twilio.MESSAGE_STATUSES],
    "Acknowledgements of pushes": [push_acknowledgement.ACKNOWLEDGEMENTS],
}
REASONS = {"sendgrid": [sendgrid.DROPS], "twilio": [twilio.RECEIPT_CODES]}


def section(name: str) -> list[str]:
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0].splitlines()


@pytest.mark.parametrize("name", list(FAILURES))
def test_shows_every_failure(name):
    rows = {
        f"| {code} | {kind.__name__} | {reason} |" for table in FAILURES[name] for code, (kind, reason) in table.items()
    }

    assert rows - set(section(name)) == set()


@pytest.mark.parametrize("name", list(KINDS))
def test_shows_every_kind_of_receipt(name):
    rows = {f"| `{code}` | {kind.value} |" for table in KINDS[name] for code, kind in table.items()}

    assert rows - set(section(name)) == set()


@pytest.mark.parametrize("name", list(REASONS))
def test_shows_every_reason(name):
    rows = {f"| {code} | `{reason}` |" for table in REASONS[name] for code, reason in table.items()}

    assert rows - set(section(name)) == set()


def test_shows_every_reason_of_webhooks():
    page = "\n".join(section("webhook"))

    assert {reason for _, reason in webhook.STATUSES.values() if reason not in page} == set()
