"""The fake provider as the bench's main process sees it: started, asked, stopped. Blocking calls over urllib."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_READ_TIMEOUT_SECONDS = 60


class Provider:
    """A running fake provider."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid
        self.url = f"http://127.0.0.1:{port}"

    def counts(self) -> dict[str, int]:
        """Requests, calls (one for each attempt in a request), distinct notifications, callbacks so far."""
        return dict(self._get("/counts"))

    def calls_since(self, index: int) -> list[tuple[str, float]]:
        """(attempt id, monotonic seconds of arrival) of each call from ``index`` on."""
        return [(attempt, at) for attempt, at in self._get(f"/ledger?from={index}")]

    def callbacks(self) -> list[list[str]]:
        """(webhook-id, timestamp, signature, body) of each callback."""
        return list(self._get("/state")["callbacks"])

    def behave(self, **behaviour: object) -> None:
        """Answers differently from now on; without arguments, well again."""
        body = json.dumps(behaviour).encode()
        request = urllib.request.Request(f"{self.url}/behaviour", body, method="PUT")  # noqa: S310 - our own address
        urllib.request.urlopen(request, timeout=_READ_TIMEOUT_SECONDS).close()  # noqa: S310 - our own address

    def wait_for(self, notifications: int, *, stall_seconds: float = 60.0) -> bool:
        """Whether that many distinct notifications arrived; False when nothing new came for ``stall_seconds``."""
        seen, since = -1, time.monotonic()
        while True:
            counts = self.counts()
            if counts["notifications"] >= notifications:
                return True
            if counts["calls"] != seen:
                seen, since = counts["calls"], time.monotonic()
            elif time.monotonic() - since > stall_seconds:
                return False
            time.sleep(0.1)

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=_READ_TIMEOUT_SECONDS) as answer:  # noqa: S310 - our own address
            return json.load(answer)


@contextlib.contextmanager
def running_provider(port: int = 0) -> Iterator[Provider]:
    """A fake provider in a process of its own; port 0 takes a free one."""
    command = [sys.executable, "-m", "bench.fake_provider", "--port", str(port)]
    process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = process.stdout.readline()
        if not line.startswith("ready: "):
            raise RuntimeError(f"the fake provider did not start: {line!r}")
        yield Provider(int(line.rsplit(":", 1)[1]), process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=10)
