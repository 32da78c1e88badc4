"""What the Service Bus emulator costs: `python bench/servicebus_emulator.py [--seconds 3]`.

Starts the emulator as a process with SQLite on disk, drives it with the unmodified SDK from this process, and prints
messages a second and the emulator's CPU microseconds a message (from /proc, so on Linux only). Floors: batches at
least 8,000 messages/s and at most 20 us of emulator CPU; single messages at most 150 us; 5 ms to a waiting receiver.
"""

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver

_BODY = b"x" * 512
_BATCH = 100
_IDLE_RECEIVERS = 24
_LATENCY_ROUNDS = 60
_QUEUES = ("batches", "singles", "latency", *(f"idle-{number}" for number in range(_IDLE_RECEIVERS)))
logging.getLogger("azure").setLevel(logging.CRITICAL)


class Emulator:
    """The process under test."""

    def __init__(self, folder: Path) -> None:
        config = folder / "config.json"
        queues = [{"Name": name, "Properties": {}} for name in _QUEUES]
        config.write_text(json.dumps({"UserConfig": {"Namespaces": [{"Name": "bench", "Queues": queues}]}}))
        command = [sys.executable, "-m", "local_azure.servicebus", "--port", "0", "--admin-port", "0"]
        command += ["--config", str(config), "--data", str(folder / "data")]
        environment = {name: value for name, value in os.environ.items() if name != "SERVICEBUS_SAS_KEY"}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        self.port = int(self._process.stdout.readline().split("127.0.0.1:")[1].split()[0])

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def client(self) -> ServiceBusClient:
        text = (
            f"Endpoint=sb://127.0.0.1:{self.port};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=YQ==;UseDevelopmentEmulator=true"
        )
        return ServiceBusClient.from_connection_string(text)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


async def _measure(emulator: Emulator, name: str, seconds: float, step: Callable[[], Awaitable[int]]) -> None:
    await step()
    count, began, cpu = 0, time.perf_counter(), emulator.cpu_seconds()
    while time.perf_counter() - began < seconds:
        done = await step()
        if not done:
            break
        count += done
    elapsed, cpu = time.perf_counter() - began, emulator.cpu_seconds() - cpu
    print(f"{name:44} {count / elapsed:8.0f} msg/s   emulator CPU {cpu / max(count, 1) * 1e6:6.1f} us/msg", flush=True)


async def _throughput(emulator: Emulator, client: ServiceBusClient, seconds: float) -> None:
    async with client.get_queue_sender("batches") as sender:

        async def send_batch() -> int:
            await sender.send_messages([ServiceBusMessage(_BODY) for _ in range(_BATCH)])
            return _BATCH

        await _measure(emulator, f"send, batches of {_BATCH}", seconds, send_batch)
    async with client.get_queue_sender("singles") as sender:

        async def send_one() -> int:
            await sender.send_messages(ServiceBusMessage(_BODY))
            return 1

        await _measure(emulator, "send, one at a time", seconds, send_one)
    async with client.get_queue_receiver("singles", prefetch_count=200) as receiver:

        async def complete() -> int:
            messages = await receiver.receive_messages(max_message_count=100, max_wait_time=1)
            for message in messages:
                await receiver.complete_message(message)
            return len(messages)

        await _measure(emulator, "receive and complete one by one", seconds, complete)
    mode = ServiceBusReceiveMode.RECEIVE_AND_DELETE
    async with client.get_queue_receiver("batches", receive_mode=mode, prefetch_count=500) as receiver:

        async def take() -> int:
            return len(await receiver.receive_messages(max_message_count=500, max_wait_time=1))

        await _measure(emulator, "receive and delete", seconds, take)


async def _latency(client: ServiceBusClient) -> None:
    async with client.get_queue_sender("latency") as sender, client.get_queue_receiver("latency") as receiver:
        arrivals: asyncio.Queue[float] = asyncio.Queue()

        async def listen() -> None:
            left = _LATENCY_ROUNDS
            async for message in receiver:
                arrivals.put_nowait(time.perf_counter())
                await receiver.complete_message(message)
                left -= 1
                if not left:  # the SDK may swallow a cancellation, so the listener ends by itself
                    return

        listener = asyncio.create_task(listen())
        delays = []
        for _ in range(_LATENCY_ROUNDS):
            await asyncio.sleep(0.02)
            sent = time.perf_counter()
            await sender.send_messages(ServiceBusMessage(_BODY))
            delays.append((await asyncio.wait_for(arrivals.get(), 5) - sent) * 1000)
        await listener
    delays.sort()
    name = "send to a waiting receiver"
    print(f"{name:44} median {statistics.median(delays):.1f} ms, worst {delays[-1]:.1f} ms")


async def _idle(emulator: Emulator, client: ServiceBusClient, seconds: float) -> None:
    polling = True

    async def poll(receiver: ServiceBusReceiver) -> None:
        async with receiver:
            while polling:
                await receiver.receive_messages(max_message_count=10, max_wait_time=1)

    names = [f"idle-{number}" for number in range(_IDLE_RECEIVERS)]
    tasks = [asyncio.create_task(poll(client.get_queue_receiver(name))) for name in names]
    await asyncio.sleep(2)
    cpu, own = emulator.cpu_seconds(), time.process_time()
    await asyncio.sleep(seconds)
    share, own_share = (emulator.cpu_seconds() - cpu) / seconds, (time.process_time() - own) / seconds
    polling = False
    await asyncio.gather(*tasks)
    name = f"{_IDLE_RECEIVERS} receivers polling in vain"
    print(f"{name:44} emulator {share:.2%} of a core, SDK {own_share:.2%}")


async def _run(seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(Path(folder))
        try:
            async with emulator.client() as client:
                await _throughput(emulator, client, seconds)
                await _latency(client)
                await _idle(emulator, client, seconds)
        finally:
            emulator.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="length of each measurement")
    asyncio.run(_run(parser.parse_args().seconds))
