"""Where consumers want callbacks: /v1/callback-endpoints."""

import azure.functions as func
import orjson

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.pipeline import callback_endpoints

blueprint = func.Blueprint()


@blueprint.function_name("register_callback_endpoint")
@blueprint.route(route="v1/callback-endpoints", methods=["POST"])
@problems_as_json
async def register_callback_endpoint(req: func.HttpRequest) -> func.HttpResponse:
    """201 with the signing secret, shown this once."""
    caller = await caller_with("Notifications.Send", req)
    view = await callback_endpoints.register_endpoint(req.get_body(), caller, services())
    return json_answer(view.to_json(), 201, {"Location": f"/api/v1/callback-endpoints/{view.id}"})


@blueprint.function_name("list_callback_endpoints")
@blueprint.route(route="v1/callback-endpoints", methods=["GET"])
@problems_as_json
async def list_callback_endpoints(req: func.HttpRequest) -> func.HttpResponse:
    """The caller's endpoints."""
    caller = await caller_with("Notifications.Read", req)
    views = await callback_endpoints.list_endpoints(caller, services())
    return json_answer(orjson.dumps({"endpoints": [orjson.Fragment(view.to_json()) for view in views]}))


@blueprint.function_name("read_callback_endpoint")
@blueprint.route(route="v1/callback-endpoints/{id}", methods=["GET"])
@problems_as_json
async def read_callback_endpoint(req: func.HttpRequest) -> func.HttpResponse:
    """One endpoint."""
    caller = await caller_with("Notifications.Read", req)
    view = await callback_endpoints.read_endpoint(req.route_params["id"], caller, services())
    return json_answer(view.to_json())


@blueprint.function_name("replace_callback_endpoint")
@blueprint.route(route="v1/callback-endpoints/{id}", methods=["PUT"])
@problems_as_json
async def replace_callback_endpoint(req: func.HttpRequest) -> func.HttpResponse:
    """The endpoint with another URL and statuses."""
    caller = await caller_with("Notifications.Send", req)
    view = await callback_endpoints.replace_endpoint(req.route_params["id"], req.get_body(), caller, services())
    return json_answer(view.to_json())


@blueprint.function_name("remove_callback_endpoint")
@blueprint.route(route="v1/callback-endpoints/{id}", methods=["DELETE"])
@problems_as_json
async def remove_callback_endpoint(req: func.HttpRequest) -> func.HttpResponse:
    """204 when it is gone."""
    caller = await caller_with("Notifications.Send", req)
    await callback_endpoints.remove_endpoint(req.route_params["id"], caller, services())
    return func.HttpResponse(status_code=204)
