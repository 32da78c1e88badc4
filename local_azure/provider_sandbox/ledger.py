"""The ledger: one JSON line per provider call and recipient, written before the call is answered.

It is the outside truth that checkers count: what reached the providers, when, for which attempt, and whether the
provider took it.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import AsyncIterator
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, BinaryIO

from local_azure.provider_sandbox.journal import JsonLinesFile

_INDEX_EVERY_LINES = 1024
_BLOCK_BYTES = 1 << 18
_MAX_LISTED_DUPLICATES = 1000


class _ProviderCounts:
    """One provider's calls. The peak is the most calls within any second, which is what a rate limit is about."""

    def __init__(self) -> None:
        self._calls = self._recipients = self._accepted = self._peak = 0
        self._outcomes: Counter[str] = Counter()
        self._last_second: deque[float] = deque()

    def add(self, entry: dict[str, Any]) -> None:
        self._recipients += 1
        self._accepted += entry["accepted"]
        self._outcomes[entry["outcome"]] += 1
        if entry["part"] == 0:
            self._calls += 1
            at = datetime.fromisoformat(entry["at"]).timestamp()
            self._last_second.append(at)
            while self._last_second[0] <= at - 1:
                self._last_second.popleft()
            self._peak = max(self._peak, len(self._last_second))

    def as_json(self) -> dict[str, Any]:
        return {
            "calls": self._calls,
            "recipients": self._recipients,
            "accepted": self._accepted,
            "peakCallsInOneSecond": self._peak,
            "outcomes": self._outcomes,
        }


class Ledger:
    """Appends lines and reads them back by line number, from 0."""

    def __init__(self, path: Path) -> None:
        self._file = JsonLinesFile(path)
        self._index = [(0, 0)]  # (line number, its byte offset), about every 1024 lines
        self.lines = 0
        self._index_existing()

    def append(self, entries: list[dict[str, Any]]) -> None:
        self._file.append(entries)
        self.lines += len(entries)
        self._index_end(self._file.size_bytes)

    async def read(self, since: int = 0) -> AsyncIterator[bytes]:
        """The lines from number `since` up to the present end, in blocks."""
        end = self._file.size_bytes
        with self._file.path.open("rb") as lines:
            self._seek(lines, since)
            while (left := end - lines.tell()) > 0:
                yield lines.read(min(_BLOCK_BYTES, left))
                await asyncio.sleep(0)

    def summary(self) -> dict[str, Any]:
        """Counts and peaks per provider, and the attempt ids that were seen or accepted more than once."""
        providers: dict[str, _ProviderCounts] = {}
        seen: Counter[str] = Counter()
        accepted: Counter[str] = Counter()
        for entry in self._file.entries():
            providers.setdefault(entry["provider"], _ProviderCounts()).add(entry)
            if entry["attemptId"]:
                seen[entry["attemptId"]] += 1
                accepted[entry["attemptId"]] += entry["accepted"]
        return {
            "lines": self.lines,
            "providers": {provider: counts.as_json() for provider, counts in providers.items()},
            "attempts": len(seen),
            "duplicates": {"seen": _repeated(seen), "accepted": _repeated(accepted)},
        }

    def close(self) -> None:
        self._file.close()

    def _seek(self, lines: BinaryIO, since: int) -> None:
        line, offset = self._index[bisect_right(self._index, since, key=itemgetter(0)) - 1]
        lines.seek(offset)
        for _ in range(since - line):
            if not lines.readline():
                return

    def _index_end(self, offset: int) -> None:
        if self.lines - self._index[-1][0] >= _INDEX_EVERY_LINES:
            self._index.append((self.lines, offset))

    def _index_existing(self) -> None:
        start = 0
        with self._file.path.open("rb") as lines:
            while block := lines.read(_BLOCK_BYTES):
                self.lines += block.count(b"\n")
                self._index_end(start + block.rfind(b"\n") + 1)
                start += len(block)


def _repeated(counts: Counter[str]) -> dict[str, Any]:
    repeated = [(attempt, count) for attempt, count in counts.items() if count > 1]
    return {"count": len(repeated), "attemptIds": dict(repeated[:_MAX_LISTED_DUPLICATES])}
