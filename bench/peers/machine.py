"""How quiet the machine was: what other programs used of it meanwhile, from Linux /proc."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

QUIET_CORES = 0.15  # others' mean use up to which figures are worth quoting
_STAT = Path("/proc/stat")
_TICKS = os.sysconf("SC_CLK_TCK")


def parse_busy_seconds(stat: str) -> float:
    """CPU seconds of all cores since boot that were not idle, waiting for I/O, or counted twice (guests)."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, stat.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


@dataclass(frozen=True)
class Moment:
    """Readings at one instant."""

    clock: float
    busy: float
    own: float  # of this process and every descendant that has ended

    def others_since(self, before: "Moment") -> float:
        """Cores that other programs used on average. Descendants that still run would count as others."""
        return (self.busy - before.busy - (self.own - before.own)) / (self.clock - before.clock)


def now() -> Moment:
    return Moment(time.monotonic(), parse_busy_seconds(_STAT.read_text()), sum(os.times()[:4]))


def describe(cores: float) -> str:
    """For the report. In the runs that were disturbed, the peers' CPU grew by a third or more and CNS's by a tenth."""
    if cores <= QUIET_CORES:
        return f"{cores:.2f} cores on average"
    return f"**{cores:.2f} cores on average: not quiet, so do not quote; it adds more CPU to the peers than to CNS**"
