"""The request-unit budget: each physical range gets an equal part of the offer each second.

Off unless asked for (`--enforce-throughput` or `POST /_emulator/throughput`). As in the service, a request is admitted
while anything is left in the current second and its charge may overdraw the budget; the next ones get 429 with the time
until a second with something left. Unused units are not saved up (burst capacity is not modelled).
"""

import math
import time
from collections.abc import Callable

from local_azure.cosmos.call import Call
from local_azure.cosmos.catalog import Catalog
from local_azure.cosmos.container import Container
from local_azure.cosmos.errors import OUT_OF_BUDGET, CosmosError
from local_azure.cosmos.offers import throughput_of
from local_azure.cosmos.ranges import range_index


class Throughput:
    """The budgets of all containers."""

    def __init__(self, catalog: Catalog, clock: Callable[[], float] = time.monotonic) -> None:
        self.catalog = catalog
        self.clock = clock
        self.enforced = False
        self._left: dict[tuple[str, int], tuple[float, int]] = {}

    def _rate(self, container: Container) -> tuple[str, float]:
        """(budget name, request units each second and range)."""
        own = self.catalog.offers.get(container.number)
        if own:
            return container.rid, (throughput_of(own) or 0) / len(container.ranges)
        shared = self.catalog.databases[container.database_id].offer
        return container.database_rid, (throughput_of(shared) or 0) / len(container.ranges)

    def _range(self, call: Call, container: Container) -> int | None:
        header = call.header(b"x-ms-documentdb-partitionkey")
        if header is not None:
            return range_index(container.ranges, container.key.from_header(header).epk)
        range_id = call.header(b"x-ms-documentdb-partitionkeyrangeid")
        return int(range_id) if range_id is not None and range_id.isdigit() else None

    def _now_left(self, name: str, index: int, rate: float) -> float:
        """What is left in this second; an overdraft is taken from the following ones."""
        second = int(self.clock())
        left, at = self._left.get((name, index), (rate, second))
        if second > at:
            left = min(rate, min(left, 0.0) + rate * (second - at))
        self._left[name, index] = (left, second)
        return left

    def admit(self, call: Call) -> None:
        """Raises 429 when the range a call reads or writes is out of budget."""
        container = call.container
        index = self._range(call, container) if container is not None else None
        if container is None or index is None:
            return
        name, rate = self._rate(container)
        left = self._now_left(name, index, rate)
        if left <= 0:
            now = self.clock()
            seconds = int(now) + 1 + math.floor(-left / rate) - now
            raise CosmosError(429, "Request rate is large.", OUT_OF_BUDGET, math.ceil(seconds * 1000))

    def spend(self, call: Call, charge: float) -> None:
        container = call.container
        index = self._range(call, container) if container is not None else None
        if container is None or index is None:
            return
        name, rate = self._rate(container)
        self._left[name, index] = (self._now_left(name, index, rate) - charge, int(self.clock()))
