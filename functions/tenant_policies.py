"""What operators decide for tenants: /v1/tenant-policies/{tenant}."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.pipeline import tenant_policies

blueprint = func.Blueprint()


@blueprint.function_name("read_tenant_policy")
@blueprint.route(route="v1/tenant-policies/{tenant}", methods=["GET"])
@problems_as_json
async def read_tenant_policy(req: func.HttpRequest) -> func.HttpResponse:
    """The policy with its version as ETag."""
    await caller_with("Operations.Read", req)
    found = await tenant_policies.read_policy(req.route_params["tenant"], services())
    return json_answer(found.answer, headers={"ETag": found.etag})


@blueprint.function_name("replace_tenant_policy")
@blueprint.route(route="v1/tenant-policies/{tenant}", methods=["PUT"])
@problems_as_json
async def replace_tenant_policy(req: func.HttpRequest) -> func.HttpResponse:
    """The policy that holds from now on; the version it replaces is named in If-Match."""
    caller = await caller_with("Operations.Write", req)
    replaced = await tenant_policies.replace_policy(
        req.route_params["tenant"], req.get_body(), req.headers.get("if-match"), caller, services()
    )
    return json_answer(replaced.answer, headers={"ETag": replaced.etag})
