"""The operations on the audit trail."""

from shared.contracts import audit_api
from shared.contracts.operation import Answer, Operation, Parameter

_TENANT = Parameter("tenant", "query", "Whose audit trail; required.")
_CURSOR = Parameter("cursor", "query", "`next` of an earlier answer.")
_TIME = {"type": "string", "format": "date-time"}

AUDIT_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "read_audit",
        "GET",
        "/v1/audit",
        "Read what was done for or to a tenant, newest first",
        "Operations.Read",
        {200: Answer("Entries; a page may be short or empty and have a next one.", audit_api.AuditPageView)},
        (401, 403, 422, 503),
        parameters=(
            _TENANT,
            Parameter("action", "query", "Only this action, such as `dead_letters.replay`."),
            Parameter("from", "query", "Only what was done at this time or later.", _TIME),
            Parameter("to", "query", "Only what was done before this time.", _TIME),
            _CURSOR,
        ),
        tag="Operations",
    ),
    Operation(
        "verify_audit",
        "GET",
        "/v1/audit/verification",
        "Verify that nothing in a tenant's audit trail was changed",
        "Operations.Read",
        {200: Answer("What was verified, and the first fault of each chain.", audit_api.AuditVerificationView)},
        (401, 403, 422, 503),
        parameters=(_TENANT, _CURSOR),
        tag="Operations",
    ),
)
