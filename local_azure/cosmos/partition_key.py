"""Partition keys: the container's definition, the key of a document, the key in a request header.

Takes JSON values; gives `PartitionKey` objects whose `text` is the canonical JSON the store keeps and whose `epk`
decides the physical range. An absent component is written `{}` on the wire ("[{}]"), `[]` is the empty key.
"""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from local_azure.cosmos.epk import UNDEFINED, Undefined, effective_partition_key
from local_azure.cosmos.errors import PARTITION_KEY_MISMATCH, bad_request

_CACHE_LIMIT = 20_000
_MAX_KEY_BYTES = 2048
_PATH_PART = re.compile(r"""/(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^/]*))""")


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """One key value: its components, canonical text and place in the hash space."""

    values: tuple[Any, ...]
    text: str
    epk: str
    is_prefix: bool


def split_path(path: str) -> tuple[str, ...]:
    """The property names of a path; a quoted one may contain '/'."""
    parts = [next(filter(None, match), "").strip() for match in _PATH_PART.findall(path)]
    if not parts or not all(parts):
        raise bad_request(f"The path {path!r} is not valid.")
    return tuple(parts)


def value_at(document: Any, parts: tuple[str, ...]) -> Any:
    for part in parts:
        if type(document) is not dict:
            return UNDEFINED
        document = document.get(part, UNDEFINED)
    return document


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return UNDEFINED if value == {} else value


class KeyDefinition:
    """How a container finds the partition key of a document."""

    def __init__(self, definition: dict[str, Any]) -> None:
        paths = definition.get("paths") or []
        if not paths or not all(isinstance(path, str) and path.startswith("/") for path in paths):
            raise bad_request("The partition key definition needs paths that start with '/'.")
        if len(paths) > 3:
            raise bad_request("Too many partition key paths: a hierarchical partition key has at most 3.")
        if definition.get("version", 2) != 2:
            raise bad_request("Only version 2 of partition key hashing is supported by this emulator.")
        self.hierarchical = definition.get("kind", "Hash") == "MultiHash"
        if len(paths) > 1 and not self.hierarchical:
            raise bad_request("Several partition key paths need the kind MultiHash.")
        self.paths = tuple(split_path(path) for path in paths)
        self._single = self.paths[0][0] if len(paths) == 1 and len(self.paths[0]) == 1 else None
        self._by_header: dict[bytes, PartitionKey] = {}
        self.patchable: dict[str, tuple[str, ...]] = {}  # patch paths already found to be allowed, split

    def from_header(self, header: bytes) -> PartitionKey:
        key = self._by_header.get(header)
        if key is None:
            try:
                values = orjson.loads(header)
            except orjson.JSONDecodeError as error:
                raise bad_request("The partition key header is not a JSON array.") from error
            if not isinstance(values, list):
                raise bad_request("The partition key header is not a JSON array.")
            key = self.key_for(values)
            if len(self._by_header) > _CACHE_LIMIT:
                self._by_header.clear()
            self._by_header[header] = key
        return key

    def key_for(self, values: list[Any]) -> PartitionKey:
        components = tuple(_canonical(value) for value in values)
        if len(components) > len(self.paths):
            raise bad_request("Partition key provided has more components than the definition.", PARTITION_KEY_MISMATCH)
        for value in components:
            if value is not UNDEFINED and not isinstance(value, str | int | float | bool | None):
                raise bad_request("Partition key components must be strings, numbers, booleans or null.")
        text = orjson.dumps([{} if value is UNDEFINED else value for value in components])
        if len(text) > _MAX_KEY_BYTES + 4:
            raise bad_request("Partition key exceeds the 2 KB limit.")
        epk = effective_partition_key(components, hierarchical=self.hierarchical)
        return PartitionKey(components, text.decode(), epk, 0 < len(components) < len(self.paths))

    def of_document(self, document: dict[str, Any]) -> PartitionKey:
        """The key of a document; objects and arrays count as absent, as in the SDKs."""
        values = [value_at(document, path) for path in self.paths]
        return self.key_for([{} if isinstance(value, dict | list | Undefined) else value for value in values])

    def check(self, document: dict[str, Any], key: PartitionKey) -> None:
        """Refuses a document whose own key differs from the key of the request."""
        if self._single is not None and len(key.values) == 1:
            own = document.get(self._single, UNDEFINED)
            wanted = key.values[0]
            if own == wanted and type(own) is type(wanted):
                return
        own_key = self.of_document(document)
        if own_key.text != key.text and not (key.values == () and set(own_key.values) == {UNDEFINED}):
            raise bad_request(
                "PartitionKey extracted from document doesn't match the one specified in the header.",
                PARTITION_KEY_MISMATCH,
            )

    def contains_path(self, parts: tuple[str, ...]) -> bool:
        """Whether a property path is a partition key path, above or below one."""
        return any(path[: len(parts)] == parts[: len(path)] for path in self.paths)
