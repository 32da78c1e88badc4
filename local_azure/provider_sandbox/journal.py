"""Append-only JSON-lines files that survive SIGKILL.

What `append` wrote is in the operating system's hands before it returns. A line torn by a kill in the middle of a write
is cut off on opening; its call had not been answered yet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

_BLOCK_BYTES = 1 << 18


class JsonLinesFile:
    """One file, open for appending as long as the process lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self.size_bytes = _cut_torn_line(self._descriptor)

    def append(self, entries: list[dict[str, Any]]) -> None:
        block = b"".join([orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in entries])
        left = block
        while left:
            left = left[os.write(self._descriptor, left) :]
        self.size_bytes += len(block)

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry that was whole when the reading began; safe in another thread than the writer's."""
        left = self.size_bytes
        with self.path.open("rb") as lines:
            while left > 0:
                line = lines.readline()
                left -= len(line)
                yield orjson.loads(line)

    def replace_with(self, entries: list[dict[str, Any]]) -> None:
        """Make these the file's only entries; a kill leaves either the old file or the new one."""
        fresh = self.path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        replacement = JsonLinesFile(fresh)
        for start in range(0, len(entries), 1000):
            replacement.append(entries[start : start + 1000])
        fresh.replace(self.path)
        os.close(self._descriptor)
        self._descriptor, self.size_bytes = replacement._descriptor, replacement.size_bytes

    def close(self) -> None:
        os.close(self._descriptor)


def _cut_torn_line(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    position = end
    while position > 0:
        start = max(0, position - _BLOCK_BYTES)
        block = os.pread(descriptor, position - start, start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < end:
        os.ftruncate(descriptor, position)
    return position
