"""CPU seconds and memory of processes, from Linux /proc.

CPU is user and system time with its 10 ms grain. Memory is PSS, which shares out what processes have in common.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system CPU seconds so far; 0 when the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine_cpu_seconds() -> float:
    """CPU seconds that all processes of the machine have used so far, time stolen by its host included."""
    user, nice, system, _idle, _iowait, irq, soft_irq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft_irq + steal) / _TICKS


def pss_megabytes(pid: int) -> float:
    """Proportional set size; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu_by_role(roles: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """CPU seconds so far of each role's processes together."""
    return {role: sum(map(cpu_seconds, pids)) for role, pids in roles.items()}


def memory_by_role(roles: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Megabytes of each role's processes together."""
    return {role: sum(map(pss_megabytes, pids)) for role, pids in roles.items()}


def difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """What was added to each; a name that is new counts from 0."""
    return {name: value - before.get(name, 0.0) for name, value in after.items()}
