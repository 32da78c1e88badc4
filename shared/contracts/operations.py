"""Every operation of the HTTP API, as data: what it takes, what it answers, and which role it asks for.

The OpenAPI document (openapi.py) is made from this table and the models. A test compares it with the functions that are
registered, so that neither has an operation the other has not.
"""

from shared.contracts import http_api, tenant_policy_api
from shared.contracts.api_key_operations import API_KEY_OPERATIONS
from shared.contracts.audit_operations import AUDIT_OPERATIONS
from shared.contracts.callback_operations import CALLBACK_OPERATIONS
from shared.contracts.dead_letter_operations import DEAD_LETTER_OPERATIONS
from shared.contracts.http_api import MAX_IDEMPOTENCY_KEY_LENGTH, MAX_WAIT
from shared.contracts.operation import ETAG, Answer, Operation, Parameter, Schema
from shared.contracts.preference_operations import PREFERENCE_OPERATIONS
from shared.contracts.quarantine_operations import QUARANTINE_OPERATIONS
from shared.contracts.timeline_operations import TIMELINE_OPERATIONS
from shared.contracts.unsubscribe_operations import UNSUBSCRIBE_OPERATIONS

_TRACKING_ID = Parameter("trackingId", "path", "The tracking id of the answer to the submission (a ULID).")
_TENANT = Parameter("tenant", "path", "The tenant, which is the calling application's id.")
_IF_MATCH = Parameter("If-Match", "header", "The ETag of the version that is replaced; required.")
_IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Makes a repeat of the request harmless for 24 hours; `X-Idempotency-Key` is an alias.",
    {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_LENGTH},
)
_PREFER = Parameter(
    "Prefer",
    "header",
    f"`wait=n` waits up to n seconds (at most {int(MAX_WAIT.total_seconds())}) for the outcome (RFC 7240).",
)
_TRACEPARENT = Parameter("traceparent", "header", "W3C trace context; what is malformed is ignored.")
_RETRY_SAFELY = "Set when the answer is the stored one of an earlier request with the same key."
_REPLAYED = {"Idempotency-Replayed": _RETRY_SAFELY}
_LIMITS = {
    "RateLimit-Policy": "The tenant's limits, where it has any.",
    "RateLimit": "What is left of its day's quota, as far as the answering process knows.",
}
_LOCATION = {"Location": "Where the resource is."}

_HEALTH: Schema = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "submit_notification",
        "POST",
        "/v1/notifications",
        "Submit one notification",
        "Notifications.Send",
        {
            202: Answer("Accepted: it will not be lost.", http_api.AcceptedView, _LOCATION | _REPLAYED | _LIMITS),
            200: Answer(
                "The outcome, when it was waited for and known in time.",
                http_api.NotificationView,
                _LOCATION | _LIMITS | {"Preference-Applied": "`wait`"},
            ),
        },
        (400, 401, 403, 409, 413, 422, 429, 503),
        http_api.SubmitNotification,
        (_IDEMPOTENCY_KEY, _PREFER, _TRACEPARENT),
    ),
    Operation(
        "submit_batch",
        "POST",
        "/v1/notifications/batch",
        "Submit up to 1,000 notifications",
        "Notifications.Send",
        {
            202: Answer("Every item was accepted.", http_api.BatchView, _REPLAYED | _LIMITS),
            207: Answer("Some items were refused; each says why.", http_api.BatchView, _REPLAYED | _LIMITS),
        },
        (400, 401, 403, 409, 413, 422, 429, 503),
        http_api.SubmitBatch,
        (_IDEMPOTENCY_KEY, _TRACEPARENT),
    ),
    *TIMELINE_OPERATIONS,
    Operation(
        "read_notification",
        "GET",
        "/v1/notifications/{trackingId}",
        "Read a notification's status, with deliveries, attempts and history",
        "Notifications.Read",
        {200: Answer("The notification as it stands.", http_api.NotificationView)},
        (401, 403, 404, 503),
        parameters=(_TRACKING_ID,),
    ),
    Operation(
        "cancel_notification",
        "DELETE",
        "/v1/notifications/{trackingId}",
        "Cancel what is not sent yet",
        "Notifications.Send",
        {200: Answer("The notification, and of each delivery whether it was cancelled.", http_api.NotificationView)},
        (401, 403, 404, 503),
        parameters=(_TRACKING_ID,),
    ),
    Operation(
        "receive_receipts",
        "POST",
        "/v1/receipts/{provider}",
        "Take a provider's receipts",
        None,
        {
            204: Answer("Taken."),
            200: Answer("Taken, with what the vendor is to hear: a handshake, or a reply to a customer."),
        },
        (400, 401, 404, 503),
        {"description": "As the provider documents it; its signature is the credential."},
        (Parameter("provider", "path", "The provider's name."),),
        tag="Receipts",
    ),
    *CALLBACK_OPERATIONS,
    Operation(
        "read_tenant_policy",
        "GET",
        "/v1/tenant-policies/{tenant}",
        "Read what holds for a tenant",
        "Operations.Read",
        {200: Answer("The policy; defaults where nothing was decided.", tenant_policy_api.TenantPolicyView, ETAG)},
        (401, 403, 404, 503),
        parameters=(_TENANT,),
        tag="Operations",
    ),
    Operation(
        "replace_tenant_policy",
        "PUT",
        "/v1/tenant-policies/{tenant}",
        "Decide what holds for a tenant",
        "Operations.Write",
        {200: Answer("The policy that holds from now on.", tenant_policy_api.TenantPolicyView, ETAG)},
        (401, 403, 404, 412, 413, 422, 428, 503),
        tenant_policy_api.ReplaceTenantPolicy,
        (_TENANT, _IF_MATCH),
        tag="Operations",
    ),
    *DEAD_LETTER_OPERATIONS,
    *API_KEY_OPERATIONS,
    *AUDIT_OPERATIONS,
    *QUARANTINE_OPERATIONS,
    *PREFERENCE_OPERATIONS,
    *UNSUBSCRIBE_OPERATIONS,
    Operation(
        "live",
        "GET",
        "/health/live",
        "Whether the process answers",
        None,
        {200: Answer("It does.", _HEALTH)},
        tag="Health",
    ),
    Operation(
        "ready",
        "GET",
        "/health/ready",
        "Whether notifications can be accepted",
        None,
        {200: Answer("They can.", _HEALTH)},
        (503,),
        tag="Health",
    ),
    Operation(
        "read_openapi",
        "GET",
        "/openapi.json",
        "This document",
        None,
        {200: Answer("The OpenAPI 3.1 document.", {"type": "object"})},
        tag="Contract",
    ),
    Operation(
        "read_reference",
        "GET",
        "/reference",
        "This document, for people",
        None,
        {200: Answer("A page.", {"type": "string"}, media_type="text/html")},
        tag="Contract",
    ),
)


def methods_of(path: str) -> tuple[str, ...]:
    """The methods that ``path`` has, in the order of the table; none when it is no path of ours."""
    parts = path.rstrip("/").split("/")
    return tuple(dict.fromkeys(each.method for each in OPERATIONS if _fits(each.path.split("/"), parts)))


def _fits(template: list[str], parts: list[str]) -> bool:
    return len(template) == len(parts) and all(
        (wanted.startswith("{") and part) or wanted == part for wanted, part in zip(template, parts, strict=True)
    )
