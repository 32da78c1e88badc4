"""One request as the emulator understands it: operation, container, scope; and the headers of its answer."""

from dataclasses import dataclass
from typing import Any

import orjson

from local_azure.cosmos.candidates import Scope
from local_azure.cosmos.container import Container
from local_azure.cosmos.documents import ANY, Conditions
from local_azure.cosmos.errors import CODE_NAMES, PARTITION_KEY_MISMATCH, PARTITION_RANGE_GONE, CosmosError, bad_request
from local_azure.cosmos.http_server import Request, Response
from local_azure.cosmos.partition_key import PartitionKey
from local_azure.cosmos.ranges import range_index

JSON = (b"content-type", b"application/json")
_TRUE = (b"True", b"true")


@dataclass(slots=True)
class Call:
    """What is asked: `operation` is the name used by faults and statistics."""

    request: Request
    parts: list[str]
    operation: str
    container: Container | None = None

    def header(self, name: bytes) -> bytes | None:
        return self.request.headers.get(name)

    def flag(self, name: bytes) -> bool:
        return self.request.headers.get(name) in _TRUE

    def number(self, name: bytes, default: int) -> int:
        value = self.request.headers.get(name)
        try:
            return int(value) if value else default
        except ValueError as error:
            raise bad_request(f"The header {name.decode()} is not a number.") from error

    def conditions(self) -> Conditions:
        headers = self.request.headers
        if b"if-match" not in headers and b"if-none-match" not in headers:
            return ANY
        return Conditions(self.text(b"if-match"), self.text(b"if-none-match"))

    def text(self, name: bytes) -> str | None:
        """A header as text; None when it is absent or empty."""
        value = self.request.headers.get(name)
        return value.decode("latin-1") if value else None


def parse_body(call: Call) -> Any:
    try:
        return orjson.loads(call.request.body)
    except orjson.JSONDecodeError as error:
        raise bad_request("The request body is not valid JSON.") from error


def partition_key(call: Call, container: Container) -> PartitionKey:
    """The complete key a document operation must name."""
    header = call.header(b"x-ms-documentdb-partitionkey")
    if header is None:
        raise bad_request("The partition key header is missing; the operation needs one.")
    key = container.key.from_header(header)
    if key.is_prefix:
        raise bad_request(
            "Partition key provided either doesn't correspond to definition in the collection or doesn't match "
            "partition key field values specified in the document.",
            PARTITION_KEY_MISMATCH,
        )
    return key


def _epk_header(call: Call, name: bytes, default: str) -> str:
    value = call.header(name)
    return value.decode("latin-1") if value is not None else default


def read_scope(call: Call, container: Container) -> Scope | None:
    """What a query or feed reads; None when the request names neither a key nor a range."""
    header = call.header(b"x-ms-documentdb-partitionkey")
    range_id = call.header(b"x-ms-documentdb-partitionkeyrangeid")
    if header is not None:
        key = container.key.from_header(header)
        if not key.is_prefix:
            return Scope(key, "", "FF")
        return Scope(None, key.epk, key.epk + "FF")
    low, high = "", "FF"
    if range_id is not None:
        part = next((part for part in container.ranges if part.id == range_id.decode("latin-1")), None)
        if part is None:
            raise CosmosError(410, "The requested partition key range is gone.", PARTITION_RANGE_GONE)
        low, high = part.low, part.high
    elif call.header(b"x-ms-start-epk") is None:
        return None
    return Scope(
        None, max(low, _epk_header(call, b"x-ms-start-epk", low)), min(high, _epk_header(call, b"x-ms-end-epk", high))
    )


def common_headers(call: Call | None, charge: float) -> list[tuple[bytes, bytes]]:
    headers = [JSON, (b"x-ms-request-charge", b"%.2f" % charge), (b"x-ms-gatewayversion", b"version=2.14.0")]
    activity = call.request.headers.get(b"x-ms-activity-id") if call is not None else None
    if activity:
        headers.append((b"x-ms-activity-id", activity))
    return headers


def container_headers(
    call: Call, container: Container, charge: float, scope: PartitionKey | Scope | None
) -> list[tuple[bytes, bytes]]:
    """The headers every answer about documents has."""
    headers = common_headers(call, charge)
    epk = scope.epk if isinstance(scope, PartitionKey) else ""
    if isinstance(scope, Scope):
        epk = scope.key.epk if scope.key is not None else scope.low
    index = range_index(container.ranges, epk)
    headers += [
        (b"x-ms-alt-content-path", container.quoted_path),
        (b"x-ms-content-path", container.rid_text),
        (b"x-ms-session-token", b"%d:-1#%d" % (index, container.range_lsns[index])),
        (b"x-ms-documentdb-partitionkeyrangeid", b"%d" % index),
        (b"lsn", b"%d" % container.lsn),
    ]
    return headers


def error_response(error: CosmosError, call: Call | None) -> Response:
    headers = common_headers(call, 1.0 if error.status < 500 else 0.0)
    if error.substatus:
        headers.append((b"x-ms-substatus", b"%d" % error.substatus))
    if error.retry_after_ms is not None:
        headers.append((b"x-ms-retry-after-ms", b"%d" % error.retry_after_ms))
    code = CODE_NAMES.get(error.status, str(error.status))
    return Response(error.status, headers, orjson.dumps({"code": code, "message": error.message}))
