"""Everything under /api that is no operation: answered as a problem, like every other refusal."""

import azure.functions as func

from functions.http_edge import problems_as_json
from shared.contracts.operations import methods_of
from shared.domain.errors import MethodNotAllowed, NotFound

blueprint = func.Blueprint()


@blueprint.function_name("unknown_route")
@blueprint.route(route="{*path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
@problems_as_json
async def unknown_route(req: func.HttpRequest) -> func.HttpResponse:
    """404, or 405 with the methods there are."""
    path = "/" + req.route_params.get("path", "")
    if methods := methods_of(path):
        raise MethodNotAllowed(methods)
    raise NotFound(path)
