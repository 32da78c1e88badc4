"""Call back: queue → signed POST. What is to be called about comes from the change feed (changes.py)."""

import azure.functions as func

from shared.bootstrap import services
from shared.contracts.callback_payload import CallbackBatch
from shared.pipeline import callbacks
from shared.pipeline.poison import read_or_bury
from shared.pipeline.services import CALLBACKS

blueprint = func.Blueprint()


@blueprint.function_name("send_callbacks")
@blueprint.service_bus_queue_trigger(arg_name="message", queue_name=CALLBACKS, connection="SERVICEBUS_CONNECTION")
async def send_callbacks(message: func.ServiceBusMessage) -> None:
    """Posts queued callbacks, signed."""
    batch = await read_or_bury(CallbackBatch, message.get_body(), CALLBACKS, services())
    if batch:
        await callbacks.send_callbacks(batch, services())
