"""Replays of dead letters: ordered, watched and steered over HTTP, carried out by a durable orchestration."""

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.adapters.durable_orchestrations import DurableOrchestrations
from shared.bootstrap import services
from shared.pipeline import replay_steps, replays

blueprint = df.Blueprint()

_STEPS_A_HISTORY = 50  # then the orchestration begins anew, so that its history stays short
_PAUSE_AFTER_FAULT = timedelta(seconds=30)


@blueprint.orchestration_trigger(context_name="context", orchestration=replays.REPLAY_ORCHESTRATION)
def replay(context: df.DurableOrchestrationContext) -> Generator[Any, Any, str]:
    """The state the replay came to: one step after the other, each at its time."""
    order = context.get_input()
    for _ in range(_STEPS_A_HISTORY):
        try:
            told = yield context.call_activity("make_replay_step", order["id"])
        except Exception:  # noqa: BLE001 - whatever the activity failed with, the replay is not over
            yield context.create_timer(context.current_utc_datetime + _PAUSE_AFTER_FAULT)
            continue
        if told["state"] != "running":
            return str(told["state"])
        yield context.create_timer(datetime.fromisoformat(told["nextAt"]))
    context.continue_as_new(order)
    return "running"


@blueprint.activity_trigger(input_name="order", activity="make_replay_step")
async def make_replay_step(order: str) -> dict:  # type: ignore[type-arg]  # the worker takes plain annotations only
    """Releases the next letters."""
    told = await replay_steps.make_step(order, services())
    return {"state": told.state.value, "nextAt": told.next_at.isoformat()}


@blueprint.function_name("carry_on_replays")
@blueprint.timer_trigger(arg_name="timer", schedule="30 * * * * *", use_monitor=False)
@blueprint.durable_client_input(client_name="client")
async def carry_on_replays(timer: func.TimerRequest, client: Any) -> None:  # noqa: ARG001 - the binding demands it
    """Begins replays again that nobody carries out any more."""
    await replays.carry_on(DurableOrchestrations(client), services())


@blueprint.function_name("order_replay")
@blueprint.route(route="v1/dead-letters/replays", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@problems_as_json
async def order_replay(req: func.HttpRequest, client: Any) -> func.HttpResponse:
    """Puts the selected dead letters back to work, at a rate."""
    caller = await caller_with("DeadLetters.Replay", req)
    key = req.headers.get("idempotency-key")
    view = await replays.order_replay(req.get_body(), key, caller, DurableOrchestrations(client), services())
    return json_answer(view.to_json(), status=202, headers={"Location": view.links["self"]})


@blueprint.function_name("list_replays")
@blueprint.route(route="v1/dead-letters/replays", methods=["GET"])
@problems_as_json
async def list_replays(req: func.HttpRequest) -> func.HttpResponse:
    """The replays ordered last."""
    caller = await caller_with("DeadLetters.Replay", req)
    return json_answer((await replays.list_replays(caller, services())).to_json())


@blueprint.function_name("read_replay")
@blueprint.route(route="v1/dead-letters/replays/{id}", methods=["GET"])
@problems_as_json
async def read_replay(req: func.HttpRequest) -> func.HttpResponse:
    """How far a replay has come."""
    caller = await caller_with("DeadLetters.Replay", req)
    return json_answer((await replays.read_replay(req.route_params["id"], caller, services())).to_json())


@blueprint.function_name("steer_replay")
@blueprint.route(route="v1/dead-letters/replays/{id}/{action}", methods=["POST"])
@blueprint.durable_client_input(client_name="client")
@problems_as_json
async def steer_replay(req: func.HttpRequest, client: Any) -> func.HttpResponse:
    """Pauses, resumes or cancels a replay."""
    caller = await caller_with("DeadLetters.Replay", req)
    replay_id, action = req.route_params["id"], req.route_params["action"]
    view = await replays.steer_replay(replay_id, action, caller, DurableOrchestrations(client), services())
    return json_answer(view.to_json())
