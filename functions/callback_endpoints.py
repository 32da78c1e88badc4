"""Where consumers want callbacks: /v1/callback-endpoints."""

import azure.functions as func

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
    return json_answer((await callback_endpoints.list_endpoints(caller, services())).to_json())


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
    """The endpoint as it is now."""
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


@blueprint.function_name("test_callback_endpoint")
@blueprint.route(route="v1/callback-endpoints/{id}/test", methods=["POST"])
@problems_as_json
async def test_callback_endpoint(req: func.HttpRequest) -> func.HttpResponse:
    """What came of a test event."""
    caller = await caller_with("Notifications.Send", req)
    view = await callback_endpoints.try_endpoint(req.route_params["id"], caller, services())
    return json_answer(view.to_json())


@blueprint.function_name("rotate_callback_secret")
@blueprint.route(route="v1/callback-endpoints/{id}/secrets", methods=["POST"])
@problems_as_json
async def rotate_callback_secret(req: func.HttpRequest) -> func.HttpResponse:
    """201 with the new signing secret, shown this once."""
    caller = await caller_with("Notifications.Send", req)
    view = await callback_endpoints.rotate_secret(req.route_params["id"], req.get_body(), caller, services())
    return json_answer(view.to_json(), 201)


@blueprint.function_name("revoke_callback_secret")
@blueprint.route(route="v1/callback-endpoints/{id}/secrets/{secretId}", methods=["DELETE"])
@problems_as_json
async def revoke_callback_secret(req: func.HttpRequest) -> func.HttpResponse:
    """The endpoint without a secret that another has taken the place of."""
    caller = await caller_with("Notifications.Send", req)
    endpoint_id, secret_id = req.route_params["id"], req.route_params["secretId"]
    view = await callback_endpoints.revoke_secret(endpoint_id, secret_id, caller, services())
    return json_answer(view.to_json())
