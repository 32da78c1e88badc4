"""Item operations: create, upsert, replace, read, delete, patch; each used alone and inside a batch.

Takes a container, a partition key and parsed JSON; gives an `Outcome` (status, final body, etag, charge). Conditions,
limits and their answers: https://learn.microsoft.com/rest/api/cosmos-db/documents (read 2026-11).
"""

import re
from typing import Any, NamedTuple

import orjson

from local_azure.cosmos import request_units as ru
from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import bad_request, not_found, precondition_failed, predicate_false
from local_azure.cosmos.item_table import Row
from local_azure.cosmos.partition_key import PartitionKey
from local_azure.cosmos.patch import apply_patch
from local_azure.cosmos.sql.predicate import predicate_holds

_MAX_ID_BYTES = 1023
_BAD_ID = re.compile(r"[/\\?#\r\n\t]|[ ]$")


class Conditions(NamedTuple):
    """The etag conditions of a request."""

    if_match: str | None = None
    if_none_match: str | None = None


class Outcome(NamedTuple):
    """What an item operation did."""

    status: int
    charge: float
    body: bytes | None = None
    etag: str | None = None


ANY = Conditions()


def check_document(document: Any) -> dict[str, Any]:
    """The document when its shape and id are ones the service stores."""
    if type(document) is not dict:
        raise bad_request("The request body must be a JSON object.")
    item_id = document.get("id")
    if type(item_id) is not str or not item_id:
        raise bad_request("The input content is invalid because the required properties - 'id; ' - are missing.")
    if len(item_id) > 255 and len(item_id.encode()) > _MAX_ID_BYTES:
        raise bad_request(
            "The input name is invalid. Ensure to provide a unique non-empty string less than '1024' characters."
        )
    if _BAD_ID.search(item_id):
        raise bad_request("The id contains '/', '\\', '?', '#', a line break or ends with a space.")
    return document


def _check_match(container: Container, row: Row | None, conditions: Conditions) -> None:
    if conditions.if_match is not None:
        if row is None:
            raise precondition_failed()
        if conditions.if_match not in ("*", container.etag(row.lsn, row.ts)):
            raise precondition_failed()
    if (
        conditions.if_none_match is not None
        and row is not None
        and conditions.if_none_match in ("*", container.etag(row.lsn, row.ts))
    ):
        raise precondition_failed()


def create(container: Container, key: PartitionKey, document: dict[str, Any]) -> Outcome:
    container.key.check(document, key)
    body, etag = container.add(key, document)
    return Outcome(201, ru.create_charge(len(body)), body, etag)


def upsert(container: Container, key: PartitionKey, document: dict[str, Any], conditions: Conditions = ANY) -> Outcome:
    container.key.check(document, key)
    row = container.live(key, document["id"])
    if conditions is not ANY:
        _check_match(container, row, conditions)
    if row is None:
        body, etag = container.add(key, document)
        return Outcome(201, ru.create_charge(len(body)), body, etag)
    body, etag = container.overwrite(key, row, document)
    return Outcome(200, ru.replace_charge(len(body)), body, etag)


def replace(
    container: Container, key: PartitionKey, item_id: str, document: dict[str, Any], conditions: Conditions = ANY
) -> Outcome:
    container.key.check(document, key)
    row = container.live(key, item_id)
    if row is None:
        raise not_found()
    _check_match(container, row, conditions)
    new_id = document["id"]
    body, etag = container.overwrite(key, row, document, new_id=new_id if new_id != item_id else None)
    return Outcome(200, ru.replace_charge(len(body)), body, etag)


def read(container: Container, key: PartitionKey, item_id: str, conditions: Conditions = ANY) -> Outcome:
    found = container.table.read(key.text, item_id)
    if found is None or (found[2] is not None and found[2] <= container.store.clock()):
        raise not_found()
    lsn, ts, _, body = found
    etag = container.etag(lsn, ts)
    if conditions.if_none_match is not None and conditions.if_none_match in ("*", etag):
        return Outcome(304, ru.READ_1KB, None, etag)
    if conditions.if_match is not None and conditions.if_match not in ("*", etag):
        raise precondition_failed()
    return Outcome(200, ru.read_charge(len(body)), body, etag)


def delete(container: Container, key: PartitionKey, item_id: str, conditions: Conditions = ANY) -> Outcome:
    row = container.live(key, item_id)
    if row is None:
        raise not_found()
    _check_match(container, row, conditions)
    container.remove(key, row)
    return Outcome(204, ru.delete_charge(len(row.body)))


def patch(container: Container, key: PartitionKey, item_id: str, body: Any, conditions: Conditions = ANY) -> Outcome:
    """Applies a PATCH body: a list of operations or {"condition": ..., "operations": [...]}."""
    if type(body) is dict:
        operations, predicate = body.get("operations"), body.get("condition")
    else:
        operations, predicate = body, None
    row = container.live(key, item_id)
    if row is None:
        raise not_found()
    _check_match(container, row, conditions)
    document = orjson.loads(row.body)
    if predicate is not None and not predicate_holds(predicate, document):
        raise predicate_false()
    apply_patch(document, operations, container.key)
    new_body, etag = container.overwrite(key, row, document)
    return Outcome(200, ru.replace_charge(len(new_body)), new_body, etag)
