"""CPU and memory of a process and everything it started, from Linux /proc.

A child that ended and was waited for is counted by its parent (cutime, cstime), so short-lived ones are not lost.
"""

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ProcessLine:
    """What /proc/<pid>/stat says."""

    pid: int
    parent: int
    cpu_seconds: float  # user and system, its own and its ended children's


def parse_stat(text: str) -> ProcessLine:
    """The line of one process; its name may contain spaces and parentheses."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    return ProcessLine(int(head.split()[0]), int(fields[1]), sum(map(int, fields[11:15])) / _TICKS)


def read_processes(proc: Path = PROC) -> dict[int, ProcessLine]:
    """Every process of the machine by pid."""
    found = {}
    for entry in proc.iterdir():
        if entry.name.isdecimal():
            try:
                line = parse_stat((entry / "stat").read_text())
            except OSError:  # ended meanwhile
                continue
            found[line.pid] = line
    return found


def tree(roots: set[int], processes: dict[int, ProcessLine]) -> list[ProcessLine]:
    """The living processes among ``roots`` and all their descendants, each once."""
    members = {pid for pid in roots if pid in processes}
    while more := {line.pid for line in processes.values() if line.parent in members} - members:
        members |= more
    return [processes[pid] for pid in sorted(members)]


def cpu_seconds(roots: set[int]) -> float:
    return sum(line.cpu_seconds for line in tree(roots, read_processes()))


def pss_megabytes(roots: set[int]) -> float:
    """Proportional set size, which shares out what processes have in common."""
    return sum(map(_pss, tree(roots, read_processes())))


def _pss(line: ProcessLine) -> float:
    try:
        rollup = (PROC / str(line.pid) / "smaps_rollup").read_text()
    except OSError:  # ended meanwhile
        return 0.0
    return next((int(row.split()[1]) / 1024 for row in rollup.splitlines() if row.startswith("Pss:")), 0.0)
