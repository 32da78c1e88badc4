"""The audit trail: what notifications go through comes from the change feed; GET /v1/audit and …/verification."""

import azure.functions as func

from functions.http_edge import caller_with, json_answer, problems_as_json
from shared.bootstrap import services
from shared.contracts.audit_api import AuditParameters, VerificationParameters
from shared.contracts.query import read_query
from shared.pipeline import audit, audit_trail

blueprint = func.Blueprint()

# Longer than most deliveries take, so that one look sees a notification with all it went through.
_BETWEEN_LOOKS_MS = 5000
_AT_ONCE = 200  # notifications in one entry; a quarter of a megabyte of records at the most


@blueprint.function_name("record_changes")
@blueprint.cosmos_db_trigger(
    arg_name="documents",
    connection="COSMOS_CONNECTION",
    database_name="%COSMOS_DATABASE%",
    container_name="notification-tracking",
    lease_container_name="leases",
    lease_container_prefix="audit",
    feed_poll_delay=_BETWEEN_LOOKS_MS,
    max_items_per_invocation=_AT_ONCE,
    start_from_beginning=True,  # type: ignore[arg-type]  # the SDK's annotation says time and means bool
)
@blueprint.retry(
    strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:01", maximum_interval="00:01:00"
)
async def record_changes(documents: func.DocumentList) -> None:
    """Brings what notifications went through into the audit trail."""
    await audit_trail.record_changes(documents, services())


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
