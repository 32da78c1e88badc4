"""The operations that find notifications."""

from shared.contracts import timeline_api
from shared.contracts.operation import Answer, Operation, Parameter

_ROLE = "Notifications.Read"
_TIME = {"type": "string", "format": "date-time"}
_FROM = Parameter("from", "query", "Only what was accepted at this time or later; 90 days ago unless given.", _TIME)
_TO = Parameter("to", "query", "Only what was accepted before this time; now unless given.", _TIME)

TIMELINE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "list_notifications",
        "GET",
        "/v1/notifications",
        "List notifications, newest first, about a second after they were accepted",
        _ROLE,
        {
            200: Answer(
                "Notifications as they stand; a page may be empty and have a next one.",
                timeline_api.NotificationPageView,
            )
        },
        (401, 403, 422, 503),
        parameters=(
            Parameter("customerId", "query", "Only this customer's."),
            Parameter("reference", "query", "Only with this reference."),
            Parameter("template", "query", "Only of this template."),
            Parameter("status", "query", "Only those that stand here, as the answer's `status` says it."),
            _FROM,
            _TO,
            Parameter(
                "limit",
                "query",
                f"How many on a page; {timeline_api.USUAL_PAGE} unless given.",
                {"type": "integer", "minimum": 1, "maximum": timeline_api.MAX_PAGE},
            ),
            Parameter("cursor", "query", "`next` of an earlier answer to the same question."),
        ),
    ),
)
