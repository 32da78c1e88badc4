"""A store at some distance: every call takes a few milliseconds each way."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fakes.steps import StepsThrough


class FarAway(StepsThrough):
    def __init__(self, chance: random.Random, each_way: tuple[float, float] = (0.001, 0.008)) -> None:
        super().__init__()
        self._chance = chance
        self._each_way = each_way

    @asynccontextmanager
    async def around(self, name: str) -> AsyncIterator[None]:
        self.names.append(name)
        await asyncio.sleep(self._chance.uniform(*self._each_way))
        yield
        await asyncio.sleep(self._chance.uniform(*self._each_way))
