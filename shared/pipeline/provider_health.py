"""The health of provider accounts, known to all processes alike: who is ill, who asked for a pause, who probes.

Takes what attempts came to, gives where each account stands. A process judges by its own calls alone; what it finds
(an outage, a pause asked for, a probe's result) it writes into one document per account, on condition that nobody else
did meanwhile. Everybody reads that document once a second at most, and only while there is something to send: on the
healthy path no delivery costs a call to the store.

Never raises: while the store is away, what was last known holds.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Protocol
from uuid import uuid4

from shared.domain import breaker
from shared.domain.breaker import (
    BreakerPolicy,
    CallWindow,
    Circuit,
    Evidence,
    Standing,
    State,
    StoredCircuit,
    evidence_of,
    standing_of,
)
from shared.domain.errors import StoreUnavailable
from shared.domain.routing import PassedOver
from shared.domain.verdict import Verdict
from shared.ports import Clock

logger = logging.getLogger(__name__)

FRESH_SECONDS = 1.0  # how old a process's knowledge may be
_READ_SECONDS = 1.0  # how long a delivery waits to learn it; then the last known holds
_WRITES_AT_MOST = 5  # tries to write what was found, against others who write too
STALL_SECONDS = 5.0  # this long without an answer to anybody, and the next deliveries wait instead of joining in
_STALLED_CALLS = 5
_PACE_STEP_SECONDS = 1.0  # a pause that is longer by less than this is not worth telling everybody
_TELLING = (Evidence.ILL, Evidence.WELL, Evidence.ANSWERED)  # of a call with several attempts, the first of these


class HealthStore(Protocol):
    """``rate-limits``: one circuit for each account. Both raise StoreUnavailable."""

    async def read(self, account: str) -> StoredCircuit:
        """The circuit as it is stored."""
        ...

    async def write(self, account: str, circuit: Circuit, version: str | None) -> StoredCircuit | None:
        """The circuit, stored in place of ``version``; None when that is not the stored one any more."""
        ...


@dataclass(frozen=True, slots=True)
class Probe:
    """The right to make one call to an account that everybody else leaves alone."""

    account: str
    id: str


@dataclass(slots=True)
class _Account:
    policy: BreakerPolicy
    window: CallWindow
    known: StoredCircuit = field(default_factory=lambda: StoredCircuit(Circuit()))
    read_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    under_way: dict[int, float] = field(default_factory=dict)  # since when, in order of beginning
    answered_at: float = 0.0


class ProviderHealth:
    """Accounts without a policy are always well: their calls meet many far sides, and none speaks for the others."""

    def __init__(self, store: HealthStore, clock: Clock, policies: Mapping[str, BreakerPolicy]) -> None:
        self._store = store
        self._clock = clock
        self._accounts = {name: _Account(policy, CallWindow(policy)) for name, policy in policies.items()}
        self._writing: set[asyncio.Task[None]] = set()
        self._numbers = count()

    def watches(self, name: str) -> bool:
        """Whether the account can be found ill or asked to pause at all."""
        return name in self._accounts

    async def standings(self, accounts: Sequence[str]) -> Mapping[str, Standing]:
        """Where each account that can't simply be called stands; the others are left out."""
        found = {}
        for name in accounts:
            account = self._accounts.get(name)
            if account is None:
                continue
            if self._now() - account.read_at >= FRESH_SECONDS:
                await self._refresh(name, account)
            standing = standing_of(account.known.circuit, self._now())
            if not standing.away and self._is_stalled(account):
                standing = Standing(PassedOver.BREAKER_OPEN, self._now() + breaker.PROBE_LOOK_SECONDS)
            if standing.away:
                found[name] = standing
        return found

    def began(self, name: str) -> int:
        """Notes that a call is under way; the number is for ``ended``."""
        number = next(self._numbers)
        if account := self._accounts.get(name):
            account.under_way[number] = self._now()
        return number

    def ended(self, name: str, number: int) -> None:
        """Notes that a call is over, whatever came of it."""
        if account := self._accounts.get(name):
            account.under_way.pop(number, None)

    async def try_probe(self, name: str) -> Probe | None:
        """The right to probe, for one caller in all processes; None for the others."""
        account, probe = self._accounts[name], Probe(name, uuid4().hex)

        def claim(circuit: Circuit) -> Circuit:
            return breaker.probing(circuit, self._now(), probe.id, account.policy)

        await self._change(name, account, claim, tries=2)  # the second reads who was faster
        return probe if account.known.circuit.probe == probe.id else None

    def observe(self, name: str, verdicts: Sequence[Verdict], probe: Probe | None = None) -> None:
        """Takes in what one call came to, for all the attempts that it made. What follows is written meanwhile."""
        account = self._accounts.get(name)
        if account is None:
            return
        found = [(evidence_of(verdict.attempt), verdict.paced_until) for verdict in verdicts]
        evidence = next((each for each in _TELLING if each in {kind for kind, _ in found}), Evidence.NONE)
        if evidence in {Evidence.WELL, Evidence.ANSWERED}:
            account.answered_at = self._now()
        pauses = [until.timestamp() for kind, until in found if until and kind is Evidence.ANSWERED]
        pause = max(pauses, default=0.0)
        if pause > account.known.circuit.paced_until + _PACE_STEP_SECONDS:
            self._begin(name, account, lambda circuit: breaker.paced(circuit, pause))
        if probe:
            self.end_probe(probe, evidence)
        elif self._looks_ill(account, evidence, verdicts[0].attempt.claimed_at.timestamp()):
            account.window.forget()
            logger.warning("Provider looks ill", extra={"provider": name})
            self._begin(name, account, lambda circuit: breaker.opened(circuit, self._now(), account.policy))

    def end_probe(self, probe: Probe, evidence: Evidence) -> None:
        """Gives the right to probe back, with what the call said, if there was one."""
        account = self._accounts[probe.account]

        def end(circuit: Circuit) -> Circuit:
            return breaker.probed(circuit, self._now(), probe.id, evidence, account.policy)

        logger.info("Probed a provider", extra={"provider": probe.account, "evidence": evidence.value})
        self._begin(probe.account, account, end)

    async def settled(self) -> None:
        """Everything that was found so far is told, or could not be."""
        while self._writing:
            await asyncio.wait(self._writing)

    def _looks_ill(self, account: _Account, evidence: Evidence, began: float) -> bool:
        """Whether this call makes the account look ill. One that began before its last change was judged already."""
        circuit = account.known.circuit
        if evidence not in {Evidence.WELL, Evidence.ILL} or circuit.state is not State.CLOSED or began < circuit.since:
            return False
        return account.window.note(self._now(), failed=evidence is Evidence.ILL)

    def _is_stalled(self, account: _Account) -> bool:
        """Whether some calls have been without an answer for long, and no other had one meanwhile.

        A provider that hangs is known to be ill when calls time out; until then each further one would be in doubt.
        """
        since = self._now() - STALL_SECONDS
        if account.answered_at > since or len(account.under_way) < _STALLED_CALLS:
            return False
        return next(islice(account.under_way.values(), _STALLED_CALLS - 1, None)) <= since

    def _begin(self, name: str, account: _Account, change: Callable[[Circuit], Circuit]) -> None:
        """Changes what this process knows at once, and what all know in the background."""
        self._learn(account, StoredCircuit(change(account.known.circuit), account.known.version))
        task = asyncio.create_task(self._change(name, account, change, tries=_WRITES_AT_MOST))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _change(self, name: str, account: _Account, change: Callable[[Circuit], Circuit], *, tries: int) -> None:
        """What is stored is changed, unless somebody else's change made that needless."""
        async with account.lock:
            try:
                for _ in range(tries):
                    stored = await self._store.read(name)
                    changed = change(stored.circuit)
                    written: StoredCircuit | None = stored
                    if changed is not stored.circuit:
                        written = await self._store.write(name, changed, stored.version)
                    if written:
                        self._learn(account, written)
                        return
            except StoreUnavailable as error:
                logger.warning("Provider health not stored", extra={"provider": name, "cause": str(error)})

    async def _refresh(self, name: str, account: _Account) -> None:
        async with account.lock:
            if self._now() - account.read_at < FRESH_SECONDS:
                return  # somebody read it while this one waited
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    self._learn(account, await self._store.read(name))
            except (StoreUnavailable, TimeoutError) as error:
                account.read_at = self._now()
                logger.info("Provider health not read", extra={"provider": name, "cause": type(error).__name__})

    def _learn(self, account: _Account, known: StoredCircuit) -> None:
        if known.circuit.state is State.CLOSED and account.known.circuit.state is not State.CLOSED:
            account.window.forget()
        account.known = known
        account.read_at = self._now()

    def _now(self) -> float:
        return self._clock.now().timestamp()
