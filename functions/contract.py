"""The contract: GET /openapi.json for programs, GET /reference for people."""

import azure.functions as func
import orjson

from functions.http_edge import json_answer, problems_as_json
from shared.contracts.openapi import openapi_document
from shared.contracts.reference_page import PAGE_HEADERS, reference_page

blueprint = func.Blueprint()


@blueprint.function_name("read_openapi")
@blueprint.route(route="openapi.json", methods=["GET"])
@problems_as_json
async def read_openapi(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding demands the parameter
    """The OpenAPI document."""
    return json_answer(orjson.dumps(openapi_document()))


@blueprint.function_name("read_reference")
@blueprint.route(route="reference", methods=["GET"])
@problems_as_json
async def read_reference(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - as above
    """The same as a page."""
    return func.HttpResponse(reference_page(), mimetype="text/html", headers=dict(PAGE_HEADERS))
