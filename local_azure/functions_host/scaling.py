"""Which workers serve which functions: dedicated instances as on Flex Consumption, added and taken away at run time.

There HTTP functions scale as one group, Durable functions as another, every other function alone
(https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan#per-function-scaling). Takes counts by name,
gives worker processes; each instance of a Service Bus or Cosmos DB function has a listener of its own, so its own
``maxConcurrentCalls`` and its own leases. What has no instances is served by the default workers. Scale-in is Azure's:
SIGTERM, a few seconds for what runs, then it is aborted and its messages are delivered again.
"""

import asyncio
import dataclasses
import logging
import signal
from collections.abc import Mapping
from typing import Any

from local_azure.functions_host.errors import SettingsInvalid
from local_azure.functions_host.function_table import DURABLE_GROUP, HTTP_GROUP, Function
from local_azure.functions_host.listeners import Listener, Surroundings, has_listener, listens_once, make_listener
from local_azure.functions_host.worker_pool import DEFAULT_GROUP

_LOG = logging.getLogger("host.scaling")
DEFAULT_NAME = "default"
MOST_INSTANCES = 100
_DRAIN_SECONDS = 10.0
_ABORT_SECONDS = 1.0


class Scaling:
    """The instances and listeners of one host."""

    def __init__(self, functions: list[Function], surroundings: Surroundings, grace_seconds: float) -> None:
        """Make the listeners of the default workers.

        Raises:
            SettingsInvalid: a binding cannot be used, or two functions claim the same thing.
        """
        self._surroundings = surroundings
        self._pool = surroundings.pool
        self._grace_seconds = grace_seconds
        self._listening = {
            function.name: function for function in functions if has_listener(function) and not function.is_disabled
        }
        groups = {function.scale_group for function in functions}
        self._groups = {group.lower(): group for group in groups} | {DEFAULT_NAME: DEFAULT_GROUP}
        self._shared: dict[str, Listener] = {
            name: make_listener(function, surroundings) for name, function in self._listening.items()
        }
        _refuse_double_claims(self._shared)
        self._own: dict[int, tuple[str, int, Listener]] = {}  # slot → function, index, listener
        self._changing = asyncio.Lock()
        self._is_stopping = False

    async def start(self, instances: Mapping[str, int]) -> None:
        """Start the given instances, then everything listens.

        Raises:
            SettingsInvalid: a name is none of the groups or functions that scale alone.
            HostError: a worker cannot load the app.
        """
        counts = {self.group_named(name): check_count(count) for name, count in instances.items()}
        await asyncio.gather(*(self._pool.add(group, count) for group, count in counts.items()))
        for group, count in counts.items():
            if count and self._splits(group):
                del self._shared[group]
                self._start_own(group, self._pool.numbers(group))
        for listener in self._shared.values():
            listener.start()

    def group_named(self, name: str) -> str:
        """The group; names are compared in any case.

        Raises:
            SettingsInvalid: there is none.
        """
        group = self._groups.get(name.lower())
        if group is None:
            alone = ", ".join(sorted(set(self._groups) - {HTTP_GROUP, DURABLE_GROUP, DEFAULT_NAME})) or "none"
            raise SettingsInvalid(
                f"instances: {name!r} does not scale by itself. HTTP functions scale as {HTTP_GROUP!r}, Durable "
                f"functions as {DURABLE_GROUP!r}, the rest as {DEFAULT_NAME!r}; functions that scale alone: {alone}"
            )
        return group

    async def set_count(self, name: str, count: int) -> None:
        """Return when the new ones take work and those that left are gone.

        Raises:
            SettingsInvalid: no such name, or a count that cannot be.
            HostError: a worker cannot load the app.
        """
        group = self.group_named(name)
        check_count(count, least=1 if group == DEFAULT_GROUP else 0)
        async with self._changing:
            present = self._pool.numbers(group)
            if count > len(present):
                await self._scale_out(group, count - len(present))
            leaving = present[count:] if count < len(present) else []
            if leaving and not count and self._splits(group):
                self._listen_by_default(group)
            await asyncio.gather(*(self._scale_in(number) for number in leaving))
            _LOG.info("%s: %d instances, there were %d", name, count, len(present))

    async def remove(self, pid: int) -> bool:
        """Scale in exactly this instance; False when no worker has that pid.

        Raises:
            SettingsInvalid: it is the last of the default workers.
        """
        async with self._changing:
            found = self._pool.slot_of(pid)
            if found is None:
                return False
            number, group = found
            is_last = self._pool.numbers(group) == [number]
            if is_last and group == DEFAULT_GROUP:
                raise SettingsInvalid("the last default worker stays")
            if is_last and self._splits(group):
                self._listen_by_default(group)
            await self._scale_in(number)
        return True

    def kill(self, pid: int) -> bool:
        """SIGKILL, as a crash would: the worker is replaced. False when no worker has that pid."""
        found = self._pool.slot_of(pid)
        if found is not None:
            self._pool.send_signal(found[0], signal.SIGKILL)
        return found is not None

    async def _scale_out(self, group: str, count: int) -> None:
        numbers = await self._pool.add(group, count)
        if not self._splits(group) or self._is_stopping:
            return
        self._start_own(group, numbers)
        shared = self._shared.pop(group, None)
        if shared is not None:
            await shared.stop(_DRAIN_SECONDS)

    async def _scale_in(self, number: int) -> None:
        leaving = self._pool.remove(number)
        own = self._own.pop(number, None)
        if own is None:
            await leaving
        else:
            # The listener waits longer than the worker: what runs is to die with its process, not to be cancelled.
            await asyncio.gather(own[2].stop(self._grace_seconds + _ABORT_SECONDS), leaving)

    def _splits(self, group: str) -> bool:
        """Whether each instance listens for itself."""
        function = self._listening.get(group)
        return function is not None and not listens_once(function)

    def _start_own(self, group: str, numbers: list[int]) -> None:
        taken = {index for name, index, _ in self._own.values() if name == group}
        free = (index for index in range(1, 2 * MOST_INSTANCES) if index not in taken)
        for number, index in zip(numbers, free, strict=False):
            owner = f"{self._surroundings.owner}.{index}"
            around = dataclasses.replace(self._surroundings, owner=owner, slot=number)
            listener = make_listener(self._listening[group], around)
            self._own[number] = (group, index, listener)
            listener.start()

    def _listen_by_default(self, group: str) -> None:
        if not self._is_stopping:
            self._shared[group] = make_listener(self._listening[group], self._surroundings)
            self._shared[group].start()

    def describe(self) -> dict[str, Any]:
        """Counts by name, and the workers."""
        counts = {name: len(self._pool.numbers(group)) for name, group in sorted(self._groups.items())}
        return {
            "counts": {name: count for name, count in counts.items() if count},
            "scaleInSeconds": self._grace_seconds,
            "instances": self._pool.describe(),
        }

    def describe_listeners(self) -> list[dict[str, Any]]:
        own = [listener.describe() | {"worker": number} for number, (_, _, listener) in self._own.items()]
        return sorted([*(listener.describe() for listener in self._shared.values()), *own], key=_by_function)

    async def stop(self, drain_seconds: float) -> None:
        """Stop all listeners; what runs gets so long."""
        self._is_stopping = True
        listeners = [*self._shared.values(), *(listener for _, _, listener in self._own.values())]
        await asyncio.gather(*(listener.stop(drain_seconds) for listener in listeners))


def _by_function(described: dict[str, Any]) -> tuple[str, int]:
    return described["function"], described.get("worker", -1)


def check_count(count: int, least: int = 0) -> int:
    """The count.

    Raises:
        SettingsInvalid: there cannot be so many.
    """
    if not least <= count <= MOST_INSTANCES:
        raise SettingsInvalid(f"instances: a count is {least} to {MOST_INSTANCES}, not {count}")
    return count


def _refuse_double_claims(listeners: Mapping[str, Listener]) -> None:
    claimed: dict[str, str] = {}
    for name, listener in listeners.items():
        other = claimed.setdefault(listener.claim, name) if listener.claim else name
        if other != name:
            raise SettingsInvalid(f"functions {other} and {name} both use {listener.claim}")
