"""What follows from changes of notifications: change feed → next channels, callbacks.

One function for both: each change would otherwise be read, sent to a worker and decoded once more.
"""

import azure.functions as func

from shared.adapters.durable_orchestrations import DurableOutcomeWaiter
from shared.bootstrap import services
from shared.pipeline import changes

blueprint = func.Blueprint()


@blueprint.function_name("follow_changes")
@blueprint.cosmos_db_trigger(
    arg_name="documents",
    connection="COSMOS_CONNECTION",
    database_name="%COSMOS_DATABASE%",
    container_name="notification-tracking",
    lease_container_name="leases",
    lease_container_prefix="callbacks",  # its first use; another prefix would begin the feed anew
    feed_poll_delay=200,
    max_items_per_invocation=100,
    start_from_beginning=True,  # type: ignore[arg-type]  # the SDK's annotation says time and means bool
)
@blueprint.generic_input_binding(arg_name="starter", type="durableClient")
@blueprint.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:01:00"
)
async def follow_changes(documents: func.DocumentList, starter: str) -> None:
    """Lets the next channel take over where it is its turn, and queues a callback for each status that has none yet."""
    await changes.follow_changes(documents, services(), DurableOutcomeWaiter(starter))
