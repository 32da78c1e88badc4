"""What operators see and do: /v1/operations/quarantines and /v1/operations/lanes."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.contracts.operations_api import QuarantineParameters
from shared.contracts.query import read_query
from shared.pipeline import operations

blueprint = func.Blueprint()


@blueprint.function_name("list_quarantines")
@blueprint.route(route="v1/operations/quarantines", methods=["GET"])
@problems_as_json
async def list_quarantines(req: func.HttpRequest) -> func.HttpResponse:
    """What is held back, and how much of it."""
    await caller_with("Operations.Read", req)
    found = await operations.list_quarantines(read_query(QuarantineParameters, req.params), services())
    return json_answer(found.to_json())


@blueprint.function_name("open_quarantine")
@blueprint.route(route="v1/operations/quarantines", methods=["POST"])
@problems_as_json
async def open_quarantine(req: func.HttpRequest) -> func.HttpResponse:
    """The quarantine, which holds from now on or held already."""
    caller = await caller_with("Operations.Write", req)
    view = await operations.open_quarantine(req.get_body(), caller, services())
    return json_answer(view.to_json())


@blueprint.function_name("release_quarantine")
@blueprint.route(route="v1/operations/quarantines/{id}/release", methods=["POST"])
@problems_as_json
async def release_quarantine(req: func.HttpRequest) -> func.HttpResponse:
    """The quarantine, which holds nothing any more."""
    caller = await caller_with("Operations.Write", req)
    view = await operations.release_quarantine(req.route_params["id"], caller, services())
    return json_answer(view.to_json())


@blueprint.function_name("read_lanes")
@blueprint.route(route="v1/operations/lanes", methods=["GET"])
@problems_as_json
async def read_lanes(req: func.HttpRequest) -> func.HttpResponse:
    """How late each lane is."""
    await caller_with("Operations.Read", req)
    return json_answer((await operations.read_lanes(services())).to_json())
