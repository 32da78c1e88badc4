"""Singles that meet: what a tenant asks for while a commit of its own is under way goes into the store together.

Takes planned notifications that may go into any bucket (no idempotency key) and whose outcome nobody waits for; commits
and publishes them. Whoever comes alone goes alone and at once: nobody is made to wait for company. Those who come
meanwhile share the next transactional batch and then a chunk, so that their claim, their outcomes and their provider
call are shared as well. Under load this is most of what a single costs (ADR 0041).
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from shared.domain.chunk import MAX_CHUNK_DELIVERIES
from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId, random_bucket
from shared.domain.notification import Lane, Notification
from shared.ports import NotificationStore

MAX_TOGETHER = MAX_CHUNK_DELIVERIES
MAX_TOGETHER_BYTES = 1_000_000  # of requests; what is stored is larger, and a transactional batch may have 2 MiB
BUCKET_SECONDS = 0.05  # a tenant's singles go into one bucket for so long: more than a commit takes, no hot partition
_QUICK_SECONDS = 1.0  # a commit that fails sooner is tried one by one; after a longer one nobody has the time

COMMITS_AT_ONCE = 4  # of one tenant and lane; more than one only while what waits is as much as a commit holds
_Queue = tuple[TenantId, Lane]

Publish = Callable[[Sequence[Notification]], Awaitable[None]]


@dataclass(slots=True)
class _Bucket:
    number: int
    until: float


@dataclass(slots=True, eq=False)
class _Waiting:
    notification: Notification
    size_bytes: int
    taken_in: asyncio.Future[None]


class JointCommits:
    """The singles of one process that are on their way into the store, by tenant and lane."""

    def __init__(self) -> None:
        self._buckets: dict[TenantId, _Bucket] = {}
        self._waiting: dict[_Queue, list[_Waiting]] = defaultdict(list)
        self._commits: Counter[_Queue] = Counter()  # under way
        self._tasks: set[asyncio.Task[None]] = set()

    def bucket_for(self, tenant: TenantId) -> int:
        """The bucket that the tenant's singles go into at the moment."""
        now = asyncio.get_running_loop().time()
        bucket = self._buckets.get(tenant)
        if bucket is None or now >= bucket.until:
            bucket = self._buckets[tenant] = _Bucket(random_bucket(), now + BUCKET_SECONDS)
        return bucket.number

    async def take_in(
        self, notification: Notification, size_bytes: int, store: NotificationStore, publish: Publish
    ) -> None:
        """The notification is committed, and published or left for the sweeper.

        Args:
            notification: in the bucket that ``bucket_for`` gave.
            size_bytes: of the request.
            store: where it is committed.
            publish: publishes those that were committed together, or leaves them; never raises.

        Raises:
            StoreUnavailable: the commit failed, or its answer was lost.
        """
        queue = notification.tenant_id, notification.lane
        mine = _Waiting(notification, size_bytes, asyncio.get_running_loop().create_future())
        self._waiting[queue].append(mine)
        busy = self._commits[queue]
        if not busy or (busy < COMMITS_AT_ONCE and _fills_a_commit(self._waiting[queue])):
            self._commits[queue] += 1
            self._start(self._commit_all(queue, store, publish))
        await mine.taken_in

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)  # the loop itself keeps no hold of its tasks
        task.add_done_callback(self._tasks.discard)

    async def _commit_all(self, queue: _Queue, store: NotificationStore, publish: Publish) -> None:
        try:
            while self._waiting[queue]:
                group = _first_group(self._waiting[queue])
                taken = set(group)
                self._waiting[queue] = [each for each in self._waiting[queue] if each not in taken]
                await self._commit(group, store, publish)
        finally:
            self._commits[queue] -= 1
            if not self._commits[queue]:
                del self._commits[queue]
                _fail(self._waiting.pop(queue), StoreUnavailable("the process ends"))

    async def _commit(self, group: Sequence[_Waiting], store: NotificationStore, publish: Publish) -> None:
        started = asyncio.get_running_loop().time()
        try:
            await store.commit([each.notification for each in group])
        except StoreUnavailable as error:
            if len(group) > 1 and asyncio.get_running_loop().time() - started < _QUICK_SECONDS:
                await asyncio.gather(*(self._commit([each], store, publish) for each in group))
            else:
                _fail(group, error)
        except BaseException as error:  # whatever it is, nobody may wait for ever
            _fail(group, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            self._start(_publish(group, publish))


async def _publish(group: Sequence[_Waiting], publish: Publish) -> None:
    try:
        await publish([each.notification for each in group])
    except BaseException as error:  # likewise
        _fail(group, error)
        if isinstance(error, asyncio.CancelledError):
            raise
    for each in group:
        if not each.taken_in.done():
            each.taken_in.set_result(None)


def _fills_a_commit(waiting: Sequence[_Waiting]) -> bool:
    return len(waiting) >= MAX_TOGETHER or sum(each.size_bytes for each in waiting) > MAX_TOGETHER_BYTES


def _first_group(waiting: Sequence[_Waiting]) -> list[_Waiting]:
    """Those who may go with the first: in the same partition, not too many and not too large together."""
    group: list[_Waiting] = []
    size_bytes = 0
    for each in waiting:
        if each.notification.partition_key == waiting[0].notification.partition_key:
            size_bytes += each.size_bytes
            if group and (len(group) == MAX_TOGETHER or size_bytes > MAX_TOGETHER_BYTES):
                break
            group.append(each)
    return group


def _fail(group: Sequence[_Waiting], error: BaseException) -> None:
    for each in group:
        if not each.taken_in.done():
            each.taken_in.set_exception(error)
