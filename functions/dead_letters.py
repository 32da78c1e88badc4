"""Dead letters: filed from their queues, listed, counted and shown."""

from datetime import datetime

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.contracts.dead_letters_api import CountParameters, LetterParameters, ListParameters
from shared.contracts.query import read_query
from shared.pipeline import dead_letter_filing, dead_letters_triage
from shared.pipeline.dead_letter_filing import Undelivered
from shared.pipeline.services import DEAD_LETTERS, UNDELIVERED

blueprint = func.Blueprint()


@blueprint.function_name("file_dead_letters")
@blueprint.service_bus_queue_trigger(arg_name="message", queue_name=DEAD_LETTERS, connection="SERVICEBUS_CONNECTION")
async def file_dead_letters(message: func.ServiceBusMessage) -> None:
    """Files what deliver, the sweeper and readers of messages gave up on."""
    await dead_letter_filing.file_letter(message.get_body(), _enqueued(message), services())


@blueprint.function_name("file_undelivered")
@blueprint.service_bus_queue_trigger(arg_name="message", queue_name=UNDELIVERED, connection="SERVICEBUS_CONNECTION")
async def file_undelivered(message: func.ServiceBusMessage) -> None:
    """Files what the broker gave up on: its dead-letter queues forward here."""
    undelivered = Undelivered(
        source=message.dead_letter_source or "",
        reason=message.dead_letter_reason,
        body=message.get_body(),
        at=_enqueued(message),
    )
    await dead_letter_filing.file_undelivered(undelivered, services())


def _enqueued(message: func.ServiceBusMessage) -> datetime:
    """When the message came onto the queue: the same at each delivery, so that filing again is the same letter."""
    return message.enqueued_time_utc or services().clock.now()


@blueprint.function_name("list_dead_letters")
@blueprint.route(route="v1/dead-letters", methods=["GET"])
@problems_as_json
async def list_dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """Dead letters, newest first."""
    caller = await caller_with("DeadLetters.Replay", req)
    page = await dead_letters_triage.list_letters(read_query(ListParameters, req.params), caller, services())
    return json_answer(page.to_json())


@blueprint.function_name("count_dead_letters")
@blueprint.route(route="v1/dead-letters/counts", methods=["GET"])
@problems_as_json
async def count_dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """How many there are of each tag."""
    caller = await caller_with("DeadLetters.Replay", req)
    counts = await dead_letters_triage.count_letters(read_query(CountParameters, req.params), caller, services())
    return json_answer(counts.to_json())


@blueprint.function_name("read_dead_letter")
@blueprint.route(route="v1/dead-letters/{id}", methods=["GET"])
@problems_as_json
async def read_dead_letter(req: func.HttpRequest) -> func.HttpResponse:
    """One dead letter with its whole story."""
    caller = await caller_with("DeadLetters.Replay", req)
    tenant = read_query(LetterParameters, req.params).tenant
    letter = await dead_letters_triage.read_letter(req.route_params["id"], tenant, caller, services())
    return json_answer(letter.to_json())
