"""Cosmos DB triggers: the change feed, range by range, delivered at least once.

Takes a trigger and a coroutine that runs the function with a JSON array of documents. For each lease that this host
holds a pump reads one page, runs the function, and only then stores the token: a failed batch is retried as
``@app.retry`` says, then read and delivered again without advancing. Other hosts may share the leases. While the
account is away the listener says so once and tries again.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientError
from azure.core.exceptions import AzureError
from azure.cosmos.aio import CosmosClient

from local_azure.functions_host.cosmos_leases import Lease, LeaseLostError, LeaseStore
from local_azure.functions_host.cosmos_source import ChangeFeed, CosmosTrigger, make_client, open_lease_container
from local_azure.functions_host.errors import InvocationFailed
from local_azure.functions_host.function_table import RetryPolicy

_LOG = logging.getLogger("host.cosmos")

RunDocuments = Callable[[str, tuple[int, int]], Awaitable[None]]
_PAUSE_SECONDS = 1.0
_REDELIVERY_SECONDS = 1.0
_AWAY = (AzureError, ClientError, OSError, TimeoutError)


class CosmosListener:
    """The listener of one function."""

    def __init__(
        self,
        name: str,
        trigger: CosmosTrigger,
        run_documents: RunDocuments,
        *,
        owner: str,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._name = name
        self._trigger = trigger
        self._run_documents = run_documents
        self._lease_prefix = f"{trigger.lease_prefix}{trigger.database}.{trigger.container}.."
        # Two functions with the same leases would take the changes away from each other.
        self.claim = (
            f"the leases {self._lease_prefix!r} in {trigger.lease_database}/{trigger.lease_container}: "
            "give each a leaseContainerPrefix of its own"
        )
        self._owner = owner
        self._retry = retry
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._pumps: dict[str, asyncio.Task[None]] = {}
        self._told_away = False
        self.is_connected = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"cosmos {self._name}")

    async def stop(self, drain_seconds: float) -> None:
        """Let running invocations end and store their tokens; leases are released."""
        self._stopping.set()
        if self._task is not None:
            _, late = await asyncio.wait({self._task}, timeout=drain_seconds)
            for task in (*late, *self._pumps.values()):
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            feed_client = make_client(self._trigger.connection)
            lease_client = make_client(self._trigger.lease_connection)
            try:
                await self._connect_and_balance(feed_client, lease_client)
            except _AWAY as error:
                self._note_away(error)
                await self._sleep(_PAUSE_SECONDS)
            finally:
                await self._end_pumps()
                # Not "async with": a client whose entry fails would keep its session open.
                await feed_client.close()
                await lease_client.close()

    async def _connect_and_balance(self, feed_client: CosmosClient, lease_client: CosmosClient) -> None:
        for client in (feed_client, lease_client):
            await client.__aenter__()
        store = LeaseStore(
            await open_lease_container(lease_client, self._trigger),
            prefix=self._lease_prefix,
            owner=self._owner,
            expiration_seconds=self._trigger.expiration_seconds,
        )
        await self._balance(store, ChangeFeed(feed_client, self._trigger))

    def _note_away(self, error: BaseException) -> None:
        if not self._told_away:
            what = f"{self._trigger.database}/{self._trigger.container}"
            _LOG.warning("%s: %s is away: %.200s", self._name, what, str(error).splitlines()[0] if str(error) else "")
        self._told_away = True
        self.is_connected = False

    def _note_there(self) -> None:
        if not self.is_connected:
            _LOG.info("%s: reading the change feed of %s", self._name, self._trigger.container)
        self._told_away = False
        self.is_connected = True

    async def _balance(self, store: LeaseStore, feed: ChangeFeed) -> None:
        """Take the leases this host should have, for as long as the account answers."""
        while not self._stopping.is_set():
            leases = await store.read_all()
            if not leases:
                await store.create(await feed.ranges())
                leases = await store.read_all()
            self._note_there()
            self._drop_lost(leases)
            for lease in store.to_take(leases):
                if lease.id not in self._pumps:
                    with contextlib.suppress(LeaseLostError):
                        held = await store.acquire(lease)
                        self._pumps[lease.id] = asyncio.create_task(self._pump(store, feed, held))
            await self._sleep(self._trigger.acquire_seconds)
        await self._end_pumps()

    def _drop_lost(self, leases: list[Lease]) -> None:
        """Stop the pumps of leases that another host has taken; it delivers again what was not stored."""
        for lease in leases:
            if lease.id in self._pumps and lease.owner not in ("", self._owner):
                self._pumps[lease.id].cancel()

    async def _end_pumps(self) -> None:
        if self._pumps:
            if not self._stopping.is_set():
                for pump in self._pumps.values():
                    pump.cancel()
            await asyncio.gather(*self._pumps.values(), return_exceptions=True)

    async def _pump(self, store: LeaseStore, feed: ChangeFeed, lease: Lease) -> None:
        position = lease.continuation
        renewed = asyncio.get_running_loop().time()
        try:
            while not self._stopping.is_set():
                try:
                    page = await feed.read(lease.feed_range, position)
                    if page.documents:
                        lease, delivered = await self._deliver(store, lease, page.documents)
                        if not delivered:
                            await self._sleep(_REDELIVERY_SECONDS)
                            continue
                    is_due = asyncio.get_running_loop().time() - renewed > self._trigger.renew_seconds
                    # An empty page is stored once, too: after a restart "Now" would otherwise be a later now.
                    if page.documents or is_due or lease.continuation is None:
                        lease = await store.checkpoint(lease, page.continuation)
                        renewed = asyncio.get_running_loop().time()
                    position = page.continuation
                    self._note_there()
                    if not page.documents:
                        await self._sleep(self._trigger.poll_seconds)
                except _AWAY as error:
                    self._note_away(error)
                    await self._sleep(_PAUSE_SECONDS)
            with contextlib.suppress(*_AWAY):
                await store.release(lease)
        except LeaseLostError:
            _LOG.info("%s: lease %s went to another host", self._name, lease.id)
        except Exception:  # noqa: BLE001 - whatever it is, the other leases go on and this one is tried again
            _LOG.exception("%s: reading lease %s failed; it is taken up again", self._name, lease.id)
        finally:
            self._pumps.pop(lease.id, None)

    async def _deliver(self, store: LeaseStore, lease: Lease, documents: list[dict[str, Any]]) -> tuple[Lease, bool]:
        """Run the function, with retries; the lease is kept alive meanwhile. False: deliver again later."""
        text = json.dumps(documents)
        running = asyncio.create_task(self._run_with_retry(text))
        try:
            while True:
                done, _ = await asyncio.wait({running}, timeout=self._trigger.renew_seconds)
                if done:
                    return lease, running.result()
                with contextlib.suppress(*_AWAY):  # the function goes on; the checkpoint will tell
                    lease = await store.renew(lease)
        finally:
            running.cancel()

    async def _run_with_retry(self, text: str) -> bool:
        retry = 0
        while True:
            try:
                await self._run_documents(text, (retry, self._retry.max_retry_count if self._retry else 0))
            except InvocationFailed:
                retry += 1
                if self._retry is None or not self._retry.allows(retry) or self._stopping.is_set():
                    return False
                await self._sleep(self._retry.wait_seconds(retry))
            else:
                return True

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def describe(self) -> dict[str, Any]:
        return {
            "function": self._name,
            "container": self._trigger.container,
            "connected": self.is_connected,
            "leases": sorted(self._pumps),
        }
