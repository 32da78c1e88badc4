"""Health: /health/live and /health/ready."""

import azure.functions as func

from functions.http_edge import json_answer, problems_as_json
from shared.bootstrap import services

blueprint = func.Blueprint()


@blueprint.function_name("live")
@blueprint.route(route="health/live", methods=["GET"])
async def live(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding demands the parameter
    """200 while the process answers."""
    return json_answer(b'{"status":"live"}')


@blueprint.function_name("ready")
@blueprint.route(route="health/ready", methods=["GET"])
@problems_as_json
async def ready(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding demands the parameter
    """200 while notifications can be accepted; that needs the store, and not the broker."""
    await services().notifications.ping()
    return json_answer(b'{"status":"ready"}')
