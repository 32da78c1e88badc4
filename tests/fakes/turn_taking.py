"""Workers that take turns, one effect each, in an order a test chooses; and every order there is, in turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from tests.fakes.steps import StepsThrough

_worker: ContextVar[str | None] = ContextVar("worker", default=None)


class TurnTaking(StepsThrough):
    """Stops each worker before each effect. ``choices`` says who goes next (modulo how many are ready);
    after its end, the first of those ready."""

    def __init__(self, choices: Sequence[int]) -> None:
        super().__init__()
        self._choices = list(choices)
        self._parked: dict[str, asyncio.Future[None]] = {}
        self.options: list[int] = []

    @asynccontextmanager
    async def around(self, name: str) -> AsyncIterator[None]:
        worker = _worker.get()
        if worker is not None:
            turn = asyncio.get_running_loop().create_future()
            self._parked[worker] = turn
            await turn
        self.names.append(f"{worker}: {name}")
        yield

    async def conduct(self, workers: dict[str, Callable[[], Coroutine[Any, Any, Any]]]) -> None:
        """Everybody has finished. Raises what a worker raised."""
        tasks = {name: asyncio.create_task(_as(name, work)) for name, work in workers.items()}
        while not all(task.done() for task in tasks.values()):
            busy = [name for name, task in tasks.items() if not task.done() and name not in self._parked]
            if busy:
                await asyncio.sleep(0)
                continue
            ready = sorted(self._parked)
            choice = self._choices[len(self.options)] if len(self.options) < len(self._choices) else 0
            self.options.append(len(ready))
            self._parked.pop(ready[choice % len(ready)]).set_result(None)
        for task in tasks.values():
            task.result()


async def _as(name: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    _worker.set(name)
    await work()


def every_order(options_of: Callable[[Sequence[int]], Sequence[int]]) -> Iterator[Sequence[int]]:
    """Runs ``options_of`` with every sequence of choices; it returns how many options each choice had."""
    choices: list[int] = []
    while True:
        options = options_of(choices)
        choices += [0] * (len(options) - len(choices))
        yield tuple(choices)
        while choices and choices[-1] + 1 >= options[len(choices) - 1]:
            choices.pop()
        if not choices:
            return
        choices[-1] += 1
