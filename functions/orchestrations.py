"""Durable orchestrations: waiting for an outcome, and waiting between attempts.

Orchestrators are deterministic: time comes from the context, inputs are ids and numbers, and every wait has an event
name of its own. The triggers around them start and wake instances from status events.
"""

import json
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from shared.adapters.durable_orchestrations import AWAIT_OUTCOME, DurableOrchestrations, waiter_id
from shared.bootstrap import services
from shared.contracts.events import NotificationStatus
from shared.domain.status import DeliveryStatus, is_outcome
from shared.pipeline import retry
from shared.pipeline.poison import read_or_bury
from shared.pipeline.services import STATUS

blueprint = df.Blueprint()

_ATTEMPT_PATIENCE = timedelta(
    minutes=10
)  # then the sweeper owns the delivery; the orchestration must not live for ever


@blueprint.orchestration_trigger(context_name="context", orchestration=AWAIT_OUTCOME)
def await_outcome(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    """``settled`` when every channel had its outcome in time, else ``pending``."""
    wanted = context.get_input()
    deadline = context.current_utc_datetime + timedelta(seconds=wanted["waitSeconds"])
    timer = context.create_timer(deadline)
    outcomes = context.task_all([context.wait_for_external_event(f"outcome-{name}") for name in wanted["channels"]])
    winner = yield context.task_any([outcomes, timer])
    if winner == timer:
        return "pending"
    timer.cancel()
    return "settled"


@blueprint.orchestration_trigger(context_name="context", orchestration=retry.RETRY_ORCHESTRATION)
def retry_delivery(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    """The status the delivery's retries ended with. Waits, puts the next attempt on the bus, hears what came of it."""
    planned = context.get_input()
    while True:
        yield context.create_timer(datetime.fromisoformat(planned["dueAt"]))
        yield context.call_activity("requeue_delivery", planned)
        patience = context.create_timer(context.current_utc_datetime + _ATTEMPT_PATIENCE)
        heard = context.wait_for_external_event(retry.attempt_event(planned["attempt"]))
        winner = yield context.task_any([heard, patience])
        if winner == patience:
            return "left_to_sweeper"
        patience.cancel()
        told = _decoded(heard.result)
        if told["status"] != DeliveryStatus.RETRYING.value:
            return str(told["status"])
        planned = planned | {"attempt": planned["attempt"] + 1, "dueAt": told["dueAt"]}


def _decoded(event: Any) -> dict[str, Any]:
    """An event's data; the Python SDK encodes it twice, other clients once (azure-functions-durable-python#295)."""
    decoded: dict[str, Any] = json.loads(event) if isinstance(event, str) else event
    return decoded


@blueprint.activity_trigger(input_name="planned", activity="requeue_delivery")
async def requeue_delivery(planned: dict) -> str:  # type: ignore[type-arg]  # the worker takes plain annotations only
    """Puts the next attempt on the bus."""
    await retry.requeue_delivery(planned, services())
    return "queued"


@blueprint.function_name("continue_retries")
@blueprint.service_bus_topic_trigger(
    arg_name="message", topic_name=STATUS, subscription_name="retries", connection="SERVICEBUS_CONNECTION"
)
@blueprint.durable_client_input(client_name="client")
async def continue_retries(message: func.ServiceBusMessage, client: Any) -> None:
    """Starts or wakes the retry orchestration of each delivery in the event."""
    event = await read_or_bury(NotificationStatus, message.get_body(), f"{STATUS}/retries", services())
    if event:
        await retry.continue_retries(event, DurableOrchestrations(client), services())


@blueprint.function_name("wake_waiters")
@blueprint.service_bus_topic_trigger(
    arg_name="message", topic_name=STATUS, subscription_name="waiters", connection="SERVICEBUS_CONNECTION"
)
@blueprint.durable_client_input(client_name="client")
async def wake_waiters(message: func.ServiceBusMessage, client: Any) -> None:
    """Wakes whoever waits synchronously for an outcome in the event."""
    event = await read_or_bury(NotificationStatus, message.get_body(), f"{STATUS}/waiters", services())
    if event is None:
        return
    orchestrations = DurableOrchestrations(client)
    for item in event.items:
        if is_outcome(item.status):
            outcome: dict[str, object] = {"status": item.status.value}
            await orchestrations.raise_event(waiter_id(item.tracking_id), f"outcome-{event.channel}", outcome)
