"""The whole stand-in with the app in it, started by the supervisor on free ports: what `make demo` does."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local_azure.up.ports import Ports

_PROJECT = Path(__file__).parents[3]

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def start(tmp_path, free_ports):
    """Starts the supervisor with the given options; its output goes to a file."""
    ports = []
    for name, port in zip(Ports.__dataclass_fields__, free_ports(len(Ports.__dataclass_fields__)), strict=True):
        ports += [f"--{name.replace('_', '-')}-port", str(port)]
    started = []

    def start_supervisor(*options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "local_azure.up", "--data", str(tmp_path / "data"), *ports, *options]
        with (tmp_path / "output").open("wb") as output:
            process = subprocess.Popen(command, cwd=_PROJECT, stdout=output, stderr=output)  # noqa: S603 - our module
        started.append(process)
        return process

    yield start_supervisor
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_samples_arrive_twice_on_one_data_folder(start, tmp_path):
    for _ in range(2):
        demo = start("--samples", "--exit-after-samples")

        status = demo.wait(90)

        output = (tmp_path / "output").read_text()
        assert status == 0, output
        assert output.count("callback verified (") == 6
        assert "restarts: none" in output
        assert "earlier run was not deleted" not in output


def test_every_process_is_gone_after_the_supervisor_was_killed(start, tmp_path, wait_for, is_alive):
    supervisor = start()
    wait_for(lambda: "everything is up" in (tmp_path / "output").read_text(), seconds=60)
    parts = json.loads((tmp_path / "data" / "run.json").read_text())["parts"]
    pids = [part["pid"] for part in parts.values()]
    pids += [child for pid in pids for child in _children(pid)]
    assert len(pids) > len(parts)  # the host's worker

    os.kill(supervisor.pid, signal.SIGKILL)

    wait_for(lambda: not any(is_alive(pid) for pid in pids))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
