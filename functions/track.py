"""Track: status events that are not in the store yet, from the status topic."""

import azure.functions as func

from shared.bootstrap import services
from shared.contracts.events import NotificationStatus
from shared.pipeline import track
from shared.pipeline.poison import read_or_bury
from shared.pipeline.services import STATUS

blueprint = func.Blueprint()


@blueprint.function_name("track_status")
@blueprint.service_bus_topic_trigger(
    arg_name="message", topic_name=STATUS, subscription_name="tracker", connection="SERVICEBUS_CONNECTION"
)
async def track_status(message: func.ServiceBusMessage) -> None:
    """Records what receipts say."""
    event = await read_or_bury(NotificationStatus, message.get_body(), f"{STATUS}/tracker", services())
    if event:
        await track.track(event, services())
