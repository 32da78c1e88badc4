"""API keys: /v1/api-keys."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.contracts.api_keys_api import ApiKeyParameters
from shared.contracts.query import read_query
from shared.pipeline import api_keys

blueprint = func.Blueprint()
_NOT_KEPT = {"Cache-Control": "no-store"}  # the answer holds a secret


@blueprint.function_name("create_api_key")
@blueprint.route(route="v1/api-keys", methods=["POST"])
@problems_as_json
async def create_api_key(req: func.HttpRequest) -> func.HttpResponse:
    """201 with the key, shown this once."""
    caller = await caller_with("ApiKeys.Write", req)
    view = await api_keys.create_key(req.get_body(), caller, services())
    return json_answer(view.to_json(), 201, _NOT_KEPT)


@blueprint.function_name("list_api_keys")
@blueprint.route(route="v1/api-keys", methods=["GET"])
@problems_as_json
async def list_api_keys(req: func.HttpRequest) -> func.HttpResponse:
    """The tenant's keys, without their secrets."""
    caller = await caller_with("ApiKeys.Write", req)
    view = await api_keys.list_keys(read_query(ApiKeyParameters, req.params), caller, services())
    return json_answer(view.to_json())


@blueprint.function_name("rotate_api_key")
@blueprint.route(route="v1/api-keys/{id}/rotate", methods=["POST"])
@problems_as_json
async def rotate_api_key(req: func.HttpRequest) -> func.HttpResponse:
    """The key with another secret, shown this once."""
    caller = await caller_with("ApiKeys.Write", req)
    view = await api_keys.rotate_key(req.route_params["id"], req.get_body(), caller, services())
    return json_answer(view.to_json(), 200, _NOT_KEPT)


@blueprint.function_name("replace_api_key_recipients")
@blueprint.route(route="v1/api-keys/{id}/recipients", methods=["PUT"])
@problems_as_json
async def replace_api_key_recipients(req: func.HttpRequest) -> func.HttpResponse:
    """The key with another list of recipients."""
    caller = await caller_with("ApiKeys.Write", req)
    view = await api_keys.replace_recipients(req.route_params["id"], req.get_body(), caller, services())
    return json_answer(view.to_json())


@blueprint.function_name("revoke_api_key")
@blueprint.route(route="v1/api-keys/{id}", methods=["DELETE"])
@problems_as_json
async def revoke_api_key(req: func.HttpRequest) -> func.HttpResponse:
    """204 when it is revoked."""
    caller = await caller_with("ApiKeys.Write", req)
    await api_keys.revoke_key(req.route_params["id"], caller, services())
    return func.HttpResponse(status_code=204)
