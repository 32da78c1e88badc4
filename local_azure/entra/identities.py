"""The fixed identities of the local stand-in: one tenant, its client applications, the API and its app roles.

The ids are made up, have GUID shape, and mean nothing outside this stand-in; the clients' secrets are random and live
in the data folder.
"""

from __future__ import annotations

TENANT_ID = "5b1f8a52-0c3e-4f6d-9a7b-2d4e6f801c35"
AUDIENCE = "api://cns"

CLIENT_IDS = {
    "demo": "0d6c1e9a-7b42-4c58-8f13-a94e27d5b601",
    "orders": "1e7d2fab-8c53-4d69-9024-ba5f38e6c712",
    "marketing": "2f8e30bc-9d64-4e7a-a135-cb6049f7d823",
    "operator": "309f41cd-ae75-4f8b-b246-dc715a08e934",
}
"""Client applications by their local names; each is the consumer it stands for."""

ROLES = (
    "Notifications.Send",
    "Notifications.Read",
    "Preferences.Write",
    "Templates.Admin",
    "ApiKeys.Write",
    "DeadLetters.Replay",
    "Privacy.Erase",
    "Operations.Read",
    "Operations.Write",
)
"""App roles the API knows; a demo token carries all of them unless roles are asked for."""

ROLES_OF_CLIENT: dict[str, tuple[str, ...]] = {
    "demo": ROLES,
    "orders": ("Notifications.Send", "Notifications.Read"),
    "marketing": ("Notifications.Send", "Notifications.Read", "Preferences.Write", "Templates.Admin", "ApiKeys.Write"),
    "operator": ("ApiKeys.Write", "DeadLetters.Replay", "Privacy.Erase", "Operations.Read", "Operations.Write"),
}
