"""Automatic indexes in the background: asks for columns a query lacks and fills them without blocking requests."""

import asyncio
import logging

from local_azure.cosmos.candidates import add_missing_indexes
from local_azure.cosmos.container import Container
from local_azure.cosmos.sql.select import Select

logger = logging.getLogger(__name__)

_BATCH_ROWS = 250


class IndexFilling:
    """One filling task for each container that needs it."""

    def __init__(self) -> None:
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._seen: set[tuple[int, str]] = set()

    def ensure(self, container: Container, select: Select) -> None:
        """Adds the columns a query wants, once; large containers are filled in the background."""
        mark = (container.number, select.query.text)
        if mark in self._seen:
            return
        self._seen.add(mark)
        if add_missing_indexes(container, select):
            self._start(container)

    def resume(self, container: Container) -> None:
        """Goes on with columns that an earlier run of the emulator did not finish."""
        if not all(container.table.columns.ready):
            self._start(container)

    def _start(self, container: Container) -> None:
        running = self.tasks.pop(container.number, None)
        if running is not None:
            running.cancel()
        self.tasks[container.number] = asyncio.get_running_loop().create_task(self._fill(container))

    async def _fill(self, container: Container) -> None:
        table = container.table
        count = len(table.columns)
        last: int | None = 0
        while last is not None and not container.is_dropped:
            last = table.fill_columns(last, _BATCH_ROWS)
            await asyncio.sleep(0)
        if not container.is_dropped:
            table.finish_columns(count)
            logger.info("index filled", extra={"container": container.id, "columns": count})

    async def stop(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
