"""What the parts of the engine share: the store, the app's functions, the clock and the running tasks.

Memory is changed at the moment a change is submitted to the store, and the store writes in that order. So a turn may
read what is not on disk yet (its own write comes later), while anything seen outside (an activity that starts, an
HTTP answer) waits for ``submit``'s future.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from local_azure.functions_host.durable import instant
from local_azure.functions_host.durable.catalog import DurableFunctions
from local_azure.functions_host.durable.store import Store
from local_azure.functions_host.durable.writer import Statement
from local_azure.functions_host.errors import InvocationAborted, WorkerLost

logger = logging.getLogger(__name__)

Invoke = Callable[[str, str, str], Awaitable[str]]
ABORTED = (InvocationAborted, WorkerLost)
"""The worker died in the middle: the work is done again, and is not the function's failure."""

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 2.0


@dataclass
class Hub:
    """The shared state of one task hub."""

    store: Store
    functions: DurableFunctions
    invoke: Invoke
    clock: instant.Clock
    default_version: str | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    is_stopping: bool = False

    def now(self) -> str:
        return instant.to_text(self.clock())

    def submit(self, statements: Iterable[Statement]) -> asyncio.Future[None]:
        return self.store.writer.submit(statements)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the work as a task that ``stop_tasks`` ends; once that began, leave it to the next start."""
        if self.is_stopping:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("durable work stopped unexpectedly", exc_info=error)

    async def stop_tasks(self) -> None:
        self.is_stopping = True
        running = list(self.tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def pause_after_abort(times: int) -> None:
    """Wait a little longer after each lost worker, so that a new one can come up."""
    await asyncio.sleep(min(_FIRST_PAUSE_SECONDS * 2**times, _LONGEST_PAUSE_SECONDS))
