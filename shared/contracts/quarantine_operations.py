"""The operations on quarantines and lanes."""

from shared.contracts import operations_api
from shared.contracts.operation import Answer, Operation, Parameter

_ID = Parameter("id", "path", "The quarantine's id, as it is listed.")

QUARANTINE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "list_quarantines",
        "GET",
        "/v1/operations/quarantines",
        "List what is held back, and how much of it",
        "Operations.Read",
        {200: Answer("Quarantines, newest first.", operations_api.QuarantinesView)},
        (401, 403, 422, 503),
        parameters=(Parameter("state", "query", "`active` or `released`; both without it."),),
        tag="Operations",
    ),
    Operation(
        "open_quarantine",
        "POST",
        "/v1/operations/quarantines",
        "Hold back everything of a tenant, or what it sends with one template",
        "Operations.Write",
        {200: Answer("The quarantine; it may have held already.", operations_api.QuarantineView)},
        (401, 403, 422, 503),
        operations_api.OpenQuarantine,
        tag="Operations",
    ),
    Operation(
        "release_quarantine",
        "POST",
        "/v1/operations/quarantines/{id}/release",
        "Let go what is held back",
        "Operations.Write",
        {200: Answer("The quarantine, released now or before.", operations_api.QuarantineView)},
        (401, 403, 404, 503),
        parameters=(_ID,),
        tag="Operations",
    ),
    Operation(
        "read_lanes",
        "GET",
        "/v1/operations/lanes",
        "See how late each lane is, and which take nothing new",
        "Operations.Read",
        {200: Answer("The lanes of each channel, as the answering process knows them.", operations_api.LanesView)},
        (401, 403),
        tag="Operations",
    ),
)
