"""The operations on dead letters."""

from shared.contracts import dead_letters_api, replays_api
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
_REPLAY_ID = Parameter("id", "path", "The replay's id.")
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
    Operation(
        "order_replay",
        "POST",
        "/v1/dead-letters/replays",
        "Replay dead letters: put what was given up back to work, once, at a rate",
        _ROLE,
        {202: Answer("Ordered; it says how far it has come.", replays_api.ReplayView, {"Location": "The replay."})},
        (401, 403, 404, 413, 422, 503),
        replays_api.OrderReplay,
        (Parameter("Idempotency-Key", "header", "A repeat of the order with the same key gives the same replay."),),
        tag=_TAG,
    ),
    Operation(
        "list_replays",
        "GET",
        "/v1/dead-letters/replays",
        "List the replays that were ordered last",
        _ROLE,
        {
            200: Answer(
                "Up to 50, newest first; the caller's, or with `Operations.Read` all.", replays_api.ReplayListView
            )
        },
        (401, 403, 503),
        tag=_TAG,
    ),
    Operation(
        "read_replay",
        "GET",
        "/v1/dead-letters/replays/{id}",
        "Read how far a replay has come",
        _ROLE,
        {200: Answer("The replay.", replays_api.ReplayView)},
        (401, 403, 404, 503),
        parameters=(_REPLAY_ID,),
        tag=_TAG,
    ),
    Operation(
        "steer_replay",
        "POST",
        "/v1/dead-letters/replays/{id}/{action}",
        "Pause, resume or cancel a replay; what is over stays so",
        _ROLE,
        {200: Answer("The replay as it stands now.", replays_api.ReplayView)},
        (401, 403, 404, 503),
        parameters=(_REPLAY_ID, Parameter("action", "path", "`pause`, `resume` or `cancel`.")),
        tag=_TAG,
    ),
)
