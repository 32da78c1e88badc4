import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_azure.up.ports import is_free

_SUPERVISE_FAKES = Path(__file__).with_name("supervise_fakes.py")
_PROJECT = Path(__file__).parents[3]


def wait_for(what: Callable[[], Any], *, seconds: float = 15) -> Any:
    """The first truthy value of `what`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


class Running:
    """A supervisor over fake parts, seen from outside."""

    def __init__(self, data: Path, parts: list[Any], *extra: str) -> None:
        self.data = data
        self.output_file = data.with_suffix(f".{time.monotonic_ns()}.out")
        with self.output_file.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own script
                [sys.executable, str(_SUPERVISE_FAKES), str(data), json.dumps(parts), *extra],
                cwd=_PROJECT,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(_PROJECT)},
            )

    def output(self) -> str:
        return self.output_file.read_text()

    def wait_for_output(self, text: str, *, seconds: float = 15) -> None:
        wait_for(lambda: text in self.output(), seconds=seconds)

    def part(self, name: str) -> dict[str, Any]:
        return json.loads((self.data / "run.json").read_text())["parts"][name]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., Any]:
    return wait_for


@pytest.fixture(name="is_alive")
def _is_alive() -> Callable[[int], bool]:
    return is_alive


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started = []

    def start(parts: list[Any], *extra: str) -> Running:
        running = Running(tmp_path / "data", parts, *extra)
        started.append(running)
        return running

    yield start
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    # Below the range the kernel gives to outgoing connections, or one of those could take a port before its part does.
    def find(count: int) -> list[int]:
        candidates = random.sample(range(12_000, 32_000), 100)
        return [port for port in candidates if is_free(port)][:count]

    return find


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
