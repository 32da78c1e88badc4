"""A customer's profile as it is stored. What an older version did not write has its default.

The addresses are sealed; profiles from before that have them in the open, and are read alike.
"""

from datetime import datetime, time
from typing import Any

from shared.contracts.http_api import RecipientModel
from shared.contracts.sealing import Sealer, context_of, opened_part, sealed_part
from shared.contracts.stored_documents import instant, stamp
from shared.domain.preferences import Consent, Preferences, QuietHours

_ID, _FIELD = "profile", "addresses"


def profile_document(
    tenant: str, customer_id: str, preferences: Preferences, sealer: Sealer | None = None
) -> dict[str, Any]:
    """The document of a profile; without a ``sealer`` the addresses are in the open."""
    addresses = RecipientModel.model_construct(**preferences.addresses).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    return _rest_of_profile(tenant, customer_id, preferences) | _addresses(tenant, customer_id, addresses, sealer)


def _addresses(tenant: str, customer_id: str, addresses: dict[str, Any], sealer: Sealer | None) -> dict[str, Any]:
    if sealer is None:
        return {"addresses": addresses}
    return sealed_part(addresses, context_of(tenant, customer_id, _FIELD, _ID), sealer)


def _opened(document: dict[str, Any], sealer: Sealer | None) -> dict[str, Any]:
    if "sealed" not in document or sealer is None:
        in_the_open: dict[str, Any] = document.get("addresses", {})
        return in_the_open
    return opened_part(document, context_of(document["tenantId"], document["customerId"], _FIELD, _ID), sealer)


def _rest_of_profile(tenant: str, customer_id: str, preferences: Preferences) -> dict[str, Any]:
    quiet = preferences.quiet_hours
    return {
        "id": _ID,
        "partitionKey": f"{tenant}:{customer_id}",
        "type": "profile",
        "schemaVersion": 2,
        "tenantId": tenant,
        "customerId": customer_id,
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


def preferences_of(document: dict[str, Any], sealer: Sealer | None = None) -> Preferences:
    """The profile in a document. Raises ValueError when the sealer does not open it."""
    quiet = document.get("quietHours")
    return Preferences(
        addresses=RecipientModel.model_validate(_opened(document, sealer)).to_domain().written,
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
        paused_until=instant(document.get("pausedUntil")),
        changed_at=instant(document.get("changedAt")),
    )
