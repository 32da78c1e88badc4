"""Follows the parts' log files and shows what matters on the terminal.

Parts write to their files themselves: no pipe that fills up, and nothing is lost when the supervisor dies.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from pathlib import Path

_POLL_SECONDS = 0.25
_MATTERS = re.compile(r"\b(?:WARNING|ERROR|CRITICAL)\b|^Traceback |^\w+(?:\.\w+)*(?:Error|Exception)\b")
_READ_BYTES = 1_000_000


class LogTail:
    """Shows new lines of several logs, prefixed with the part: warnings and errors, or all of them when verbose."""

    def __init__(self, logs: Iterable[tuple[str, Path]], *, verbose: bool, show: Callable[[str], None]) -> None:
        self._logs = [_Log(name, path) for name, path in logs]
        self._verbose = verbose
        self._show = show

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            self.show_new_lines()

    def show_new_lines(self) -> None:
        for log in self._logs:
            for line in log.new_lines():
                if self._verbose or _MATTERS.search(line):
                    self._show(f"[{log.name}] {line}")


class _Log:
    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0  # what earlier runs wrote is old news
        self._rest = b""

    def new_lines(self) -> list[str]:
        if not self._path.exists():
            return []
        if self._path.stat().st_size < self._position:  # a restart put a new file in its place
            self._position = 0
        with self._path.open("rb") as stream:
            stream.seek(self._position)
            fresh = stream.read(_READ_BYTES)
        self._position += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def last_lines(log: Path, count: int, *, since: int) -> list[str]:
    """The end of what was logged after position `since`: why a part died is nearly always there."""
    with log.open("rb") as stream:
        stream.seek(max(since, log.stat().st_size - 4096))
        return stream.read().decode(errors="replace").splitlines()[-count:]
