"""Automatic indexes: adds the columns a query lacks and fills them for old documents without blocking requests."""

import asyncio
import logging

from local_azure.cosmos.candidates import missing_paths
from local_azure.cosmos.container import Container
from local_azure.cosmos.path_index import Path
from local_azure.cosmos.sql.select import Select

logger = logging.getLogger(__name__)

_BATCH_ROWS = 250
_SMALL_ROWS = 2000


class IndexFilling:
    """One filling task for each container that needs it."""

    def __init__(self) -> None:
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._wanted: dict[int, list[Path]] = {}
        self._seen: set[tuple[int, str]] = set()

    def ensure(self, container: Container, select: Select) -> None:
        """Adds the columns a query wants, once: at once when the container is small, else in the background."""
        mark = (container.number, select.query.text)
        if mark in self._seen:
            return
        self._seen.add(mark)
        paths = missing_paths(container, select)
        if not paths:
            return
        if container.last_rid <= _SMALL_ROWS and not self._is_busy(container):
            fill_now(container, paths)
            return
        self._wanted.setdefault(container.number, []).extend(paths)
        self.resume(container)

    def resume(self, container: Container) -> None:
        """Starts the background work that a container needs, also what an earlier run did not finish."""
        unfinished = self._wanted.get(container.number) or not all(container.table.columns.ready)
        if unfinished and not self._is_busy(container):
            self.tasks[container.number] = asyncio.get_running_loop().create_task(self._fill(container))

    def _is_busy(self, container: Container) -> bool:
        task = self.tasks.get(container.number)
        return task is not None and not task.done()

    async def _fill(self, container: Container) -> None:
        table = container.table
        while not container.is_dropped:
            for path in self._wanted.pop(container.number, []):
                if not table.columns.knows(path) and not container.is_dropped:
                    table.add_column(path)
                    await asyncio.sleep(0)
            count = len(table.columns)
            last: int | None = 0
            while last is not None and not container.is_dropped:
                last = table.fill_columns(last, _BATCH_ROWS)
                await asyncio.sleep(0)
            if not container.is_dropped:
                table.finish_columns(count)
                logger.info("indexes filled", extra={"container": container.id, "columns": count})
            if container.number not in self._wanted:
                return

    async def stop(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def fill_now(container: Container, paths: list[Path]) -> None:
    """Adds and fills columns before it returns; for small containers."""
    for path in paths:
        container.table.add_column(path)
    last: int | None = 0
    while last is not None:
        last = container.table.fill_columns(last, _BATCH_ROWS)
    container.table.finish_columns(len(container.table.columns))
