"""Everything of this process that has to do with lanes, built around what all processes know of them together."""

import time
from collections.abc import Callable
from datetime import datetime

from shared.domain.chunk import Chunk
from shared.pipeline.admission import Admission, StoreLoad, Thresholds
from shared.pipeline.bulkhead import Bulkhead
from shared.pipeline.call_limits import LeaseStore
from shared.pipeline.fair_share import FairShare
from shared.pipeline.lane_board import BoardStore, LaneBoard
from shared.pipeline.lane_watch import LaneWatch
from shared.pipeline.leased_caps import CountStore, LeasedCaps
from shared.pipeline.quotas import Quotas
from shared.pipeline.request_rates import RequestRates


class Lanes:
    """Places, what is seen of the lanes, and who is let in. Without stores this process is all there is.

    Args:
        board: what all processes know together.
        leases: the clocks that tenants' limits go by.
        thresholds: what closes a lane.
        load: how the store copes.
        monotonic: seconds that only ever grow.
        counts: where tenants' quotas are counted.
    """

    def __init__(
        self,
        board: BoardStore | None = None,
        leases: LeaseStore | None = None,
        thresholds: Thresholds | None = None,
        load: StoreLoad | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        counts: CountStore | None = None,
    ) -> None:
        self.bulkhead = Bulkhead()
        self.board = LaneBoard(board, monotonic)
        self.watch = LaneWatch(self.board, self.bulkhead, monotonic)
        self.fair_share = FairShare(self.board, leases, monotonic)
        rates = RequestRates(leases) if leases else None
        self.admission = Admission(
            self.board,
            self.fair_share,
            thresholds,
            store=load,
            rates=rates,
            quotas=Quotas(LeasedCaps(counts)) if counts else None,
            monotonic=monotonic,
        )

    async def turn_of(self, chunk: Chunk, now: datetime) -> datetime | None:
        """When a chunk that has come should come again, since its tenant floods a late lane; None: send it now."""
        await self.watch.tell(now)
        lag = self.watch.lag((chunk.channel, chunk.lane), now)
        turn = await self.fair_share.turn_of(chunk, lag, is_busy=self.bulkhead.is_busy(chunk))
        if turn:
            self.watch.note_age(chunk, now)
        return turn

    def may_pass(self, chunk: Chunk, now: datetime) -> bool:
        """Whether a chunk need not queue for a provider's limit behind a tenant that floods the lane."""
        return self.fair_share.may_pass(chunk, self.watch.lag((chunk.channel, chunk.lane), now))
