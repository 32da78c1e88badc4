"""Worker processes: started, watched, replaced; and invocations spread over them.

Takes ``invoke(function, kind, payload)`` from listeners and the HTTP front end, gives an ``InvocationResult`` or raises
InvocationFailed. A worker that dies fails its invocations (the listeners then abandon their messages) and is replaced
at once; one that keeps dying is replaced with a growing pause.
"""

import asyncio
import logging
import os
import socket
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_azure.functions_host.errors import HostError, IndexFailed, InvocationFailed, InvocationTimedOut, WorkerLost
from local_azure.functions_host.frames import Frame, FrameChannel
from local_azure.functions_host.function_table import Function
from local_azure.functions_host.invocation_metrics import Metrics

_LOG = logging.getLogger("host.workers")
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class InvocationResult:
    """What the function gave back: its return value and its ``Out`` parameters, as plain values (datums.py)."""

    returned: tuple[Any, ...] | None
    outputs: list[tuple[str, tuple[Any, ...]]]


@dataclass
class _Worker:
    number: int
    process: asyncio.subprocess.Process
    channel: FrameChannel
    ready: asyncio.Future[list[dict[str, Any]]]
    started: float
    pending: dict[int, asyncio.Future[Frame]] = field(default_factory=dict)
    is_ready: bool = False

    def cpu_seconds(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / _TICKS


class WorkerPool:
    """All workers of one host."""

    def __init__(
        self, *, folder: Path, count: int, metrics: Metrics, timeout_seconds: float | None, log_level: int
    ) -> None:
        self._folder = folder
        self._count = count
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds
        self._log_level = log_level
        self._workers: dict[int, _Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._standing: dict[str, list[tuple[str, str, str]]] = {}
        self._next_request = 0
        self._available = asyncio.Event()
        self._stopping = False
        self.restarts = 0

    async def start(self) -> list[dict[str, Any]]:
        """Start all workers; the app's functions as the first one describes them.

        Raises:
            IndexFailed: the app cannot be indexed.
        """
        first = await self._spawn(0)
        described = await first.ready
        others = [await self._spawn(number) for number in range(1, self._count)]
        for worker in others:
            await worker.ready
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in (first, *others)]
        return described

    def set_standing_inputs(self, inputs: dict[str, list[tuple[str, str, str]]]) -> None:
        """Inputs that a function gets with every invocation, by function id: ``(name, datum type, value)``."""
        self._standing = inputs
        for worker in self._workers.values():
            worker.channel.send(("setup", inputs))

    async def invoke(
        self,
        function: Function,
        kind: str,
        payload: tuple[Any, ...],
        *,
        trace_parent: str = "",
        trace_state: str = "",
        retry: tuple[int, int] = (0, 0),
    ) -> InvocationResult:
        """Run the function once.

        Raises:
            InvocationFailed: it raised (with its traceback), ran out of time, or its worker died.
        """
        metrics = self._metrics.of(function.name)
        invocation = uuid.UUID(bytes=os.urandom(16), version=4)
        invocation_id = str(invocation)
        if not trace_parent:  # as in Azure every invocation belongs to a trace
            trace_parent = f"00-{invocation.hex}-{invocation.hex[:16]}-01"
        metrics.in_flight += 1
        started = time.perf_counter()
        try:
            head = (function.function_id, kind, payload, invocation_id, trace_parent, trace_state, retry)
            reply = await self._exchange(head)
            _, _, ok, returned, outputs, error, trace = reply
            if not ok:
                raise InvocationFailed(error, trace or "")  # noqa: TRY301 - counted below like a lost worker
        except InvocationFailed as failure:
            metrics.failures += 1
            self._metrics.note_failure(function.name, invocation_id, failure.message, failure.traceback)
            _LOG.warning("%s failed (invocation %s): %.300s", function.name, invocation_id[:8], failure.message)
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.in_flight -= 1
            metrics.invocations += 1
            metrics.total_seconds += seconds
            metrics.recent_seconds.append(seconds)
        return InvocationResult(returned, outputs)

    async def _exchange(self, head: tuple[Any, ...]) -> Frame:
        worker = await self._choose()
        self._next_request += 1
        request_id = self._next_request
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        worker.pending[request_id] = future
        worker.channel.send(("invoke", request_id, *head))
        try:
            if self._timeout_seconds is None:
                return await future
            async with asyncio.timeout(self._timeout_seconds):
                return await future
        except TimeoutError:
            raise InvocationTimedOut(f"TimeoutError('functionTimeout of {self._timeout_seconds:g} s')") from None
        finally:
            if worker.pending.pop(request_id, None) is not None:
                worker.channel.send(("cancel", request_id))

    async def _choose(self) -> _Worker:
        while True:
            ready = [worker for worker in self._workers.values() if worker.is_ready]
            if ready:
                return min(ready, key=lambda worker: len(worker.pending))
            if self._stopping:
                raise WorkerLost("WorkerLost('the host is stopping')")
            self._available.clear()
            await self._available.wait()

    def _receive(self, worker: _Worker, frame: Frame) -> None:
        kind = frame[0]
        if kind == "result":
            future = worker.pending.pop(frame[1], None)
            if future is not None and not future.done():
                future.set_result(frame)
        elif worker.ready.done():
            _LOG.debug("worker %d reports %s when nobody waits for it any more", worker.number, kind)
        elif kind == "ready":
            worker.is_ready = True
            worker.channel.send(("setup", self._standing))
            self._available.set()
            worker.ready.set_result(frame[1])
        elif kind == "index_failed":
            worker.ready.set_exception(IndexFailed(frame[1]))

    async def _spawn(self, number: int) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        command = [sys.executable, "-m", "local_azure.functions_host.worker"]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command,
                "--number",
                str(number),
                "--channel",
                str(theirs.fileno()),
                cwd=self._folder,
                env=self._environment(),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=2,  # the host's stdout carries its "ready" line only
                start_new_session=True,  # Ctrl-C goes to the host, which lets the workers finish
            )
        loop = asyncio.get_running_loop()
        channel = FrameChannel(lambda frame: self._receive(worker, frame), lambda: self._fail_pending(worker))
        worker = _Worker(number, process, channel, loop.create_future(), time.time())
        await loop.create_unix_connection(lambda: channel, sock=ours)
        self._workers[number] = worker
        return worker

    def _environment(self) -> dict[str, str]:
        environment = dict(os.environ)
        own = environment.get("PYTHONPATH", "")
        environment["CNS_HOST_PYTHONPATH"] = own  # the worker gives the app its own value back
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), own)))
        environment["CNS_HOST_WORKER_LOG_LEVEL"] = logging.getLevelName(min(self._log_level, logging.CRITICAL))
        environment.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
        environment.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")
        return environment

    def _fail_pending(self, worker: _Worker) -> None:
        worker.is_ready = False
        pending, worker.pending = worker.pending, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(WorkerLost(f"WorkerLost('worker {worker.number} ended')"))
        if not worker.ready.done():
            worker.ready.set_exception(HostError(f"worker {worker.number} ended before the app was indexed"))

    async def _keep(self, worker: _Worker) -> None:
        """Replace the worker each time it dies."""
        pause_seconds = 0.0
        while True:
            code = await worker.process.wait()
            self._fail_pending(worker)
            if self._stopping:
                return
            self.restarts += 1
            _LOG.error("worker %d (pid %d) DIED with %d; starting a new one", worker.number, worker.process.pid, code)
            try:
                await asyncio.sleep(pause_seconds)
                worker = await self._spawn(worker.number)
                await worker.ready
                pause_seconds = 0.0
            except (HostError, OSError) as error:
                pause_seconds = min(5.0, pause_seconds * 2 or 0.1)
                _LOG.error("worker %d cannot load the app: %s", worker.number, error)

    def describe(self) -> list[dict[str, Any]]:
        return [
            {
                "number": worker.number,
                "pid": worker.process.pid,
                "ready": worker.is_ready,
                "in_flight": len(worker.pending),
                "cpu_seconds": worker.cpu_seconds(),
                "uptime_seconds": round(time.time() - worker.started, 1),
            }
            for worker in self._workers.values()
        ]

    async def stop(self) -> None:
        """End all workers; what still runs is lost (the caller waited for it)."""
        self._stopping = True
        self._available.set()
        for worker in self._workers.values():
            worker.channel.send(("stop",))
        for worker in self._workers.values():
            try:
                async with asyncio.timeout(1.5):
                    await worker.process.wait()
            except TimeoutError:
                worker.process.kill()
                await worker.process.wait()
            worker.channel.close()
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
