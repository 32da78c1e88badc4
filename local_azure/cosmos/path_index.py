"""Automatic indexes: a column and a partial index for each document path that queries compare with a constant.

The service indexes every path; SQLite must be told. A path column holds the value when it is a string or a number and
NULL otherwise, so an index entry exists only for documents that have one. Columns are filled from the parsed document
at each write, so no JSON is parsed twice. New columns are filled for old documents in the background.
"""

from typing import Any

from local_azure.cosmos.partition_key import value_at

MAX_COLUMNS = 32
MAX_INDEXED_TEXT = 1024

Path = tuple[str, ...]


def column_value(document: dict[str, Any], path: Path) -> str | float | None:
    """What the column of a path holds for a document; None when the value is neither a string nor a number."""
    value = value_at(document, path)
    kind = type(value)
    if kind is str:
        # A cut value still sorts at or before the full one; the query checks the document itself afterwards.
        return value[:MAX_INDEXED_TEXT]
    if kind is int:
        return value if -(2**53) <= value <= 2**53 else float(value)
    return value if kind is float else None


class PathColumns:
    """The path columns of one container, in the order they were made."""

    def __init__(self, paths: list[Path], ready: list[bool]) -> None:
        self.paths = paths
        self.ready = ready
        self._number = {path: number for number, path in enumerate(paths)}

    def __len__(self) -> int:
        return len(self.paths)

    def number_of(self, path: Path) -> int | None:
        """The column of a path when it is filled for every document."""
        number = self._number.get(path)
        return number if number is not None and self.ready[number] else None

    def knows(self, path: Path) -> bool:
        return path in self._number

    def append(self, path: Path) -> int:
        self._number[path] = len(self.paths)
        self.paths.append(path)
        self.ready.append(False)
        return len(self.paths) - 1

    def values(self, document: dict[str, Any]) -> tuple[str | float | None, ...]:
        return tuple(column_value(document, path) for path in self.paths)
