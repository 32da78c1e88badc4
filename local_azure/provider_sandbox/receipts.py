"""Takes receipts with their due time, posts them to the service, and keeps at it.

It backs off while the service is away or refuses, for at most 24 hours, across restarts (a journal holds what is not
yet taken). How a provider's posts look is a `ReceiptFormat`; one lane per format and origin bounds the concurrency,
gathers batches and pauses as a whole while nobody listens there. SendGrid's documented behaviour is the model: batches,
any 2xx is taken, everything else is tried again for 24 hours.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from local_azure.provider_sandbox.http_post import Poster, PostError
from local_azure.provider_sandbox.journal import JsonLinesFile

logger = logging.getLogger(__name__)

GIVE_UP_SECONDS = 24 * 3600
MAX_BACKOFF_SECONDS = 60.0
MAX_PAUSE_SECONDS = 5.0
POSTS_AT_ONCE_PER_LANE = 8
_COMPACT_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Receipt:
    """One thing to tell the service. `message` is the inbox's number of the message it is about."""

    format: str
    url: str
    payload: dict[str, Any]
    message: int
    step: str
    due: float
    forged: bool = False
    id: int = 0
    tries: int = 0
    first_due: float = 0.0


@dataclass(frozen=True, slots=True)
class Post:
    """What goes over the wire besides the URL."""

    headers: dict[str, str]
    body: bytes


class ReceiptFormat(Protocol):
    """How one provider posts."""

    max_batch: int
    gather_seconds: float

    def compose(self, receipts: Sequence[Receipt], now: float) -> Post:
        """The signed post that carries these receipts, all for one URL and all or none of them forged."""


@dataclass(slots=True)
class _Lane:
    format: ReceiptFormat
    ready: deque[Receipt] = field(default_factory=deque)
    workers: set[asyncio.Task[None]] = field(default_factory=set)
    refusals: int = 0
    probing: bool = False


class ReceiptQueue:
    """Schedules, persists, posts. `on_due` hears when a step happens, `on_taken` when the service took its receipt."""

    def __init__(
        self,
        journal: Path,
        formats: dict[str, ReceiptFormat],
        *,
        on_due: Callable[[Receipt], None],
        on_taken: Callable[[Receipt], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._journal = JsonLinesFile(journal)
        self._formats = formats
        self._on_due, self._on_taken, self._clock = on_due, on_taken, clock
        self._poster = Poster()
        self._pending: dict[int, Receipt] = {}
        self._heap: list[tuple[float, int, Receipt]] = []
        self._lanes: dict[tuple[str, str, str], _Lane] = {}
        self._wake = asyncio.Event()
        self._last_id = 0
        self._restore()

    @property
    def pending(self) -> int:
        """How many receipts are not yet taken."""
        return len(self._pending)

    def schedule(self, receipts: Sequence[Receipt]) -> None:
        """Persist, then post when due. Without a signing secret for their format they only move the message's state."""
        for receipt in receipts:
            self._last_id += 1
            receipt.id, receipt.first_due = self._last_id, receipt.due
        kept = [receipt for receipt in receipts if receipt.format in self._formats]
        if kept:
            self._journal.append([{"add": asdict(receipt)} for receipt in kept])
            self._pending.update((receipt.id, receipt) for receipt in kept)
        for receipt in receipts:
            self._push(receipt)

    async def run(self) -> None:
        """Move due receipts to their lanes until cancelled."""
        try:
            while True:
                self._wake.clear()
                wait_seconds = self._release_due()
                try:
                    await asyncio.wait_for(self._wake.wait(), wait_seconds)
                except TimeoutError:
                    continue
        finally:
            await self._stop()

    def _push(self, receipt: Receipt) -> None:
        heapq.heappush(self._heap, (receipt.due, receipt.id, receipt))
        if self._heap[0][2] is receipt:
            self._wake.set()

    def _release_due(self) -> float | None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            receipt = heapq.heappop(self._heap)[2]
            if receipt.tries == 0:
                self._on_due(receipt)
            if receipt.format in self._formats:
                lane = self._lane(receipt)
                lane.ready.append(receipt)
                self._start_worker(lane)
        return max(0.0, self._heap[0][0] - now) if self._heap else None

    def _lane(self, receipt: Receipt) -> _Lane:
        parts = urlsplit(receipt.url)
        key = (receipt.format, parts.scheme, parts.netloc)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(self._formats[receipt.format])
        return lane

    def _start_worker(self, lane: _Lane) -> None:
        # One worker per batch that is waiting, and only one while nobody listens: it probes for all.
        enough = -(-len(lane.ready) // lane.format.max_batch)
        if len(lane.workers) < (1 if lane.probing else min(POSTS_AT_ONCE_PER_LANE, enough)):
            worker = asyncio.create_task(self._work(lane))
            lane.workers.add(worker)
            worker.add_done_callback(lane.workers.discard)

    async def _work(self, lane: _Lane) -> None:
        if lane.format.gather_seconds:
            await asyncio.sleep(lane.format.gather_seconds)
        while lane.ready:
            batch = _take_batch(lane)
            try:
                post = lane.format.compose(batch, self._clock())
                status = await self._poster.post(batch[0].url, post.headers, post.body)
            except PostError as error:
                lane.ready.extendleft(reversed(batch))
                if lane.probing and len(lane.workers) > 1:
                    return
                await self._pause(lane, error)
                continue
            lane.refusals, lane.probing = 0, False
            self._settle(batch, taken=200 <= status < 300, status=status)
            if lane.ready:
                self._start_worker(lane)

    async def _pause(self, lane: _Lane, error: PostError) -> None:
        lane.probing = True
        lane.refusals += 1
        if lane.refusals == 1:
            logger.info("receipts wait, the service does not answer: %s", error)
        await asyncio.sleep(min(MAX_PAUSE_SECONDS, 0.1 * 2**lane.refusals))

    def _settle(self, batch: list[Receipt], *, taken: bool, status: int) -> None:
        now = self._clock()
        ended = batch if taken else [r for r in batch if now - r.first_due > GIVE_UP_SECONDS]
        if ended:
            self._journal.append([{"done": [receipt.id for receipt in ended]}])
        for receipt in ended:
            self._pending.pop(receipt.id, None)
            if taken:
                self._on_taken(receipt)
        if not taken:
            logger.warning("the service refused receipts: status=%d count=%d", status, len(batch))
            self._try_later([receipt for receipt in batch if receipt.id in self._pending], now)
        if self._journal.size_bytes > _COMPACT_BYTES and self._pending_is_small():
            self._compact()

    def _try_later(self, receipts: list[Receipt], now: float) -> None:
        for receipt in receipts:
            receipt.due = now + min(MAX_BACKOFF_SECONDS, 2.0**receipt.tries)
            receipt.tries += 1
            self._push(receipt)

    def _pending_is_small(self) -> bool:
        return len(self._pending) * 1024 < self._journal.size_bytes // 2

    def _compact(self) -> None:
        self._journal.replace_with([{"add": asdict(receipt)} for receipt in self._pending.values()])

    def _restore(self) -> None:
        for entry in self._journal.entries():
            if "add" in entry:
                receipt = Receipt(**entry["add"])
                self._pending[receipt.id] = receipt
                self._last_id = max(self._last_id, receipt.id)
            for receipt_id in entry.get("done", ()):
                self._pending.pop(receipt_id, None)
        for receipt in self._pending.values():
            self._push(receipt)
        self._compact()

    async def _stop(self) -> None:
        workers = [worker for lane in self._lanes.values() for worker in lane.workers]
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._poster.close()
        self._journal.close()


def _take_batch(lane: _Lane) -> list[Receipt]:
    """The next receipts that may travel together.

    Same URL, all or none forged, and as many tries behind them: one that is refused does not take new ones with it.
    """
    first = lane.ready.popleft()
    batch = [first]
    while lane.ready and len(batch) < lane.format.max_batch:
        following = lane.ready[0]
        if (following.url, following.tries, following.forged) != (first.url, first.tries, first.forged):
            break
        batch.append(lane.ready.popleft())
    return batch
