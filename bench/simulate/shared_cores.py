"""A small discrete-event simulation: single-threaded processes that share a machine's cores, and jobs that visit them.

Every busy process gets an equal share of the cores, one core at most; others who compete for the cores (a noisy
machine) count as busy all the time. Within a process jobs are served one after the other.
"""

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_SPREAD = 0.5  # each visit takes its mean, more or less up to this share

Visit = tuple[str, float]  # process, CPU seconds


@dataclass
class Job:
    """Visits one process after the other; ``done`` is called at the end with the instant."""

    visits: Sequence[Visit]
    done: Callable[[float], None]
    began: float = 0.0
    _next: int = 0

    def take(self) -> Visit | None:
        """The next visit."""
        if self._next >= len(self.visits):
            return None
        self._next += 1
        return self.visits[self._next - 1]


@dataclass
class _Process:
    left: float = 0.0  # CPU seconds of the visit under way
    current: Job | None = None
    queue: deque[tuple[Job, float]] = field(default_factory=deque)


class SharedCores:
    """The machine. Processes named ``app`` may be several: each job then stays with the one that had least to do."""

    def __init__(self, cores: float, background: float, app_processes: int, seed: int) -> None:
        self.now = 0.0
        self._cores, self._background = cores, background
        self._apps = [f"app {number}" for number in range(app_processes)]
        self._processes: dict[str, _Process] = {}
        self._mine: dict[int, str] = {}
        self._random = random.Random(seed)

    def start(self, job: Job) -> None:
        job.began = self.now
        self._move(job)

    def run(self, until: float = float("inf")) -> None:
        """Until nothing is under way, or the instant."""
        while self.now < until:
            busy = [(name, process) for name, process in self._processes.items() if process.current]
            if not busy:
                return
            rate = min(1.0, self._cores / (len(busy) + self._background))
            shortest = min(process.left for _, process in busy)
            self.now += shortest / rate
            finished = []
            for _, process in busy:
                process.left -= shortest
                if process.left <= 1e-12 and process.current:
                    finished.append(process.current)
                    process.current = None
            for _, process in busy:
                self._begin(process)
            for job in finished:
                self._move(job)

    def _move(self, job: Job) -> None:
        visit = job.take()
        if visit is None:
            self._mine.pop(id(job), None)
            job.done(self.now)
            return
        name, seconds = visit
        if name == "app":
            name = self._mine.setdefault(id(job), min(self._apps, key=self._waiting))
        process = self._processes.setdefault(name, _Process())
        stretch = 1 + _SPREAD * (2 * self._random.random() - 1)
        process.queue.append((job, seconds * stretch))
        self._begin(process)

    def _begin(self, process: _Process) -> None:
        if process.current is None and process.queue:
            process.current, process.left = process.queue.popleft()

    def _waiting(self, name: str) -> int:
        process = self._processes.get(name)
        return len(process.queue) + (process.current is not None) if process else 0
