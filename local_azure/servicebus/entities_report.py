"""How deep every entity is, for people and for the supervisor."""

from datetime import UTC, datetime
from typing import Any

from local_azure.servicebus.broker import Broker


def _instant(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


def report(broker: Broker) -> list[dict[str, Any]]:
    """One entry for each queue and subscription (dead letters as a count), and each topic (scheduled only)."""
    entries = []
    for backlog in broker.backlogs.values():
        if backlog.dead_letters is None:
            continue
        depth = backlog.depth()
        dead = backlog.dead_letters.depth()
        entries.append(
            {
                "name": backlog.path,
                "kind": "subscription" if "/Subscriptions/" in backlog.path else "queue",
                "active": depth["active"],
                "locked": depth["locked"],
                "scheduled": depth["scheduled"],
                "deferred": depth["deferred"],
                "dead_letter": dead["active"],
                "oldest_enqueued_at": _instant(depth["oldest_enqueued_ms"]),
                "oldest_dead_letter_enqueued_at": _instant(dead["oldest_enqueued_ms"]),
            }
        )
    topics = [inlet for name, inlet in broker.inlets.items() if name not in broker.backlogs]
    entries.extend({"name": topic.path, "kind": "topic", "scheduled": len(topic.scheduled)} for topic in topics)
    return sorted(entries, key=lambda entry: str(entry["name"]))
