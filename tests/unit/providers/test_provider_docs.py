"""docs/providers.md shows the tables that the code uses."""

from pathlib import Path

import pytest

from shared.domain.capabilities import capabilities_of
from shared.providers import (
    acs_email,
    acs_sms,
    fcm,
    google_access_token,
    notification_hubs,
    push_acknowledgement,
    sendgrid,
    slack,
    smtp,
    twilio,
    twilio_whatsapp,
    webhook,
)
from tests.contract.provider_contracts import CONTRACTS, build

PAGE = (Path(__file__).parents[3] / "docs" / "providers.md").read_text(encoding="utf-8")
FAILURES = {
    "sendgrid": [sendgrid.STATUSES, {f"`{prefix}`": failure for prefix, failure in sendgrid.FIELDS}],
    "acs_email": [acs_email.CODES, acs_email.STATUSES],
    "smtp": [smtp.ENHANCED, smtp.CODES, {stage.name.lower(): failure for stage, failure in smtp.STAGES.items()}],
    "twilio": [twilio.CODES, twilio.STATUSES],
    "acs_sms": [acs_sms.ITEM_STATUSES, acs_sms.STATUSES],
    "notification_hubs": [notification_hubs.STATUSES],
    "fcm": [{f"`{code}`": failure for code, failure in fcm.CODES.items()}, fcm.STATUSES],
    "slack": [{f"`{word}`": failure for word, failure in slack.WORDS.items()}, slack.STATUSES],
    "twilio_whatsapp": [twilio_whatsapp.CODES],
    "Tokens of Google": [google_access_token.STATUSES],
}
KINDS = {
    "sendgrid": [sendgrid.EVENTS],
    "twilio": [twilio.MESSAGE_STATUSES],
    "acs_email": [acs_email.ENGAGEMENTS],
    "acs_sms": [acs_sms.STATUSES_OF_REPORTS],
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


def test_shows_what_reports_of_emails_mean():
    rows = {
        f"| `{status}` | {kind.value} | {f'`{acs_email.REASONS[status]}`' if status in acs_email.REASONS else ''} |"
        for status, kind in acs_email.REPORTS.items()
    }

    assert {row.replace("|  |", "| |") for row in rows} - set(section("acs_email")) == set()


def test_shows_what_codes_of_reports_of_sms_mean():
    rows = {f"| {code} | {kind.value} | `{reason}` |" for code, (kind, reason) in acs_sms.CODES.items()}

    assert rows - set(section("acs_sms")) == set()


def test_every_provider_is_in_the_matrix():
    matrix = [line.split(" | ")[0].strip("| ") for line in section("Capabilities")]

    assert set(CONTRACTS) <= set(matrix)


def test_shows_the_limits_that_routing_reads():
    limits = {
        row[0]: row[1:]
        for line in section("Capabilities")
        if len(row := [cell.strip() for cell in line.strip("|").split("|")]) == 5
    }

    for name, (messages, email, text, _) in limits.items():
        if name in CONTRACTS:
            provider = build(name)
            table = capabilities_of(provider)
            assert messages == f"{getattr(provider, 'group_limit', 1):,}"
            assert email in {
                "",
                f"{(table.max_message_bytes or 0) // 2**20} MiB" if table.max_message_bytes else "not known",
            }
            assert text in {
                "",
                f"{table.max_text_characters:,} characters" if table.max_text_characters else "not known",
            }
