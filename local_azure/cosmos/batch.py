"""Transactional batch: up to 100 operations on one partition key, all or nothing.

Takes the JSON list of a batch request; gives (HTTP status, response body, charge). A failure answers 207 with the
failing operation's own status and 424 for all others, and leaves rows, counters and change feed as they were. Rules:
https://learn.microsoft.com/azure/cosmos-db/transactional-batch (read 2026-11).
"""

from collections.abc import Callable
from typing import Any

import orjson

from local_azure.cosmos import documents, request_units
from local_azure.cosmos.container import Container
from local_azure.cosmos.documents import ANY, Conditions, Outcome, check_document
from local_azure.cosmos.errors import CosmosError, bad_request, too_large
from local_azure.cosmos.partition_key import PartitionKey

MAX_OPERATIONS = 100
MAX_BYTES = 2 * 1024 * 1024
_FAILED_DEPENDENCY = b'{"statusCode":424,"requestCharge":0}'


class _OperationFailedError(Exception):
    """Rolls the transaction back; carries the failing index."""

    def __init__(self, index: int, error: CosmosError) -> None:
        super().__init__(error.message)
        self.index = index
        self.error = error


def _new_document(operation: dict[str, Any]) -> dict[str, Any]:
    return check_document(operation.get("resourceBody"))


def _item_id(operation: dict[str, Any]) -> str:
    item_id = operation.get("id")
    if not isinstance(item_id, str) or not item_id:
        raise bad_request("The batch operation needs an 'id'.")
    return item_id


def _create(container: Container, key: PartitionKey, operation: dict[str, Any], _: Conditions) -> Outcome:
    return documents.create(container, key, _new_document(operation))


def _upsert(container: Container, key: PartitionKey, operation: dict[str, Any], conditions: Conditions) -> Outcome:
    return documents.upsert(container, key, _new_document(operation), conditions)


def _replace(container: Container, key: PartitionKey, operation: dict[str, Any], conditions: Conditions) -> Outcome:
    return documents.replace(container, key, _item_id(operation), _new_document(operation), conditions)


def _read(container: Container, key: PartitionKey, operation: dict[str, Any], conditions: Conditions) -> Outcome:
    return documents.read(container, key, _item_id(operation), conditions)


def _delete(container: Container, key: PartitionKey, operation: dict[str, Any], conditions: Conditions) -> Outcome:
    return documents.delete(container, key, _item_id(operation), conditions)


def _patch(container: Container, key: PartitionKey, operation: dict[str, Any], conditions: Conditions) -> Outcome:
    return documents.patch(container, key, _item_id(operation), operation.get("resourceBody"), conditions)


_OPERATIONS: dict[str, Callable[[Container, PartitionKey, dict[str, Any], Conditions], Outcome]] = {
    "Create": _create,
    "Upsert": _upsert,
    "Replace": _replace,
    "Read": _read,
    "Delete": _delete,
    "Patch": _patch,
}


def _run_one(container: Container, key: PartitionKey, operation: Any) -> Outcome:
    run = _OPERATIONS.get(operation.get("operationType", "")) if type(operation) is dict else None
    if run is None:
        raise bad_request("A batch operation is an object with a known 'operationType'.")
    if "ifMatch" in operation or "ifNoneMatch" in operation:
        return run(container, key, operation, Conditions(operation.get("ifMatch"), operation.get("ifNoneMatch")))
    return run(container, key, operation, ANY)


def _result(outcome: Outcome, *, with_body: bool) -> bytes:
    etag = f',"eTag":"\\{outcome.etag[:-1]}\\""' if outcome.etag else ""
    head = f'{{"statusCode":{outcome.status},"requestCharge":{outcome.charge:.2f}{etag}'.encode()
    if outcome.body is None or not with_body:
        return head + b"}"
    return head + b',"resourceBody":' + outcome.body + b"}"


def _run_all(container: Container, key: PartitionKey, operations: list[Any]) -> list[Outcome]:
    saved = container.counters()
    outcomes: list[Outcome] = []
    try:
        with container.store.transaction():
            for index, operation in enumerate(operations):
                try:
                    outcomes.append(_run_one(container, key, operation))
                except CosmosError as error:
                    raise _OperationFailedError(index, error) from error
    except BaseException:
        container.restore_counters(saved)
        raise
    return outcomes


def run_batch(container: Container, key: PartitionKey, raw: bytes, *, minimal: bool) -> tuple[int, bytes, float]:
    """Runs a batch request body; (HTTP status, response body, request charge)."""
    if len(raw) > MAX_BYTES:
        raise too_large()
    try:
        operations = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise bad_request("The batch body is not valid JSON.") from error
    if type(operations) is not list:
        raise bad_request("A batch is a JSON array of operations.")
    if not operations:
        raise bad_request("Batch request has no operations.")
    if len(operations) > MAX_OPERATIONS:
        raise bad_request(f"Batch request has more operations than what is supported. The limit is {MAX_OPERATIONS}.")
    try:
        outcomes = _run_all(container, key, operations)
    except _OperationFailedError as failure:
        results = [_FAILED_DEPENDENCY] * len(operations)
        charge = request_units.METADATA * (failure.index + 1)
        message = orjson.dumps(failure.error.message).decode()
        results[failure.index] = (
            f'{{"statusCode":{failure.error.status},"subStatusCode":{failure.error.substatus},'
            f'"requestCharge":{request_units.METADATA},"message":{message}}}'
        ).encode()
        return 207, b"[" + b",".join(results) + b"]", charge
    results = [
        _result(outcome, with_body=not minimal or operation["operationType"] == "Read")
        for operation, outcome in zip(operations, outcomes, strict=True)
    ]
    return 200, b"[" + b",".join(results) + b"]", sum(outcome.charge for outcome in outcomes)
