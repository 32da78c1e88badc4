"""Accept: POST /v1/notifications and /v1/notifications/batch."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json, submit_request
from shared.adapters.durable_orchestrations import DurableOutcomeWaiter
from shared.bootstrap import services
from shared.pipeline import notifications, submit, submit_batch
from shared.pipeline.limits_told import limits_told

blueprint = func.Blueprint()


@blueprint.function_name("submit_notification")
@blueprint.route(route="v1/notifications", methods=["POST"])
@blueprint.generic_input_binding(arg_name="starter", type="durableClient")
@problems_as_json
async def submit_notification(req: func.HttpRequest, starter: str) -> func.HttpResponse:
    """202 with the tracking id; with ``Prefer: wait=n`` 200 with the outcome, when it is known in time."""
    caller = await caller_with("Notifications.Send", req)
    done = await submit.submit(submit_request(req, caller), caller, services(), DurableOutcomeWaiter(starter))
    headers = {"Location": f"/api/v1/notifications/{done.tracking_id}"} | await limits_told(
        caller.tenant_id, services()
    )
    if done.replayed:
        headers["Idempotency-Replayed"] = "true"
    if done.settled:
        view = await notifications.read_status(done.tracking_id, caller, services())
        return json_answer(view.to_json(), 200, headers | {"Preference-Applied": "wait"})
    return json_answer(done.answer, 202, headers)


@blueprint.function_name("submit_batch")
@blueprint.route(route="v1/notifications/batch", methods=["POST"])
@problems_as_json
async def submit_notification_batch(req: func.HttpRequest) -> func.HttpResponse:
    """202, or 207 when some items are refused."""
    caller = await caller_with("Notifications.Send", req)
    done = await submit_batch.submit_batch(submit_request(req, caller), caller, services())
    headers = await limits_told(caller.tenant_id, services())
    headers |= {"Idempotency-Replayed": "true"} if done.replayed else {}
    return json_answer(done.answer, 207 if done.partial else 202, headers)
