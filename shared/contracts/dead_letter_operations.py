"""The operations on dead letters."""

from shared.contracts import dead_letters_api
from shared.contracts.operation import Answer, Operation, Parameter

_ROLE = "DeadLetters.Replay"
_TAG = "Dead letters"
_TENANT = Parameter(
    "tenant", "query", "Another tenant, or `_bus` for messages of none; for callers that also have `Operations.Read`."
)
_TIME = {"type": "string", "format": "date-time"}
_BOUNDS = (
    Parameter("channel", "query", "Only this channel."),
    Parameter("template", "query", "Only this template."),
    Parameter("from", "query", "Only what died at this time or later; 14 days before `to` unless given.", _TIME),
    Parameter("to", "query", "Only what died before this time; now unless given.", _TIME),
    _TENANT,
)
_LETTER_ID = Parameter("id", "path", "The dead letter's id.")

DEAD_LETTER_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "list_dead_letters",
        "GET",
        "/v1/dead-letters",
        "List dead letters, newest first",
        _ROLE,
        {200: Answer("Letters; a page may be empty and have a next one.", dead_letters_api.DeadLetterPageView)},
        (401, 403, 404, 422, 503),
        parameters=(
            Parameter(
                "tag", "query", "`exhausted`, `misconfigured`, `rejected`, `expired`, `poison` or `unprocessed`."
            ),
            Parameter("state", "query", "`open` unless given; or `replayed`, or `all`."),
            *_BOUNDS,
            Parameter("cursor", "query", "`next` of an earlier answer."),
        ),
        tag=_TAG,
    ),
    Operation(
        "count_dead_letters",
        "GET",
        "/v1/dead-letters/counts",
        "Count open dead letters by tag",
        _ROLE,
        {200: Answer("Tags that have any, and how many were replayed.", dead_letters_api.DeadLetterCountsView)},
        (401, 403, 404, 422, 503),
        parameters=_BOUNDS,
        tag=_TAG,
    ),
    Operation(
        "read_dead_letter",
        "GET",
        "/v1/dead-letters/{id}",
        "Read one dead letter with its whole story",
        _ROLE,
        {200: Answer("The letter, with every attempt.", dead_letters_api.DeadLetterView)},
        (401, 403, 404, 422, 503),
        parameters=(_LETTER_ID, _TENANT),
        tag=_TAG,
    ),
)
