"""Command line: `python -m local_azure.cosmos --port 8081 --data .local/cosmos --topology <file>`.

The account key is read from the environment variable COSMOS_KEY (base64); without it, requests are not checked.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop

from local_azure.cosmos.errors import CosmosError
from local_azure.cosmos.service import PortInUseError, Service
from local_azure.cosmos.tls import server_context


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local_azure.cosmos",
        description="A Cosmos DB (NoSQL) emulator for the azure-cosmos SDK. The account key comes from COSMOS_KEY.",
    )
    parser.add_argument("--port", type=int, default=8081, help="HTTP port on 127.0.0.1 (default 8081; 0 = a free one)")
    parser.add_argument("--tls-port", type=int, help="also serve https with a self-signed certificate (AAD needs it)")
    parser.add_argument("--data", type=Path, default=Path(".local/cosmos"), help="data folder (default .local/cosmos)")
    parser.add_argument("--topology", type=Path, help="JSON file with the database and containers to create if absent")
    parser.add_argument("--ranges", type=int, default=2, help="physical ranges of a new container (default 2)")
    parser.add_argument(
        "--lenient", action="store_true", help="answer cross-partition queries directly, without a query plan"
    )
    parser.add_argument(
        "--enforce-throughput", action="store_true", help="answer 429 when a container's request units are used up"
    )
    parser.add_argument("--log-level", default="WARNING", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    arguments = parser.parse_args()
    if not 1 <= arguments.ranges <= 64:
        parser.error("--ranges must be 1 to 64")
    return arguments


def _topology(path: Path | None) -> Any:
    return json.loads(path.read_text()) if path is not None else None


async def _run(arguments: argparse.Namespace) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    service = Service.open(
        arguments.data,
        ranges=arguments.ranges,
        account_key=os.environ.get("COSMOS_KEY"),
        strict=not arguments.lenient,
        topology=_topology(arguments.topology),
    )
    try:
        port = await service.listen(arguments.port)
        addresses = f"http://127.0.0.1:{port}"
        if arguments.tls_port is not None:
            tls_port = await service.listen(arguments.tls_port, server_context(arguments.data))
            addresses += f" and https://127.0.0.1:{tls_port}"
        service.emulator.throughput.enforced = arguments.enforce_throughput
        service.start_background()
        print(f"ready: Cosmos DB emulator on {addresses}", flush=True)
        await stopped.wait()
    finally:
        await service.stop()
    return 0


def main() -> int:
    arguments = _arguments()
    logging.basicConfig(level=arguments.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        return uvloop.run(_run(arguments))
    except PortInUseError as error:
        print(f"cosmos: {error}", file=sys.stderr)
    except (OSError, ValueError, KeyError, CosmosError, RuntimeError) as error:
        print(f"cosmos: cannot start: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
