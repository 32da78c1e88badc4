"""The service as processes to be hurt: the project's supervisor with the real app, on a folder and ports of its own."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from bench.process_usage import pss_megabytes
from local_azure.entra.clients import find_client, read_clients
from local_azure.entra.signing_keys import SigningKeys
from local_azure.entra.tokens import issue_token
from local_azure.up.data_folder import DataFolder
from local_azure.up.generated_keys import load_or_make_keys
from local_azure.up.ports import Ports, is_free

ROOT = Path(__file__).parents[2]
HOST, BROKER, STORE = "functions_host", "servicebus", "cosmos"
_PROVIDER_SETTINGS = ("SENDGRID_BASE_URL", "ACS_EMAIL_BASE_URL", "TWILIO_BASE_URL", "NOTIFICATION_HUBS_BASE_URL")
_START_SECONDS = 120
_FIRST_OFFSET, _OFFSETS = 20_000, 60
_offsets_in_use: set[int] = set()
_STOP_SECONDS = 30
# Short, so that recovery takes seconds. A claim must still outlive the longest provider call (20 s).
CLAIM_PATIENCE, IN_DOUBT_PATIENCE, PUBLISH_PATIENCE = 25.0, 6.0, 10.0
BREAKER_OPEN = 5.0
SETTINGS = {
    "SWEEP_SCHEDULE": "*/2 * * * * *",
    "PUBLISH_PATIENCE_SECONDS": str(PUBLISH_PATIENCE),
    "CLAIM_PATIENCE_SECONDS": str(CLAIM_PATIENCE),
    "IN_DOUBT_PATIENCE_SECONDS": str(IN_DOUBT_PATIENCE),
    "SENDGRID_BREAKER_OPEN_SECONDS": str(BREAKER_OPEN),
    "TWILIO_BREAKER_OPEN_SECONDS": str(BREAKER_OPEN),
    "NOTIFICATION_HUBS_BREAKER_OPEN_SECONDS": str(BREAKER_OPEN),
}


class ServiceFailed(Exception):
    """It did not come up."""


@dataclass(frozen=True)
class ServiceOptions:
    """What is started."""

    data: Path
    provider_url: str
    workers: int = 2
    app: Path = ROOT
    topology: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


class Service:
    """A running service, and the means to hurt it."""

    def __init__(self, options: ServiceOptions, offset: int, session: aiohttp.ClientSession) -> None:
        default = Ports()
        self.ports = Ports(**{name: port + offset for name, port in vars(default).items()})
        self.options = options
        self.session = session
        self.authorization = ""
        self.deaths: list[str] = []

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ports.api}/api/v1"

    @property
    def keys(self) -> dict[str, str]:
        """The stand-in's generated keys, as an operator would read them."""
        return load_or_make_keys(DataFolder(self.options.data))

    @property
    def store_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.cosmos}/"

    @property
    def broker_connection(self) -> str:
        key = self.keys["SERVICEBUS_SAS_KEY"]
        return (
            f"Endpoint=sb://127.0.0.1:{self.ports.servicebus};SharedAccessKeyName=RootManageSharedAccessKey;"
            f"SharedAccessKey={key};UseDevelopmentEmulator=true;"
        )

    async def metrics(self) -> dict[str, Any]:
        """The host's /metrics.json; {} while there is no host."""
        return await self._read(f"http://127.0.0.1:{self.ports.host_admin}/metrics.json")

    async def entities(self) -> list[dict[str, Any]]:
        """The broker's queues and subscriptions with their depths; [] while there is no broker."""
        report = await self._read(f"http://127.0.0.1:{self.ports.servicebus_admin}/entities.json")
        return list(report.get("entities", ()))

    async def _read(self, url: str) -> dict[str, Any]:
        try:
            async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=10)) as answer:
                return dict(orjson.loads(await answer.read()))
        except (aiohttp.ClientError, TimeoutError, OSError):
            return {}

    async def dead_letters(self) -> dict[str, int]:
        """Dead letters by subscription or queue, where there are any."""
        return {each["name"]: each["dead_letter"] for each in await self.entities() if each.get("dead_letter")}

    async def function(self, name: str) -> dict[str, Any]:
        """One function's counts since the host started."""
        return dict((await self.metrics()).get("functions", {}).get(name, {"invocations": 0, "failures": 0}))

    async def workers(self) -> list[int]:
        return [worker["pid"] for worker in (await self.metrics()).get("workers", ())]

    async def memory(self) -> float:
        """Megabytes of the largest worker."""
        return max(map(pss_megabytes, await self.workers()), default=0.0)

    async def kill_worker(self, number: int = 0) -> bool:
        """SIGKILL to a worker (counted modulo how many there are); False when there was none."""
        pids = await self.workers()
        return bool(pids) and self._signal(pids[number % len(pids)], signal.SIGKILL, "worker")

    async def kill_workers(self) -> None:
        for pid in await self.workers():
            self._signal(pid, signal.SIGKILL, "worker")

    def kill(self, part: str) -> bool:
        return self._signal(self._pid(part), signal.SIGKILL, part)

    def stop(self, part: str) -> bool:
        return self._signal(self._pid(part), signal.SIGSTOP, f"{part} stopped")

    def resume(self, part: str) -> bool:
        return self._signal(self._pid(part), signal.SIGCONT, "")

    def _pid(self, part: str) -> int:
        parts = orjson.loads((self.options.data / "run.json").read_bytes())["parts"]
        return int(parts[part]["pid"] or 0)

    def _signal(self, pid: int, number: signal.Signals, told_as: str) -> bool:
        try:
            if b"local_azure" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return False  # it ended, and its number is somebody else's
            os.kill(pid, number)
        except OSError:
            return False
        if told_as:
            self.deaths.append(told_as)
        return True

    async def broker_fault(self, **fault: object) -> None:
        await self._admin("POST", f"http://127.0.0.1:{self.ports.servicebus_admin}/faults", fault)

    async def heal_broker(self) -> None:
        await self._admin("DELETE", f"http://127.0.0.1:{self.ports.servicebus_admin}/faults")

    async def store_fault(self, **fault: object) -> None:
        await self._admin("POST", f"{self.store_url}_emulator/faults", fault)

    async def heal_store(self) -> None:
        await self._admin("DELETE", f"{self.store_url}_emulator/faults")

    async def set_instances(self, function: str, count: int) -> None:
        """So many instances for one function alone, as Flex Consumption has them."""
        keys = orjson.loads((self.options.data / "functions_host" / "keys.json").read_bytes())
        url = f"http://127.0.0.1:{self.ports.host_admin}/admin/instances"
        body = {"function": function, "count": count}
        async with self.session.post(url, json=body, headers={"x-functions-key": keys["master"]}) as answer:
            answer.raise_for_status()

    def authorization_of(self, client: str) -> str:
        """The header of another consumer, by its local name."""
        folder = self.options.data / "entra"
        found = find_client(read_clients(folder), client)
        if found is None:
            raise KeyError(client)
        key = SigningKeys(folder).current()
        return "Bearer " + issue_token(key, port=self.ports.entra, client_id=found.client_id, roles=found.roles)

    async def _admin(self, method: str, url: str, body: Mapping[str, object] | None = None) -> None:
        async with self.session.request(method, url, json=body) as answer:
            answer.raise_for_status()

    async def wait_until_ready(self, seconds: float = 90.0) -> None:
        """Raises: ServiceFailed: /health/ready did not answer 200 in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                url = f"http://127.0.0.1:{self.ports.api}/api/health/ready"
                async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
        raise ServiceFailed("the service was not ready again in time")


@contextlib.contextmanager
def free_offset() -> Iterator[int]:
    """A port offset at which every default port is free, kept from other services of this campaign meanwhile.

    Raises:
        ServiceFailed: there is none.
    """
    for step in range(_OFFSETS):
        # Two campaigns at once begin their search in different places.
        offset = _FIRST_OFFSET + (os.getpid() * 7 + step) % _OFFSETS * 500
        if offset not in _offsets_in_use and all(is_free(port + offset) for port in vars(Ports()).values()):
            break
    else:
        raise ServiceFailed("no free ports")
    _offsets_in_use.add(offset)
    try:
        yield offset
    finally:
        _offsets_in_use.discard(offset)


@contextlib.asynccontextmanager
async def running_service(options: ServiceOptions) -> AsyncIterator[Service]:
    """Up, and stopped at the end whatever happens. Raises ServiceFailed."""
    options.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with free_offset() as offset:
        async with _running(options, offset) as service:
            yield service


@contextlib.asynccontextmanager
async def _running(options: ServiceOptions, offset: int) -> AsyncIterator[Service]:
    log = options.data / "supervisor.log"
    command = [sys.executable, "-m", "bench.stand_in", "--data", str(options.data), "--port-offset", str(offset)]
    command += ["--workers", str(options.workers), "--app", str(options.app)]
    if options.topology:
        command += ["--servicebus-config", str(options.topology)]
    environment = (
        os.environ | dict.fromkeys(_PROVIDER_SETTINGS, options.provider_url) | SETTINGS | dict(options.settings)
    )
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        service = Service(options, offset, session)
        try:
            await _until_up(process, log)
            service.authorization = await _token(options.data)
            yield service
        finally:
            for part in (HOST, BROKER, STORE):
                with contextlib.suppress(OSError, KeyError):
                    service.resume(part)
            await _stop(process)


async def _until_up(process: asyncio.subprocess.Process, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while "everything is up" not in (text := log.read_text()):  # noqa: ASYNC240 - nothing else runs yet
        if process.returncode is not None or time.monotonic() > deadline:
            raise ServiceFailed(f"the stand-in did not start:\n{text[-2000:]}")
        await asyncio.sleep(0.1)


async def _token(data: Path) -> str:
    command = [sys.executable, "-m", "local_azure.up.token", "--data", str(data)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    header, _ = await process.communicate()
    return header.decode().strip().partition(": ")[2]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()  # the kernel then ends the parts
        await process.wait()
