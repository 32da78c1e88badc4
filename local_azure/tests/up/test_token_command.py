"""`python -m local_azure.up.token`: one line to paste."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import jwt

_PROJECT = Path(__file__).parents[3]


def _run(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local_azure.up.token", "--data", str(data), *arguments]
    return subprocess.run(command, cwd=_PROJECT, capture_output=True, text=True, check=True)  # noqa: S603 - our module


def _claims(header: str) -> dict:
    assert header.startswith("Authorization: Bearer ")
    return jwt.decode(header.rpartition(" ")[2], options={"verify_signature": False})


def test_prints_the_header_and_nothing_else(tmp_path):
    ended = _run(tmp_path)

    assert ended.stdout.count("\n") == 1
    assert _claims(ended.stdout.strip())["iss"].startswith("http://127.0.0.1:7073/")
    assert "nothing runs" in ended.stderr


def test_follows_the_ports_of_what_runs(tmp_path):
    ports = {"functions_host": 8071, "entra": 8073, "sandbox": 8080}
    parts = {name: {"ports": {"HTTP": port}} for name, port in ports.items()}
    (tmp_path / "run.json").write_text(json.dumps({"supervisor_pid": os.getpid(), "parts": parts}))

    ended = _run(tmp_path, "--curl")

    words = shlex.split(ended.stdout)
    assert words[0] == "curl"
    assert "http://127.0.0.1:8071/api/v1/notifications" in words
    assert _claims(words[words.index("-H") + 1])["iss"].startswith("http://127.0.0.1:8073/")
    assert json.loads(words[words.index("-d") + 1])["template"]["id"] == "order-confirmation"
    assert ended.stderr == ""
