"""Worker processes: started, watched, replaced; and invocations spread over them.

Takes ``invoke(function, kind, payload)`` from listeners and the HTTP front end, gives an ``InvocationResult`` or raises
InvocationFailed. Each worker has a slot; most slots serve every function, others one function or group only, as the
instances of Flex Consumption do. A worker that dies fails its invocations (the listeners then abandon their messages)
and is replaced in its slot at once; one that keeps dying is replaced with a growing pause.
"""

import asyncio
import itertools
import logging
import os
import time
import uuid
from dataclasses import dataclass
from typing import Any

from local_azure.functions_host.errors import HostError, IndexFailed, InvocationFailed, InvocationTimedOut, WorkerLost
from local_azure.functions_host.frames import Frame
from local_azure.functions_host.function_table import Function
from local_azure.functions_host.invocation_metrics import Metrics
from local_azure.functions_host.worker_process import LEFT_ON_SIGTERM, WorkerProcess, WorkerSettings, start_worker

_LOG = logging.getLogger("host.workers")
_STOP_SECONDS = 1.5
DEFAULT_GROUP = ""


@dataclass(frozen=True)
class InvocationResult:
    """What the function gave back: its return value and its ``Out`` parameters, as plain values (datums.py)."""

    returned: tuple[Any, ...] | None
    outputs: list[tuple[str, tuple[Any, ...]]]


@dataclass
class _Slot:
    """A place for a worker; the worker in it changes when one dies."""

    number: int
    serves: str
    worker: WorkerProcess
    keeper: asyncio.Task[None] | None = None
    is_leaving: bool = False


class WorkerPool:
    """All workers of one host."""

    def __init__(self, settings: WorkerSettings, metrics: Metrics, timeout_seconds: float | None) -> None:
        self._settings = settings
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds
        self._slots: dict[int, _Slot] = {}
        self._numbers = itertools.count()
        self._standing: dict[str, list[tuple[str, str, str]]] = {}
        self._next_request = 0
        self._available = asyncio.Event()
        self._stopping = False
        self.restarts = 0

    # Slots

    async def start(self, count: int) -> list[dict[str, Any]]:
        """Start the default workers; the app's functions as the first one describes them.

        Raises:
            IndexFailed: the app cannot be indexed.
        """
        first = await self._fill_slot(DEFAULT_GROUP)
        described = await first.worker.ready
        first.keeper = asyncio.create_task(self._keep(first))
        await self.add(DEFAULT_GROUP, count - 1)
        return described

    async def add(self, serves: str, count: int = 1) -> list[int]:
        """Start so many more workers for a function or group; the numbers of their slots, once they take work.

        Raises:
            HostError: one of them cannot load the app; none of them stays.
        """
        slots = [await self._fill_slot(serves) for _ in range(count)]
        try:
            await asyncio.gather(*(slot.worker.ready for slot in slots))
        except BaseException:
            for slot in slots:
                self._slots.pop(slot.number)
                await slot.worker.leave(0)
            raise
        for slot in slots:
            slot.keeper = asyncio.create_task(self._keep(slot))
        return [slot.number for slot in slots]

    async def remove(self, number: int) -> None:
        """Scale in: SIGTERM, what runs gets the grace, the rest fails as lost. No replacement."""
        slot = self._slots[number]
        slot.is_leaving = True
        self._available.set()
        await slot.worker.leave(self._settings.grace_seconds)
        slot.worker.fail_pending()
        if slot.keeper is not None:
            slot.keeper.cancel()
            await asyncio.gather(slot.keeper, return_exceptions=True)
        await slot.worker.leave(0)  # a replacement that was being started
        self._slots.pop(number, None)
        self._available.set()

    def numbers(self, serves: str) -> list[int]:
        """The slots of a function or group, oldest first."""
        return [slot.number for slot in self._slots.values() if slot.serves == serves and not slot.is_leaving]

    def slot_of(self, pid: int) -> tuple[int, str] | None:
        """Number and group of the slot whose worker has this pid."""
        found = (slot for slot in self._slots.values() if slot.worker.pid == pid and not slot.is_leaving)
        return next(((slot.number, slot.serves) for slot in found), None)

    def send_signal(self, slot_number: int, signal_number: int) -> None:
        self._slots[slot_number].worker.send_signal(signal_number)

    async def _fill_slot(self, serves: str) -> _Slot:
        number = next(self._numbers)
        worker = await start_worker(self._settings, number, serves, self._receive)
        self._slots[number] = _Slot(number, serves, worker)
        return self._slots[number]

    async def _keep(self, slot: _Slot) -> None:
        """Replace the worker each time it dies."""
        pause_seconds = 0.0
        while True:
            code = await slot.worker.process.wait()
            slot.worker.fail_pending()
            if self._stopping or slot.is_leaving:
                return
            self.restarts += 1
            _note_end(slot.worker, code)
            try:
                await asyncio.sleep(pause_seconds)
                slot.worker = await start_worker(self._settings, slot.number, slot.serves, self._receive)
                await slot.worker.ready
                pause_seconds = 0.0
            except (HostError, OSError) as error:
                pause_seconds = min(5.0, pause_seconds * 2 or 0.1)
                _LOG.error("worker %d cannot load the app: %s", slot.number, error)

    def describe(self) -> list[dict[str, Any]]:
        return [
            slot.worker.describe() | {"leaving": slot.is_leaving}
            for slot in sorted(self._slots.values(), key=lambda slot: slot.number)
        ]

    async def stop(self) -> None:
        """End all workers; what still runs is lost (the caller waited for it)."""
        self._stopping = True
        self._available.set()
        keepers = [slot.keeper for slot in self._slots.values() if slot.keeper is not None]
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await asyncio.gather(*(slot.worker.stop(_STOP_SECONDS) for slot in self._slots.values()))

    # Invocations

    def set_standing_inputs(self, inputs: dict[str, list[tuple[str, str, str]]]) -> None:
        """Inputs that a function gets with every invocation, by function id: ``(name, datum type, value)``."""
        self._standing = inputs
        for slot in self._slots.values():
            slot.worker.channel.send(("setup", inputs))

    async def invoke(
        self,
        function: Function,
        kind: str,
        payload: tuple[Any, ...],
        *,
        slot: int | None = None,
        trace_parent: str = "",
        trace_state: str = "",
        retry: tuple[int, int] = (0, 0),
    ) -> InvocationResult:
        """Run the function once, on the worker in ``slot`` or on the least busy one that serves it.

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
            reply = await self._exchange(await self._choose(function.scale_group, slot), head)
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

    async def _exchange(self, worker: WorkerProcess, head: tuple[Any, ...]) -> Frame:
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

    async def _choose(self, group: str, number: int | None) -> WorkerProcess:
        while True:
            ready = [slot.worker for slot in self._serving(group, number) if slot.worker.takes_work]
            if ready:
                return min(ready, key=lambda worker: len(worker.pending))
            if self._stopping:
                raise WorkerLost("WorkerLost('the host is stopping')")
            self._available.clear()
            await self._available.wait()

    def _serving(self, group: str, number: int | None) -> list[_Slot]:
        if number is not None:
            slot = self._slots.get(number)
            if slot is None or slot.is_leaving:
                raise WorkerLost(f"WorkerLost('worker {number} was taken away')")
            return [slot]
        staying = [slot for slot in self._slots.values() if not slot.is_leaving]
        dedicated = [slot for slot in staying if slot.serves == group]
        return dedicated or [slot for slot in staying if slot.serves == DEFAULT_GROUP]

    def _receive(self, worker: WorkerProcess, frame: Frame) -> None:
        kind = frame[0]
        if kind == "result":
            future = worker.pending.pop(frame[1], None)
            if future is not None and not future.done():
                future.set_result(frame)
        elif kind == "leaving":
            worker.takes_work = False
        elif worker.ready.done():
            _LOG.debug("worker %d reports %s when nobody waits for it any more", worker.number, kind)
        elif kind == "ready":
            worker.takes_work = True
            worker.channel.send(("setup", self._standing))
            self._available.set()
            worker.ready.set_result(frame[1])
        elif kind == "index_failed":
            worker.ready.set_exception(IndexFailed(frame[1]))


def _note_end(worker: WorkerProcess, code: int) -> None:
    if code == LEFT_ON_SIGTERM:
        _LOG.warning("worker %d (pid %d) left on SIGTERM; starting a new one", worker.number, worker.pid)
    else:
        _LOG.error("worker %d (pid %d) DIED with %d; starting a new one", worker.number, worker.pid, code)
