"""The errors the service answers with: HTTP status, substatus and a message.

Codes: https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb (read 2026-11).
The substatus of a false patch predicate (1110) is taken from public SDK sources; not verified on Azure.
"""

CODE_NAMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    429: "429",
    449: "RetryWith",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}

PARTITION_KEY_MISMATCH = 1001
CROSS_PARTITION_NOT_SERVABLE = 1004
COLLECTION_RID_MISMATCH = 1024
PARTITION_RANGE_GONE = 1002
PREDICATE_FALSE = 1110
OUT_OF_BUDGET = 3200


class CosmosError(Exception):
    """An answer of the service that is not a success."""

    def __init__(self, status: int, message: str, substatus: int = 0, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.substatus = substatus
        self.retry_after_ms = retry_after_ms


def bad_request(message: str, substatus: int = 0) -> CosmosError:
    return CosmosError(400, message, substatus)


def not_found(what: str = "Entity with the specified id does not exist in the system.") -> CosmosError:
    return CosmosError(404, what)


def conflict(what: str = "Entity with the specified id already exists in the system.") -> CosmosError:
    return CosmosError(409, what)


def precondition_failed() -> CosmosError:
    return CosmosError(412, "One of the specified pre-condition is not met.")


def predicate_false() -> CosmosError:
    return CosmosError(412, "One of the specified pre-condition is not met.", PREDICATE_FALSE)


def too_large() -> CosmosError:
    return CosmosError(413, "Request size is too large. The limit is 2 MB (2,097,152 bytes).")
