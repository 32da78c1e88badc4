"""Processes of one peer: started with a log each, paused, measured, and stopped by their own ids."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers.process_tree import read_processes, tree

_GRACE_SECONDS = 15
_START_SECONDS = 60
_PORTS = range(20_000, 32_000)


class DidNotStart(Exception):
    """A program ended or did not answer in time; the message ends with its log."""


@dataclass(frozen=True)
class Program:
    """One started process."""

    name: str
    is_server: bool  # a database, broker or cache, as against the peer's own Python
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid


class Programs:
    """Everything one peer runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Program] = []

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        user: str | None = None,
        is_server: bool = False,
    ) -> Program:
        """A process in a session of its own, so that Ctrl-C reaches this program first."""
        log = self.folder / f"{name}.log"
        base = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=base | dict(environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **as_user(user),
            )
        program = Program(name, is_server, process, log)
        self._started.append(program)
        return program

    def pids(self, *, servers: bool) -> set[int]:
        return {program.pid for program in self._started if program.is_server == servers}

    def signal_tree(self, name: str, number: signal.Signals) -> None:
        """The signal to one program and what it started: SIGSTOP holds it where it is, SIGCONT lets it go on."""
        _signal_tree(next(program.pid for program in self._started if program.name == name), number)

    def stop(self) -> None:
        """Ends every program, the last started first."""
        for program in reversed(self._started):
            _signal_tree(program.pid, signal.SIGCONT)
            program.process.terminate()
            try:
                program.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                _signal_tree(program.pid, signal.SIGKILL)
                program.process.wait()


def _signal_tree(root: int, number: signal.Signals) -> None:
    for line in tree({root}, read_processes()):
        with contextlib.suppress(ProcessLookupError):  # it may end meanwhile
            os.kill(line.pid, number)


def as_user(user: str | None) -> dict[str, object]:
    """Arguments of Popen that leave root behind; none when this is not root."""
    if user is None or os.geteuid() != 0:
        return {}
    return {"user": user, "group": user, "extra_groups": []}


def wait_until(program: Program, is_up: Callable[[], bool]) -> None:
    """Raises: DidNotStart."""
    deadline = time.monotonic() + _START_SECONDS
    while not is_up():
        if program.process.poll() is not None or time.monotonic() > deadline:
            tail = program.log.read_text(errors="replace")[-2000:]
            raise DidNotStart(f"{program.name} did not start:\n{tail}")
        time.sleep(0.05)


def accepts_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def answers_health(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
    except (OSError, urllib.error.URLError):
        return False
    return True


def free_ports() -> Iterator[int]:
    """Ports that were free a moment ago, each another one; below those the kernel gives to outgoing connections."""
    candidates = list(_PORTS)
    random.shuffle(candidates)
    for port in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
