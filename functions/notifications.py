"""Look up and cancel: /v1/notifications/{trackingId}."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.pipeline import cancel, notifications

blueprint = func.Blueprint()


@blueprint.function_name("read_notification")
@blueprint.route(route="v1/notifications/{trackingId}", methods=["GET"])
@problems_as_json
async def read_notification(req: func.HttpRequest) -> func.HttpResponse:
    """The status with deliveries, attempts and history."""
    caller = await caller_with("Notifications.Read", req)
    view = await notifications.read_status(req.route_params["trackingId"], caller, services())
    return json_answer(view.to_json())


@blueprint.function_name("cancel_notification")
@blueprint.route(route="v1/notifications/{trackingId}", methods=["DELETE"])
@problems_as_json
async def cancel_notification(req: func.HttpRequest) -> func.HttpResponse:
    """The status, and of each delivery whether it was cancelled in time."""
    caller = await caller_with("Notifications.Send", req)
    view = await cancel.cancel_notification(req.route_params["trackingId"], caller, services())
    return json_answer(view.to_json())
