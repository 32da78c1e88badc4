"""What a scenario is, and the ground it is played on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from bench.faults.consumer import Consumer, a_request
from bench.faults.ledger import Listener
from bench.faults.provider import OutsideProvider
from bench.faults.service import Service

Json = dict[str, Any]


class Size(StrEnum):
    """How much of everything."""

    QUICK = "quick"
    DEFAULT = "default"
    FULL = "full"


@dataclass
class Ground:
    """Everything a scenario may use. ``findings`` are broken promises, ``facts`` are worth reading."""

    service: Service
    provider: OutsideProvider
    consumer: Consumer
    random: Random
    size: Size
    stall_seconds: float  # when nothing moved for so long, nothing will
    findings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    listeners: list[Listener] = field(default_factory=list)
    tolerated: set[str] = field(default_factory=set)  # kinds of lines that a scenario judges itself

    def pick(self, *, quick: Any, default: Any, full: Any = None) -> Any:
        """The amount for the size asked for."""
        return {Size.QUICK: quick, Size.DEFAULT: default, Size.FULL: default if full is None else full}[self.size]

    def require(self, holds: bool, finding: str) -> None:
        """Notes a broken promise."""
        if not holds:
            self.findings.append(finding)

    def request(self, channel: str, number: int, **more: Any) -> Json:
        return a_request(channel, number, self.provider.url, **more)

    async def submit_many(self, count: int, **options: Any) -> None:
        await self.consumer.submit_many(count, self.provider.url, **options)

    async def listen(self, name: str, **options: Any) -> str:
        """A callback endpoint that must hear everything; its id."""
        endpoint_id, listener = await self.consumer.listen(name, self.provider.url, **options)
        self.listeners.append(listener)
        return endpoint_id

    async def until(self, holds: Callable[[], bool | Awaitable[bool]], seconds: float) -> bool:
        """Whether it came to hold within so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)

    async def until_reached(self, share: float = 1.0, seconds: float = 60.0) -> bool:
        """Whether that share of what was accepted has reached a provider in time; stops when no more calls come."""
        wanted, calls, moved_at = share * len(self.consumer.accepted), -1, time.monotonic()

        def is_over() -> bool:
            nonlocal calls, moved_at
            if len(self.provider.calls) != calls:
                calls, moved_at = len(self.provider.calls), time.monotonic()
            return self._reached() >= wanted or time.monotonic() - moved_at > self.stall_seconds

        await self.until(is_over, seconds)
        return self._reached() >= wanted

    def has_reached_all(self) -> bool:
        return self._reached() == len(self.consumer.accepted)

    def _reached(self) -> int:
        return len(self.provider.reached() & self.consumer.accepted.keys())


@dataclass(frozen=True)
class Scenario:
    """One way the world may be unkind. ``proves`` is the acceptance behaviour."""

    name: str
    proves: str
    play: Callable[[Ground], Awaitable[None]]
    workers: int = 2
    settings: Mapping[str, str] = field(default_factory=dict)
    captures: bool = False  # a further subscription gets a copy of every submitted message
    is_heavy: bool = False  # played alone; the others wait more than they work, so several are played at once
