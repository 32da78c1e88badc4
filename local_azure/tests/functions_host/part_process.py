"""A part of the stand-in as a process of its own: started, asked, stopped or killed."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
APPS = Path(__file__).with_name("apps")
START_SECONDS = 15.0


class PartProcess:
    """`python -m <module> <arguments>`; ready when it prints its line."""

    def __init__(self, module: str, *arguments: str, log: Path, environment: dict[str, str] | None = None) -> None:
        self.log_path = log
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
        with log.open("ab") as file:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                env={**clean, **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        assert self.process.stdout is not None
        self.ready_line = self.process.stdout.readline()
        if not self.ready_line.startswith("ready:"):
            code = self.end()
            raise AssertionError(f"{module} ended with {code} instead of getting ready:\n{self.log()}")
        self.ports = [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", self.ready_line)]

    def log(self) -> str:
        return self.log_path.read_text()

    def stop(self, seconds: float = START_SECONDS) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self._wait(START_SECONDS)

    def end(self) -> int:
        """For cleaning up: stopped however it goes."""
        if self.process.poll() is None:
            self.process.kill()
        return self._wait(START_SECONDS)

    def _wait(self, seconds: float) -> int:
        code = self.process.wait(seconds)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class HostProcess(PartProcess):
    """The functions host with one of the apps."""

    def __init__(
        self,
        app: Path,
        data: Path,
        *,
        port: int,
        admin_port: int,
        workers: int = 1,
        arguments: tuple[str, ...] = (),
        **environment: str,
    ) -> None:
        self.data = data
        self.record = data.with_name(f"{data.name}.jsonl")
        self.record.touch()
        ours = ("--app", str(app), "--port", str(port), "--admin-port", str(admin_port), "--data", str(data))
        super().__init__(
            "local_azure.functions_host",
            *ours,
            "--workers",
            str(workers),
            *arguments,
            log=data.with_name(f"{data.name}.log"),
            environment={"RECORD_FILE": str(self.record), **environment},
        )
        self.url = f"http://127.0.0.1:{self.ports[0]}"
        self.admin_url = f"http://127.0.0.1:{self.ports[1]}"

    def records(self) -> list[dict[str, Any]]:
        """What the app's functions wrote down."""
        return [json.loads(line) for line in self.record.read_text().splitlines() if line]

    def keys(self) -> dict[str, Any]:
        return json.loads((self.data / "keys.json").read_text())

    def metrics(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.admin_url}/metrics.json", timeout=5) as answer:  # noqa: S310 - our own host
            return json.load(answer)


async def wait_until(claim: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """Poll until the claim is truthy; its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = claim()
        if value:
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what or claim}")
