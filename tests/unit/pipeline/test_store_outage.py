import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from shared.domain.errors import NotFound, StoreUnavailable
from shared.pipeline.store_outage import while_store_is_away
from tests.fakes.virtual_time import run_virtually


class Store:
    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.calls: list[float] = []
        self._failures = failures
        self._error = error or StoreUnavailable("away")

    async def ask(self) -> str:
        self.calls.append(asyncio.get_running_loop().time())
        if len(self.calls) <= self._failures:
            raise self._error
        return "here"


def test_it_asks_again_ever_more_slowly_until_the_store_is_back() -> None:
    store = Store(6)

    assert run_virtually(while_store_is_away(store.ask, timedelta(seconds=30))) == "here"
    pauses = [later - earlier for earlier, later in pairwise(store.calls)]
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3, 3])


def test_it_gives_up_within_its_patience() -> None:
    store = Store(1000)

    with pytest.raises(StoreUnavailable):
        run_virtually(while_store_is_away(store.ask, timedelta(seconds=10)))
    assert store.calls[-1] < 10


def test_other_failures_are_not_waited_for() -> None:
    store = Store(1, NotFound("x"))

    with pytest.raises(NotFound):
        run_virtually(while_store_is_away(store.ask, timedelta(seconds=10)))
    assert len(store.calls) == 1
