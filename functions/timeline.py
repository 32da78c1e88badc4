"""Find notifications: GET /v1/notifications. The index behind it is kept up from the change feed (changes.py)."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.contracts.query import read_query
from shared.contracts.timeline_api import ListParameters
from shared.pipeline import timeline

blueprint = func.Blueprint()


@blueprint.function_name("list_notifications")
@blueprint.route(route="v1/notifications", methods=["GET"])
@problems_as_json
async def list_notifications(req: func.HttpRequest) -> func.HttpResponse:
    """Notifications, newest first."""
    caller = await caller_with("Notifications.Read", req)
    page = await timeline.list_notifications(read_query(ListParameters, req.params), caller, services())
    return json_answer(page.to_json())
