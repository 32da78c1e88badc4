"""What was done, and proof that the record was not changed: GET /v1/audit and /v1/audit/verification."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.contracts.audit_api import AuditParameters, VerificationParameters
from shared.contracts.query import read_query
from shared.pipeline import audit

blueprint = func.Blueprint()


@blueprint.function_name("read_audit")
@blueprint.route(route="v1/audit", methods=["GET"])
@problems_as_json
async def read_audit(req: func.HttpRequest) -> func.HttpResponse:
    """A tenant's entries, newest first."""
    await caller_with("Operations.Read", req)
    page = await audit.read_page(read_query(AuditParameters, req.params), services())
    return json_answer(page.to_json())


@blueprint.function_name("verify_audit")
@blueprint.route(route="v1/audit/verification", methods=["GET"])
@problems_as_json
async def verify_audit(req: func.HttpRequest) -> func.HttpResponse:
    """What is wrong with a tenant's chains."""
    await caller_with("Operations.Read", req)
    found = await audit.verify(read_query(VerificationParameters, req.params), services())
    return json_answer(found.to_json())
