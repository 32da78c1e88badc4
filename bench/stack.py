"""The whole stand-in as processes under test: started on ports and a folder of its own, watched, stopped.

Everything runs under the project's supervisor (bench/stand_in.py), with the providers' base URLs at the fake provider.
"""

import contextlib
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bench.counters import Counters, bus_depth, counters_from, read_json
from bench.provider_client import Provider
from local_azure.up.ports import Ports, is_free

ROOT = Path(__file__).parents[1]
_OFFSETS = range(3000, 24_000, 10)  # so that every port stays below those the kernel gives to clients
_PROVIDER_SETTINGS = ("SENDGRID_BASE_URL", "TWILIO_BASE_URL", "NOTIFICATION_HUBS_BASE_URL")
_START_SECONDS = 90
_STOP_SECONDS = 30
_LINKED = ("functions", "shared", "host.json")
ROLES = {
    "functions_host": "host",
    "servicebus": "Service Bus",
    "cosmos": "Cosmos DB",
    "entra": "identity",
    "sandbox": "sandbox (idle)",
}
APP = "app"


class StackFailed(Exception):
    """The stand-in did not come up, or did not come to rest."""


@dataclass(frozen=True)
class StackOptions:
    """What is started."""

    data: Path
    provider: Provider
    port_offset: int
    workers: int = 1
    accept_only: bool = False
    servicebus_config: Path | None = None
    audit: str = ""  # a subscription that nobody reads, if the topology has one
    settings: Mapping[str, str] = field(default_factory=dict)  # of the app, by environment variable


class Stack:
    """A running stand-in."""

    def __init__(self, options: StackOptions, supervisor_pid: int, authorization: str) -> None:
        self.options = options
        self.provider = options.provider
        self.headers = {"authorization": authorization}
        self._supervisor_pid = supervisor_pid
        self._ports = _ports(options.port_offset)
        self.api_port = self._ports.api
        self.api = f"http://127.0.0.1:{self._ports.api}/api/v1"

    def parts(self) -> dict[str, Any]:
        """run.json's entry of each part: pid, restarts and so on."""
        return dict(orjson.loads((self.options.data / "run.json").read_bytes())["parts"])

    def metrics(self) -> dict[str, Any]:
        """The host's /metrics.json."""
        return dict(read_json(f"http://127.0.0.1:{self._ports.host_admin}/metrics.json"))

    def entities(self) -> list[dict[str, Any]]:
        """The broker's queues, topics and subscriptions with their depths."""
        return list(read_json(f"http://127.0.0.1:{self._ports.servicebus_admin}/entities.json")["entities"])

    def counters(self) -> Counters:
        return counters_from(read_json(f"http://127.0.0.1:{self._ports.cosmos}/_emulator/stats"), self.metrics())

    def roles(self) -> dict[str, list[int]]:
        """The processes by role; the app's workers are "app"."""
        parts = self.parts()
        roles = {APP: [worker["pid"] for worker in self.metrics()["workers"]]}
        roles |= {role: [parts[name]["pid"]] for name, role in ROLES.items()}
        return roles | {"provider": [self.provider.pid], "supervisor": [self._supervisor_pid]}

    def wait_until_idle(self, *, seconds: float = 60.0) -> bool:
        """Whether no message waited and no function ran, twice in a row, within ``seconds``."""
        deadline, quiet = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            busy = bus_depth(self.entities(), except_for=self.options.audit)
            busy += sum(worker["in_flight"] for worker in self.metrics()["workers"])
            quiet = 0 if busy else quiet + 1
            if quiet == 2:
                return True
            time.sleep(0.25)
        return False

    def view(self, tracking_id: str) -> dict[str, Any]:
        """The public status answer; {} when there is none."""
        request = urllib.request.Request(f"{self.api}/notifications/{tracking_id}", headers=self.headers)  # noqa: S310 - our own address
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
                return dict(orjson.loads(answer.read()))
        except urllib.error.HTTPError:
            return {}


def free_port_offset() -> int:
    """An offset at which every part finds its ports free."""
    for offset in random.sample(_OFFSETS, len(_OFFSETS)):
        if all(is_free(port) for port in vars(_ports(offset)).values()):
            return offset
    raise StackFailed("no free ports")


def _ports(offset: int) -> Ports:
    default = Ports()
    return Ports(**{name: port + offset for name, port in vars(default).items()})


def accept_only_app(data: Path) -> Path:
    """A folder with the accepting half of the app (bench/accept_only)."""
    folder = data / "accept-only-app"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "function_app.py").write_bytes((ROOT / "bench/accept_only/function_app.py").read_bytes())
    for name in _LINKED:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    return folder


def _command(options: StackOptions) -> list[str]:
    command = [sys.executable, "-m", "bench.stand_in", "--data", str(options.data)]
    command += ["--port-offset", str(options.port_offset), "--workers", str(options.workers)]
    if options.accept_only:
        command += ["--app", str(accept_only_app(options.data))]
    if options.servicebus_config:
        command += ["--servicebus-config", str(options.servicebus_config)]
    return command


@contextlib.contextmanager
def running_stack(options: StackOptions) -> Iterator[Stack]:
    """Up, and stopped at the end whatever happens.

    Raises:
        StackFailed: it did not come up.
    """
    options.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = options.data / "supervisor.log"
    environment = os.environ | dict.fromkeys(_PROVIDER_SETTINGS, options.provider.url) | dict(options.settings)
    with log.open("wb") as output:
        process = subprocess.Popen(_command(options), cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        _wait_until_up(process, log)
        yield Stack(options, process.pid, _token(options.data))
    finally:
        _stop(process)


def _wait_until_up(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while "everything is up" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise StackFailed(f"the stand-in did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)


def _token(data: Path) -> str:
    command = [sys.executable, "-m", "local_azure.up.token", "--data", str(data)]
    header = subprocess.check_output(command, cwd=ROOT, text=True).strip()
    return header.partition(": ")[2]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()  # the kernel then ends the parts
        process.wait()
