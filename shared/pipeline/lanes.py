"""Everything of this process that has to do with lanes, built around what all processes know of them together."""

import time
from collections.abc import Callable

from shared.pipeline.admission import Admission, StoreLoad, Thresholds
from shared.pipeline.bulkhead import Bulkhead
from shared.pipeline.call_limits import LeaseStore
from shared.pipeline.lane_board import BoardStore, LaneBoard
from shared.pipeline.lane_watch import LaneWatch
from shared.pipeline.request_rates import RequestRates


class Lanes:
    """Places, what is seen of the lanes, and who is let in. Without stores this process is all there is.

    Args:
        board: what all processes know together.
        leases: the clocks that tenants' limits go by.
        thresholds: what closes a lane.
        load: how the store copes.
        monotonic: seconds that only ever grow.
    """

    def __init__(
        self,
        board: BoardStore | None = None,
        leases: LeaseStore | None = None,
        thresholds: Thresholds | None = None,
        load: StoreLoad | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bulkhead = Bulkhead()
        self.board = LaneBoard(board, monotonic)
        self.watch = LaneWatch(self.board, self.bulkhead, monotonic)
        rates = RequestRates(leases) if leases else None
        self.admission = Admission(self.board, thresholds, load, rates, monotonic)
