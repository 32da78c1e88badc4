"""What the indexing policy decides for a query: ORDER BY over several keys needs a composite index.

https://learn.microsoft.com/azure/cosmos-db/index-policy#composite-indexes (read 2026-11). Everything else the policy
says is stored and shown, and has no effect here.
"""

from typing import Any

from local_azure.cosmos.errors import bad_request
from local_azure.cosmos.sql.evaluator import constant_path
from local_azure.cosmos.sql.select import Select


def _serves(index: list[dict[str, Any]], wanted: list[tuple[str, bool]]) -> bool:
    have = [(entry.get("path", ""), entry.get("order", "ascending") == "descending") for entry in index]
    reversed_have = [(path, not descending) for path, descending in have]
    return wanted in (have, reversed_have)


def check_order(policy: dict[str, Any], select: Select) -> None:
    """Raises 400 when no composite index serves an ORDER BY of several keys."""
    orders = select.query.order_by
    if len(orders) < 2:
        return
    wanted = []
    for order in orders:
        path = constant_path(order.value)
        wanted.append(("/" + "/".join(path[1]) if path else "", order.descending))
    if not any(_serves(index, wanted) for index in policy.get("compositeIndexes") or []):
        raise bad_request(
            "The order by query does not have a corresponding composite index that it can be served from."
        )
