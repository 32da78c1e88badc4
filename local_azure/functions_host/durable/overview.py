"""A picture of the task hub for people: what is running, what ended lately, with history. JSON-able."""

from typing import Any

from local_azure.functions_host.durable.hub import Hub
from local_azure.functions_host.durable.instance import COMPLETED, Instance
from local_azure.functions_host.durable.status import status_document

_ENTRIES_SHOWN = 60


def overview(hub: Hub, *, task_hub: str, limit: int, show_payloads: bool) -> dict[str, Any]:
    """Counts by status, and the ``limit`` most recently changed live and finished instances."""
    counts = dict(hub.store.query("SELECT status, count(*) FROM inst GROUP BY status").fetchall())
    live = hub.store.instances("status IN ('Pending', 'Running', 'Suspended') ORDER BY updated DESC LIMIT ?", (limit,))
    over = hub.store.instances(
        "status NOT IN ('Pending', 'Running', 'Suspended') ORDER BY updated DESC LIMIT ?", (limit,)
    )
    owed = dict(hub.store.query("SELECT kind, count(*) FROM work GROUP BY kind").fetchall())
    return {
        "taskHub": task_hub,
        "counts": counts,
        "entities": hub.store.query("SELECT count(*) FROM ent").fetchone()[0],
        "owed": {"activities": owed.get("activity", 0) + owed.get("http", 0), "timers": owed.get("timer", 0)},
        "running": [_shown(hub, instance, show_payloads=show_payloads) for instance in live],
        "recent": [_shown(hub, instance, show_payloads=show_payloads) for instance in over],
    }


def _shown(hub: Hub, instance: Instance, *, show_payloads: bool) -> dict[str, Any]:
    rows = hub.store.history(instance.id)
    document = status_document(instance, show_input=show_payloads, history=rows, show_output=show_payloads)
    entries = document.pop("historyEvents")
    if not show_payloads and instance.status == COMPLETED:
        document["output"] = None
    return {
        **document,
        "createdTime": instance.created,
        "lastUpdatedTime": instance.updated,
        "version": instance.version,
        "parentInstanceId": instance.parent.instance_id if instance.parent else None,
        "history": entries[-_ENTRIES_SHOWN:],
        "historyEntries": len(entries),
    }
