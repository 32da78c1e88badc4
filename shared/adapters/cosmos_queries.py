"""Every query this app sends to Cosmos DB, with its scope and cost. Point reads and writes are not queries.

| name | container | scope | runs | request units |
|---|---|---|---|---|
| OVERDUE | notification-tracking | all partitions | by the sweeper's timer | 3 a physical partition + 1 a hit |
| OWNERS | notification-tracking | all partitions | receipts that name no tenant | 3 a physical partition + 1 a hit |
| BY_IDS | notification-tracking | one partition | when a claim is refused, when somebody lists | 3 + 1 a document |
| BY_IDS | customer-timeline | one partition | when the change feed shows again what is in the index | 3 + 1 a page |
| STORE_TIME | rate-limits | one partition | every 30 s a process with a limited provider | 3 |
| STORE_TIME | customer-preferences | one partition | once a process | 3 |
| CHANGES_SINCE | customer-preferences | one partition | twice a second a process, while it works | 3 + 1 a change |
| ENDPOINTS | callback-endpoints | one partition | at most every few seconds a process and tenant | 3 |
| dead_letters | dead-letters | one partition, or all for all tenants | when somebody lists | 3 + 1 a letter |
| count_dead_letters | dead-letters | all partitions | when somebody counts, seven times | 3 a physical partition |
| NEWEST_REPLAYS | dead-letters | one partition | when somebody lists replays | 3 + 1 a replay |
| RUNNING_REPLAYS | dead-letters | one partition | once a minute, by a timer | 3 |
| ACTIVE_QUARANTINES | rate-limits | one partition | every two seconds a process, while it delivers | 3 |
| QUARANTINES | rate-limits | one partition | when an operator lists | 3 |
| timeline_pages | customer-timeline | one partition | when somebody lists, for each day | 3 + 1 a page of the index |
| DATA_KEYS | data-keys | all partitions | once a day, by a timer | 3 a physical partition + 1 a key |
| SEALED_WITH | notification-tracking | all partitions | once a day for each old data key | 3 a physical partition |
| API_KEYS | api-keys | all partitions | when somebody administers keys | 3 a physical partition + 1 a key |
| AUDIT_ENTRIES | audit-logs | one partition | when an operator reads or verifies the audit trail | 3 + 1 an entry |
"""

from collections.abc import Iterable


def overdue(channels: Iterable[str]) -> str:
    """Notifications with a delivery whose wake-up time (``@now``) has passed, at most ``@limit``."""
    clauses = " OR ".join(f"c.deliveries.{channel}.wakeAt <= @now" for channel in channels)
    return f"SELECT TOP @limit * FROM c WHERE c.type = 'notification' AND ({clauses})"  # noqa: S608 - no input in it


NEWEST_FIRST, OLDEST_FIRST = "DESC", "ASC"
_DEAD_LETTER_CONDITIONS = {
    "tag": "c.tag = @tag",
    "channel": "c.channel = @channel",
    "template": "c.template.id = @template",
    "state": "c.state = @state",
    "takenBy": "(c.state = 'open' OR c.replay.id = @takenBy)",
    "tenantId": "c.tenantId = @tenantId",
}


def dead_letters(wanted: Iterable[str], order: str) -> str:
    """Dead letters of ``@day`` from position ``@since`` to below ``@until``, with what is ``wanted``, by position."""
    return (
        "SELECT TOP @limit * FROM c WHERE c.type = 'dead-letter' AND c.day = @day"  # noqa: S608 - no input in it
        f" AND c.position >= @since AND c.position < @until{_conditions(wanted)} ORDER BY c.position {order}"
    )


def count_dead_letters(wanted: Iterable[str]) -> str:
    """How many dead letters there are from ``@since`` to before ``@until``."""
    return (
        "SELECT VALUE COUNT(1) FROM c WHERE c.type = 'dead-letter' AND c.day >= @first AND c.day <= @last"  # noqa: S608
        f" AND c.position >= @since AND c.position < @until{_conditions(wanted)}"
    )


def _conditions(wanted: Iterable[str]) -> str:
    return "".join(f" AND {_DEAD_LETTER_CONDITIONS[name]}" for name in wanted)


def timeline_pages(terms: int) -> str:
    """The first ``@limit`` pages of the index, from ``@newest`` back to ``@oldest``, with ``@term0`` and its like."""
    conditions = "".join(f" AND ARRAY_CONTAINS(c.terms, @term{number})" for number in range(terms))
    return (
        "SELECT TOP @limit * FROM c WHERE c.type = 'page' AND c.window >= @oldest AND c.window <= @newest"  # noqa: S608 - no input
        f"{conditions} ORDER BY c.window DESC"
    )


NEWEST_REPLAYS = "SELECT TOP @limit * FROM c WHERE c.type = 'replay' ORDER BY c.orderedAt DESC"
RUNNING_REPLAYS = "SELECT * FROM c WHERE c.type = 'replay' AND c.state = 'running'"
BY_IDS = "SELECT * FROM c WHERE ARRAY_CONTAINS(@ids, c.id)"
OWNERS = "SELECT c.id, c.partitionKey FROM c WHERE ARRAY_CONTAINS(@ids, c.id) AND c.type = 'notification'"
AUDIT_ENTRIES = "SELECT TOP @limit * FROM c WHERE c.type = 'entry' AND c.sequence < @before ORDER BY c.sequence DESC"
API_KEYS = "SELECT * FROM c WHERE c.type = 'api-key' AND c.tenantId = @tenantId"
ENDPOINTS = "SELECT * FROM c WHERE c.type = 'endpoint'"
QUARANTINES = "SELECT * FROM c WHERE c.type = 'quarantine'"
ACTIVE_QUARANTINES = "SELECT * FROM c WHERE c.type = 'quarantine' AND c.state = 'active'"
STORE_TIME = "SELECT VALUE GetCurrentTimestamp()"
CHANGES_SINCE = "SELECT c.id, c.tenantId, c.subject, c._ts AS at FROM c WHERE c._ts >= @since"
DATA_KEYS = "SELECT c.id, c.tenantId, c.wrappedBy FROM c WHERE c.type = 'data-key'"
SEALED_WITH = "SELECT TOP 1 c.id FROM c WHERE c.sealed.by = @by AND c.tenantId = @tenant"
