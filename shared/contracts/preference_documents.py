"""A customer's profile as it is stored. What an older version did not write has its default."""

from datetime import datetime, time
from typing import Any

from shared.contracts.http_api import RecipientModel
from shared.contracts.stored_documents import stamp
from shared.domain.preferences import Consent, Preferences, QuietHours


def profile_document(tenant: str, customer_id: str, preferences: Preferences) -> dict[str, Any]:
    """The document of a profile."""
    quiet = preferences.quiet_hours
    return {
        "id": "profile",
        "partitionKey": f"{tenant}:{customer_id}",
        "type": "profile",
        "schemaVersion": 1,
        "tenantId": tenant,
        "customerId": customer_id,
        "addresses": RecipientModel.model_construct(**preferences.addresses).model_dump(
            mode="json", by_alias=True, exclude_none=True
        ),
        "locale": preferences.locale,
        "timeZone": preferences.time_zone,
        "consents": [
            {
                "category": category,
                "channel": channel,
                "granted": word.granted,
                "source": word.source,
                "at": stamp(word.at),
            }
            for (category, channel), word in preferences.consents.items()
        ],
        "quietHours": {"start": quiet.start.isoformat(), "end": quiet.end.isoformat()} if quiet else None,
        "fallbackOrder": list(preferences.fallback_order),
        "pausedUntil": stamp(preferences.paused_until) if preferences.paused_until else None,
        "changedAt": stamp(preferences.changed_at) if preferences.changed_at else None,
    }


def preferences_of(document: dict[str, Any]) -> Preferences:
    """The profile in a document."""
    quiet = document.get("quietHours")
    return Preferences(
        addresses=RecipientModel.model_validate(document.get("addresses", {})).to_domain().written,
        locale=document.get("locale"),
        time_zone=document.get("timeZone"),
        consents={
            (each["category"], each["channel"]): Consent(
                each["granted"], each["source"], datetime.fromisoformat(each["at"])
            )
            for each in document.get("consents", ())
        },
        quiet_hours=QuietHours(time.fromisoformat(quiet["start"]), time.fromisoformat(quiet["end"])) if quiet else None,
        fallback_order=tuple(document.get("fallbackOrder", ())),
        paused_until=_instant(document.get("pausedUntil")),
        changed_at=_instant(document.get("changedAt")),
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
