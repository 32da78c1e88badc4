"""SIGKILLs the host twenty times under load and compares ledgers: what was accepted must be done, whatever died when.

By hand: ``python -m local_azure.tests.functions_host.kill_host_under_load``. Messages go through a Service Bus trigger
to an orchestration each (activities, timer, sub-orchestration, entity), whose last activity writes a document through
an output binding, which the change feed gives to one more function. Steps may be done twice, none may be missing.
"""

import argparse
import asyncio
import json
import random
import secrets
import signal
import socket
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient

from local_azure.tests.functions_host.conftest import Account, Broker
from local_azure.tests.functions_host.part_process import APPS, HostProcess

_QUEUE = {"Name": "work", "Properties": {"LockDuration": "PT5S", "MaxDeliveryCount": 2000}}
_CONFIG = {
    "UserConfig": {"Namespaces": [{"Name": "ns", "Queues": [_QUEUE], "Topics": []}], "Logging": {"Type": "File"}}
}
_TOPOLOGY = {"database": "shop", "containers": [{"id": "items", "partitionKey": "/pk"}]}


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Scene:
    """Broker, account and a host that comes back on the same ports with the same data."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        broker_port, account_port, *self._ports = _free_ports(4)
        for part in ("broker", "account", "host"):
            (folder / part).mkdir()
        (folder / "broker" / "config.json").write_text(json.dumps(_CONFIG))
        (folder / "account" / "topology.json").write_text(json.dumps(_TOPOLOGY))
        self.broker = Broker(folder / "broker", broker_port)
        stack.callback(self.broker.end)
        self.account = Account(folder / "account", account_port, b64encode(secrets.token_bytes(64)).decode())
        stack.callback(self.account.end)
        self._folder = folder
        self.host = self._start()
        stack.callback(lambda: self.host.end())  # noqa: PLW0108 - the one of then

    def _start(self) -> HostProcess:
        return HostProcess(
            APPS / "ledger_app",
            self._folder / "host" / "data",
            port=self._ports[0],
            admin_port=self._ports[1],
            BUS=self.broker.connection_string,
            STORE=self.account.connection_string,
        )

    def kill_and_start(self) -> None:
        self.host.kill()
        self.host = self._start()


async def send_until(stopped: asyncio.Event, scene: Scene, per_second: float, most: int) -> list[str]:
    """The numbers that the broker accepted."""
    accepted: list[str] = []
    async with (
        ServiceBusClient.from_connection_string(scene.broker.connection_string) as client,
        client.get_queue_sender("work") as sender,
    ):
        while not stopped.is_set() and len(accepted) < most:
            number = f"n{len(accepted):05}"
            await sender.send_messages(ServiceBusMessage(number))
            accepted.append(number)
            await asyncio.sleep(1 / per_second)
    return accepted


async def missing(scene: Scene, accepted: list[str], web: aiohttp.ClientSession) -> dict[str, Any]:
    """What is not done yet, by step; empty when all is."""
    done: dict[str, set[str]] = {"accepted": set(), "noted": set(), "seen": set()}
    for record in scene.host.records():
        done[record["step"]].add(record["number"])
    notes = {f"{number}/{part}" for number in accepted for part in range(3)}
    api = f"{scene.host.admin_url}/durabletask"
    async with web.get(f"{api}/instances/?showInput=false") as answer:
        statuses = {instance["instanceId"]: instance["runtimeStatus"] for instance in await answer.json()}
    async with web.get(f"{api}/entities/total/all") as answer:
        total = await answer.json() if answer.status == 200 else 0
    left = {
        "accepted": len(set(accepted) - done["accepted"]),
        "noted": len(notes - done["noted"]),
        "seen": len(set(accepted) - done["seen"]),
        "completed": sum(statuses.get(number) != "Completed" for number in accepted),
        "counted": len(accepted) - total,
    }
    return {step: count for step, count in left.items() if count}


async def _explain(scene: Scene, accepted: list[str]) -> None:
    """Print the host's state and the histories of what has not completed."""
    print(json.dumps(scene.host.metrics(), indent=1), scene.host.log()[-6000:], sep="\n", file=sys.stderr)
    api = f"{scene.host.admin_url}/durabletask/instances"
    async with aiohttp.ClientSession() as web:
        async with web.get(f"{api}/") as answer:
            statuses = {instance["instanceId"]: instance for instance in await answer.json()}
        undone = [number for number in accepted if statuses.get(number, {}).get("runtimeStatus") != "Completed"]
        for number in undone[:3]:
            async with web.get(f"{api}/{number}?showHistory=true&showHistoryOutput=true") as answer:
                print(number, await answer.text(), file=sys.stderr)


async def _finish(scene: Scene, accepted: list[str], patience: float) -> dict[str, Any]:
    """Wait until all is done, or nothing moves any more; what is left."""
    before: dict[str, Any] = {}
    moved = time.monotonic()
    async with aiohttp.ClientSession() as web:
        while (left := await missing(scene, accepted, web)) and time.monotonic() - moved < patience:
            if left != before:
                before, moved = left, time.monotonic()
                print(f"not done yet: {left}", file=sys.stderr)
            await asyncio.sleep(1)
    return left


async def run(scene: Scene, options: argparse.Namespace) -> dict[str, Any]:
    rng = random.Random(options.seed)  # noqa: S311 - moments of death
    started, stopped = time.monotonic(), asyncio.Event()
    sending = asyncio.create_task(send_until(stopped, scene, options.per_second, options.messages))
    for _ in range(options.kills):
        await asyncio.sleep(rng.uniform(0.2, 1.2))
        await asyncio.to_thread(scene.kill_and_start)
    stopped.set()
    accepted = await sending
    killed_seconds = time.monotonic() - started
    left = await _finish(scene, accepted, options.patience)
    if left:
        await _explain(scene, accepted)
    steps = Counter((record["step"], record["number"]) for record in scene.host.records())
    again = Counter(step for (step, _), count in steps.items() if count > 1)
    return {
        "kills": options.kills,
        "accepted": len(accepted),
        "lost or undone": left,
        "done more than once": dict(again),
        "seconds under fire": round(killed_seconds, 1),
        "seconds until all was done": round(time.monotonic() - started - killed_seconds, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--per-second", type=float, default=15.0, help="messages sent")
    parser.add_argument("--messages", type=int, default=400, help="at most")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument(
        "--patience", type=float, default=12.0, help="seconds in which nothing is done before giving up"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the parts end, too
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        scene = Scene(Path(name), stack)
        report = asyncio.run(run(scene, options))
        report["stopped with"] = scene.host.stop()
    print(json.dumps({"seed": options.seed, **report}))
    return 1 if report["lost or undone"] or report["stopped with"] else 0


if __name__ == "__main__":
    sys.exit(main())
