"""Checkpoints: every effect a fake has on the world passes here, twice, so that a test can make it go wrong there.

``StepsThrough`` runs undisturbed and counts; ``FaultsAt`` lets chosen checkpoints fail. A ``Crash`` is the death of
the process: nothing catches it. A ``Lost`` call raises what the real edge raises when the connection breaks.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum


class Crash(BaseException):
    """The process dies here."""


class Lost(Exception):
    """The connection breaks here; each fake turns it into its port's own error."""


class Fault(StrEnum):
    CRASH_BEFORE = "crash before the effect"
    CRASH_AFTER = "crash after the effect"
    LOST_BEFORE = "refused without effect"
    LOST_AFTER = "answer lost after the effect"


class StepsThrough:
    """Counts the effects."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def revive(self) -> None:
        """A new process goes on where a dead one stopped."""

    @asynccontextmanager
    async def around(self, name: str) -> AsyncIterator[None]:
        self.names.append(name)
        yield


class FaultsAt(StepsThrough):
    """Lets the effects with these numbers (from 0, across restarts) go wrong."""

    def __init__(self, faults: Mapping[int, Fault]) -> None:
        super().__init__()
        self._faults = faults
        self._dead = False

    def revive(self) -> None:
        self._dead = False

    @asynccontextmanager
    async def around(self, name: str) -> AsyncIterator[None]:
        if self._dead:
            raise Crash(name)  # what a dead process still has scheduled does not happen either
        fault = self._faults.get(len(self.names))
        self.names.append(name)
        if fault in {Fault.CRASH_BEFORE, Fault.LOST_BEFORE}:
            self._fail(fault, name)
        yield
        if fault:
            self._fail(fault, name)

    def _fail(self, fault: Fault, name: str) -> None:
        if fault in {Fault.CRASH_BEFORE, Fault.CRASH_AFTER}:
            self._dead = True
            raise Crash(name)
        raise Lost(name)
