"""One worker process as the host sees it: started, talked to over a socket pair, asked to leave, or killed.

Takes the app folder and what the worker serves, gives a ``WorkerProcess`` whose ``ready`` future holds the app's
functions. SIGTERM is Azure's way of taking an instance away: the worker says so, finishes what runs for as long as its
grace lasts, and leaves with 143.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_azure.functions_host.errors import HostError, WorkerLost
from local_azure.functions_host.frames import Frame, FrameChannel

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_TICKS, _PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_OVERTIME_SECONDS = 0.5  # a worker whose loop the app blocks does not see the signal; it is killed after this
LEFT_ON_SIGTERM = 143


@dataclass(frozen=True)
class WorkerSettings:
    """What all workers of a host have in common."""

    folder: Path
    log_level: int
    grace_seconds: float  # what running invocations get after SIGTERM


@dataclass
class WorkerProcess:
    """A worker; ``serves`` names the function or group it is dedicated to, and is empty for the default workers."""

    number: int
    serves: str
    process: asyncio.subprocess.Process
    channel: FrameChannel
    ready: asyncio.Future[list[dict[str, Any]]]
    started: float
    pending: dict[int, asyncio.Future[Frame]] = field(default_factory=dict)
    takes_work: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

    def fail_pending(self) -> None:
        """The worker is gone: so are its invocations."""
        self.takes_work = False
        pending, self.pending = self.pending, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(WorkerLost(f"WorkerLost('worker {self.number} ended')"))
        if not self.ready.done():
            self.ready.set_exception(HostError(f"worker {self.number} ended before the app was indexed"))

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it is gone already
            self.process.send_signal(number)

    async def leave(self, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL when the grace is over and it is still there."""
        self.takes_work = False
        self.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_seconds + _OVERTIME_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def stop(self, seconds: float) -> None:
        """Let it go with the host: nothing runs any more, or is not waited for."""
        self.channel.send(("stop",))
        try:
            async with asyncio.timeout(seconds):
                await self.process.wait()
        except TimeoutError:
            self.send_signal(signal.SIGKILL)
            await self.process.wait()
        self.channel.close()

    def describe(self) -> dict[str, Any]:
        cpu_seconds, resident_bytes = _usage(self.pid)
        return {
            "number": self.number,
            "pid": self.pid,
            "serves": self.serves or "default",
            "ready": self.takes_work,
            "in_flight": len(self.pending),
            "cpu_seconds": cpu_seconds,
            "resident_bytes": resident_bytes,
            "uptime_seconds": round(time.time() - self.started, 1),
        }


def _usage(pid: int) -> tuple[float, int]:
    """CPU seconds and resident bytes; zeros for a process that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0
    return (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[21]) * _PAGE_BYTES


async def start_worker(
    settings: WorkerSettings, number: int, serves: str, receive: Callable[[WorkerProcess, Frame], None]
) -> WorkerProcess:
    """Start the process; its frames go to ``receive``."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    command = [sys.executable, "-m", "local_azure.functions_host.worker", "--number", str(number)]
    command += ["--grace", str(settings.grace_seconds), *(["--serves", serves] if serves else [])]
    with theirs:
        process = await asyncio.create_subprocess_exec(
            *command,
            "--channel",
            str(theirs.fileno()),
            cwd=settings.folder,
            env=_environment(settings.log_level),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=2,  # the host's stdout carries its "ready" line only
            start_new_session=True,  # Ctrl-C goes to the host, which lets the workers finish
        )
    loop = asyncio.get_running_loop()
    channel = FrameChannel(lambda frame: receive(worker, frame), lambda: worker.fail_pending())  # noqa: PLW0108 - not yet
    worker = WorkerProcess(number, serves, process, channel, loop.create_future(), time.time())
    await loop.create_unix_connection(lambda: channel, sock=ours)
    return worker


def _environment(log_level: int) -> dict[str, str]:
    environment = dict(os.environ)
    own = environment.get("PYTHONPATH", "")
    environment["CNS_HOST_PYTHONPATH"] = own  # the worker gives the app its own value back
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), own)))
    environment["CNS_HOST_WORKER_LOG_LEVEL"] = logging.getLevelName(min(log_level, logging.CRITICAL))
    environment.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    environment.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
    return environment
