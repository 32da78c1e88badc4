"""`python -m local_azure.servicebus`: the emulator as a process."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from local_azure.servicebus.admin import AdminEndpoint
from local_azure.servicebus.server import Limits, Server
from local_azure.servicebus.store import Store, StoreError
from local_azure.servicebus.topology import TopologyError, load_topology

_HOST = "127.0.0.1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local_azure.servicebus",
        description="Service Bus emulator (AMQP 1.0) on 127.0.0.1. SERVICEBUS_SAS_KEY: verify signatures.",
    )
    parser.add_argument("--port", type=int, default=5672, help="AMQP port; 0 takes any free one (default 5672)")
    parser.add_argument("--admin-port", type=int, default=5300, help="HTTP port: /health, /entities.json, /faults")
    parser.add_argument("--config", type=Path, required=True, help="entities, as the official emulator's Config.json")
    parser.add_argument("--data", type=Path, default=None, help="data folder; without it everything is lost at the end")
    parser.add_argument("--sync", choices=("off", "normal", "full"), default="normal", help="full survives power cuts")
    parser.add_argument(
        "--max-message-kb", type=int, default=256, help="256 as in the standard tier; premium: up to 102400"
    )
    parser.add_argument("--log-level", default="warning", choices=("debug", "info", "warning", "error"))
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> int:
    topology = load_topology(arguments.config)
    store = Store(arguments.data, synchronous=arguments.sync)
    server = Server(
        topology,
        store,
        sas_key=os.environ.get("SERVICEBUS_SAS_KEY") or None,
        limits=Limits(max_message_bytes=arguments.max_message_kb * 1024),
    )
    admin = AdminEndpoint(server)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    try:
        port = await server.start(_HOST, arguments.port)
        admin_port = await admin.start(_HOST, arguments.admin_port)
    except OSError as error:
        print(f"error: cannot listen: {error}", file=sys.stderr)
        await server.stop()
        return 2
    print(f"ready: Service Bus emulator on amqp://{_HOST}:{port} (admin http://{_HOST}:{admin_port})", flush=True)
    waits = [asyncio.create_task(event.wait()) for event in (stopped, server.failed)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in waits:
        task.cancel()
    if server.failed.is_set():
        return 1
    await admin.stop()
    await server.stop()
    return 0


def main() -> int:
    """The exit code: 0 stopped, 1 the store failed, 2 it could not start."""
    arguments = _arguments()
    logging.basicConfig(
        stream=sys.stderr, level=arguments.log_level.upper(), format="%(levelname)s %(name)s %(message)s"
    )
    # Waiting messages are many long-lived objects without cycles; the default thresholds re-scan them all the time.
    gc.set_threshold(100_000, 50, 100)
    try:
        import uvloop  # noqa: PLC0415 - optional: a third less CPU for single messages
    except ImportError:
        runner = asyncio.run
    else:
        runner = uvloop.run
    try:
        return runner(_serve(arguments))
    except (TopologyError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
