"""Runs the issuer's commands, and its server as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "local_azure.entra", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


@pytest.fixture
def token(tmp_path: Path) -> Callable[..., str]:
    """Prints a token from the test's data folder and gives the JWT."""

    def print_token(*arguments: str) -> str:
        ended = command("token", "--data", str(tmp_path), *arguments)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("\n") == 1
        return ended.stdout.strip().removeprefix("Authorization: Bearer ")

    return print_token


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[str]:
    """The address of a running issuer on the test's data folder."""
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "local_azure.entra", "serve", "--port", "0", "--data", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith("ready: token issuer on http://127.0.0.1:")
    yield ready.split()[-1]
    process.terminate()
    assert process.wait(timeout=5) == 0
    process.stdout.close()
