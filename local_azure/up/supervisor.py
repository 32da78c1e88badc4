"""Starts the parts stage by stage, keeps them running, and stops them in reverse order."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp

from local_azure.up.data_folder import DataFolder
from local_azure.up.health import NotHealthy
from local_azure.up.part import Part
from local_azure.up.part_run import PartKeepsDying, PartRun
from local_azure.up.restart_policy import RestartPolicy

_HEALTHY_WITHIN_SECONDS = 60.0
_STOP_GRACE_SECONDS = 12.0


class Supervisor:
    """The parts of one data folder while they run."""

    def __init__(
        self, parts: Sequence[Part], folder: DataFolder, *, announce: Callable[[str], None], first_wait_seconds: float
    ) -> None:
        self._folder = folder
        self._announce = announce
        self._started_at = datetime.now(UTC)
        self._runs = [
            PartRun(part, folder, RestartPolicy(first_wait_seconds), announce=announce, changed=self._write_run_file)
            for part in parts
        ]
        self._keepers: dict[asyncio.Task[None], PartRun] = {}

    async def start(self, session: aiohttp.ClientSession) -> None:
        """Returns when every part is healthy.

        Raises:
            NotHealthy: a part is alive but did not become healthy within a minute.
        """
        for stage in sorted({run.part.stage for run in self._runs}):
            runs = [run for run in self._runs if run.part.stage == stage]
            for run in runs:
                self._keepers[asyncio.create_task(run.keep_running(session))] = run
            await asyncio.gather(*(self._wait_for(run) for run in runs))

    async def stop(self) -> None:
        """Ends every part, the last started first, and takes run.json away."""
        self._announce("stopping")
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for run in reversed(self._runs):
            await run.stop(_STOP_GRACE_SECONDS)
        self._folder.run_file.unlink(missing_ok=True)
        restarts = ", ".join(f"{run.part.name} {run.restarts}" for run in self._runs if run.restarts)
        self._announce(f"all parts stopped; restarts: {restarts or 'none'}")

    def kill_all(self) -> None:
        for run in self._runs:
            run.kill()

    async def wait_for_giving_up(self) -> None:
        """Raises: PartKeepsDying: as soon as one part does."""
        while True:
            for keeper in self._keepers:
                if keeper.done():
                    keeper.result()
            await asyncio.sleep(0.1)

    async def _wait_for(self, run: PartRun) -> None:
        try:
            await asyncio.wait_for(run.healthy.wait(), _HEALTHY_WITHIN_SECONDS)
        except TimeoutError:
            raise NotHealthy(
                f"{run.part.title} did not answer {run.part.health_url} within {_HEALTHY_WITHIN_SECONDS:.0f} s; "
                f"its log: {self._folder.log_path(run.part.name)}"
            ) from None

    def _write_run_file(self) -> None:
        self._folder.write_run_file(
            {
                "supervisor_pid": os.getpid(),
                "started_at": self._started_at.isoformat(timespec="milliseconds"),
                "parts": {run.part.name: run.describe() for run in self._runs},
            }
        )


async def run_until_stopped(
    supervisor: Supervisor,
    *,
    once_up: Callable[[aiohttp.ClientSession], Awaitable[int | None]],
    announce: Callable[[str], None],
) -> int:
    """The exit status: 0 after SIGINT or SIGTERM, 1 when a part gives up, else what `once_up` returns unless None.

    A second signal kills the parts instead of waiting for them.
    """
    stop_asked = asyncio.Event()
    _on_signals(lambda: supervisor.kill_all() if stop_asked.is_set() else stop_asked.set())
    async with aiohttp.ClientSession() as session:
        work = asyncio.create_task(_start_then(supervisor, session, once_up))
        giving_up = asyncio.create_task(supervisor.wait_for_giving_up())
        stopping = asyncio.create_task(stop_asked.wait())
        tasks: set[asyncio.Task[Any]] = {work, giving_up, stopping}
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        status = 0
        try:
            for task in (giving_up, work):
                if task.done() and not stopping.done():
                    status = task.result() or 0
        except (PartKeepsDying, NotHealthy) as failure:
            announce(f"!!! {failure}")
            status = 1
        finally:
            await _cancel(tasks)
            await supervisor.stop()
        return status


async def _start_then(
    supervisor: Supervisor,
    session: aiohttp.ClientSession,
    once_up: Callable[[aiohttp.ClientSession], Awaitable[int | None]],
) -> int:
    await supervisor.start(session)
    status = await once_up(session)
    if status is None:
        await asyncio.Event().wait()
    return status or 0


def _on_signals(react: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, react)


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
