"""One part over its lives: started, watched until healthy, started again when it dies."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp

from local_azure.up.child import describe_exit, kill_group, start_process, stop_process
from local_azure.up.data_folder import DataFolder
from local_azure.up.health import wait_until_healthy
from local_azure.up.log_tail import last_lines
from local_azure.up.part import Part
from local_azure.up.restart_policy import RestartPolicy

_SHOWN_LINES = 3


class PartKeepsDying(Exception):
    """Starting the part again has no use."""


class PartRun:
    """Keeps one part running and knows its state."""

    def __init__(
        self,
        part: Part,
        folder: DataFolder,
        policy: RestartPolicy,
        *,
        announce: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.part = part
        self.restarts = 0
        self.healthy = asyncio.Event()
        self._folder = folder
        self._announce = announce
        self._changed = changed
        self._policy = policy
        self._process: asyncio.subprocess.Process | None = None
        self._started_at = datetime.now(UTC)
        self._healthy_since: float | None = None
        self._log_start = 0  # where this life's lines begin

    def describe(self) -> dict[str, Any]:
        """The part's entry in run.json."""
        return {
            "pid": self._process.pid if self._process else None,
            "url": self.part.url,
            "ports": dict(self.part.ports),
            "started_at": self._started_at.isoformat(timespec="milliseconds"),
            "restarts": self.restarts,
            "healthy": self.healthy.is_set(),
            "log": str(self._folder.log_path(self.part.name)),
        }

    async def keep_running(self, session: aiohttp.ClientSession) -> None:
        """Runs until cancelled.

        Raises:
            PartKeepsDying: it died five times within a minute without ever being healthy.
        """
        while True:
            process = await self._start()
            watcher = asyncio.create_task(self._note_health(session))
            return_code = await process.wait()
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
            kill_group(process)
            await self._wait_after_death(return_code)

    async def stop(self, grace_seconds: float) -> None:
        if self._process is None:
            return
        if not await stop_process(self._process, grace_seconds):
            self._announce(f"{self.part.name} did not stop within {grace_seconds:.0f} s and was killed")
        self._process = None

    def kill(self) -> None:
        if self._process is not None:
            kill_group(self._process)

    async def _start(self) -> asyncio.subprocess.Process:
        with self._folder.open_log(self.part.name) as log:
            self._log_start = log.tell()
            self._process = await start_process(self.part, log)
        self._started_at = datetime.now(UTC)
        self._healthy_since = None
        self._changed()
        return self._process

    async def _note_health(self, session: aiohttp.ClientSession) -> None:
        started = time.monotonic()
        await wait_until_healthy(session, self.part.health_url)
        self._healthy_since = time.monotonic()
        self.healthy.set()
        self._changed()
        if self.restarts:
            self._announce(f"{self.part.name} is healthy again after {self._healthy_since - started:.1f} s")

    async def _wait_after_death(self, return_code: int) -> None:
        now = time.monotonic()
        healthy_seconds = None if self._healthy_since is None else now - self._healthy_since
        wait_seconds = self._policy.seconds_until_restart(now=now, healthy_seconds=healthy_seconds)
        log = self._folder.log_path(self.part.name)
        death = f"{self.part.title} ({self.part.name}) {describe_exit(return_code)}; its log: {log}"
        self.healthy.clear()
        self._process = None
        if wait_seconds is None:
            raise PartKeepsDying(f"{death}. It dies at every start; giving up")
        self.restarts += 1
        self._announce(f"!!! {death}. Restart {self.restarts} in {wait_seconds:.0f} s")
        if return_code >= 0:  # it ended by itself, so it said why; a signal tells all there is to tell
            for line in last_lines(log, _SHOWN_LINES, since=self._log_start):
                self._announce(f"      {line}")
        self._changed()
        await asyncio.sleep(wait_seconds)
