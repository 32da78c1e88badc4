"""What the two peers have in common: programs, a database, one worker that can be held, and a count of sent rows."""

import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from bench.peers.process_tree import cpu_seconds, pss_megabytes
from bench.peers.programs import Programs, answers_health, wait_until
from bench.peers.subject import Usage
from bench.provider_client import Provider

HERE = Path(__file__).parent
WORKER = "worker"
_SETTLE_SECONDS = 30


class RowsMissing(Exception):
    """The peer's own records do not agree with what the provider saw."""


class Peer(ABC):
    """A running peer."""

    @abstractmethod
    def request(self, number: int) -> bytes:
        """The raw HTTP request of the number-th notification."""

    def __init__(
        self, *, name: str, port: int, provider: Provider, programs: Programs, python: Path, database_port: int
    ) -> None:
        self.name, self.port, self.provider = name, port, provider
        self._programs, self._python = programs, python
        self.dsn = f"postgresql://bench@127.0.0.1:{database_port}/postgres"

    def cpu(self) -> Usage:
        return Usage(*(cpu_seconds(self._programs.pids(servers=servers)) for servers in (False, True)))

    def memory(self) -> Usage:
        return Usage(*(pss_megabytes(self._programs.pids(servers=servers)) for servers in (False, True)))

    def hold_delivery(self) -> None:
        self._programs.signal_tree(WORKER, signal.SIGSTOP)

    def resume_delivery(self) -> None:
        self._programs.signal_tree(WORKER, signal.SIGCONT)

    def settle(self) -> None:
        """Every arrival has its row, and a second passed after that.

        Raises:
            RowsMissing: some arrivals have no row after half a minute.
        """
        wanted, deadline = self.provider.counts()["notifications"], time.monotonic() + _SETTLE_SECONDS
        while (found := int(self.database("count"))) != wanted:
            if time.monotonic() > deadline:
                raise RowsMissing(f"{self.name}: {found} rows for {wanted} arrivals")
            time.sleep(1)
        time.sleep(1)

    def database(self, *arguments: str | Path) -> str:
        """Runs database.py; what it printed."""
        environment = {"DATABASE_DSN": self.dsn}
        command = [self._python, HERE / "database.py", *arguments]
        return subprocess.check_output(command, env=environment, cwd=HERE, text=True)

    def start_service(self, name: str, application: str, port: int, settings: Mapping[str, str]) -> None:
        """A FastAPI service: one uvicorn process with uvloop and httptools, no access log."""
        command = [self._python, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port)]
        command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--no-access-log"]
        program = self._programs.start(name, command, self.environment(settings))
        wait_until(program, lambda: answers_health(port))

    def start_worker(self, command: list[str], settings: Mapping[str, str]) -> None:
        self._programs.start(WORKER, [self._python, *command], self.environment(settings))

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        return {"PYTHONPATH": str(HERE), **settings}
