"""tools/setup explains itself when it cannot make an environment."""

import subprocess
from pathlib import Path

import pytest

_SETUP = Path(__file__).parents[3] / "tools" / "setup"


def _run_setup(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([_SETUP, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - our script


def _fake_python(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("body", ["exit 1", None])
def test_a_python_that_is_too_old_or_absent_is_refused_by_name(tmp_path, body):
    python = tmp_path / "python3"
    if body:
        _fake_python(python, body)

    ended = _run_setup(tmp_path / "venv", python)

    assert ended.returncode == 1
    assert f"{python} is not a Python 3.11 or newer" in ended.stderr
    assert ended.stdout == ""
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_says_what_to_install(tmp_path):
    python = _fake_python(tmp_path / "python3", 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')

    ended = _run_setup(tmp_path / "venv", python)

    assert ended.returncode == 1
    assert "sudo apt-get install python3-venv" in ended.stderr
