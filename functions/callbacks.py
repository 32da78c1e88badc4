"""Call back: change feed → queue → signed POST."""

import azure.functions as func

from shared.bootstrap import services
from shared.contracts.callback_payload import CallbackBatch
from shared.pipeline import callbacks
from shared.pipeline.poison import read_or_bury
from shared.pipeline.services import CALLBACKS

blueprint = func.Blueprint()


@blueprint.function_name("fire_callbacks")
@blueprint.cosmos_db_trigger(
    arg_name="documents",
    connection="COSMOS_CONNECTION",
    database_name="%COSMOS_DATABASE%",
    container_name="notification-tracking",
    lease_container_name="leases",
    lease_container_prefix="callbacks",
    feed_poll_delay=200,
    max_items_per_invocation=100,
    start_from_beginning=True,  # type: ignore[arg-type]  # the SDK's annotation says time and means bool
)
@blueprint.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:01:00"
)
async def fire_callbacks(documents: func.DocumentList) -> None:
    """Queues a callback for each wanted status that has none yet."""
    changed = await callbacks.heard_changes(documents, services())
    await callbacks.fire_callbacks(changed, services())


@blueprint.function_name("send_callbacks")
@blueprint.service_bus_queue_trigger(arg_name="message", queue_name=CALLBACKS, connection="SERVICEBUS_CONNECTION")
async def send_callbacks(message: func.ServiceBusMessage) -> None:
    """Posts queued callbacks, signed."""
    batch = await read_or_bury(CallbackBatch, message.get_body(), CALLBACKS, services())
    if batch:
        await callbacks.send_callbacks(batch, services())
