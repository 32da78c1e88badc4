"""Command line of the local functions host: ``python -m local_azure.functions_host --app .``.

Exit codes: 0 stopped by SIGTERM or SIGINT, 2 a port or the data folder is in use or a setting cannot be used, 3 the
app cannot be indexed (the runtime's own error is printed).
"""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import IO

import uvloop

from local_azure.functions_host.errors import HostError, IndexFailed, SettingsInvalid
from local_azure.functions_host.host import FunctionsHost, HostArguments
from local_azure.functions_host.host_settings import load_local_settings
from local_azure.functions_host.instance_counts import PROCESS_COUNT_SETTING, read_instances, read_worker_count

_BAD_SETTINGS, _BAD_APP = 2, 3


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local_azure.functions_host",
        description="Runs an unchanged Azure Functions app (Python v2 model) on this machine.",
    )
    parser.add_argument("--app", type=Path, default=Path(), help="folder with function_app.py (default: .)")
    parser.add_argument("--port", type=int, default=7071, help="port of the HTTP triggers (default: %(default)s)")
    parser.add_argument(
        "--admin-port", type=int, default=7072, help="port of /admin and Durable (default: %(default)s)"
    )
    parser.add_argument(
        "--data", type=Path, default=Path(".local/functions_host"), help="data folder (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, help=f"worker processes for everything (default: {PROCESS_COUNT_SETTING}, else 1)"
    )
    parser.add_argument(
        "--instances",
        action="append",
        default=[],
        metavar="NAME=N",
        help="N workers for this function alone, or for all of 'http' or 'durable'; may be repeated",
    )
    parser.add_argument(
        "--scale-in-seconds",
        type=float,
        default=3.0,
        help="what running invocations get when their worker is taken away (default: %(default)g)",
    )
    return parser.parse_args()


def _bind(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        raise SettingsInvalid(f"port {port} cannot be used: {error.strerror}") from error
    return bound


def _own(data_folder: Path) -> IO[str]:
    """Take the data folder for this process alone (until it ends, however it ends)."""
    data_folder.mkdir(parents=True, exist_ok=True)
    lock = (data_folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise SettingsInvalid(f"another host uses the data folder {data_folder}") from error
    return lock


async def _run(arguments: HostArguments) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    host = FunctionsHost(arguments)
    starting = asyncio.ensure_future(host.start())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    count = starting.result()
    print(
        f"ready: functions host, {count} functions on {arguments.public_url}, admin {arguments.admin_url}", flush=True
    )
    await stopping
    await host.stop()


def main() -> int:
    options = _read_arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("azure").setLevel(logging.ERROR)  # the listeners report what is away themselves
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        app_folder = options.app.resolve()
        if not app_folder.is_dir():
            raise SettingsInvalid(f"--app {options.app}: no such folder")
        load_local_settings(app_folder, os.environ)
        workers = read_worker_count(options.workers, os.environ)
        instances = read_instances(options.instances)
        data_folder = options.data.resolve()
        with _own(data_folder), _bind(options.port) as public, _bind(options.admin_port) as admin:
            arguments = HostArguments(
                app_folder=app_folder,
                data_folder=data_folder,
                workers=workers,
                instances=instances,
                scale_in_seconds=max(0.0, options.scale_in_seconds),
                public_socket=public,
                admin_socket=admin,
                environment=os.environ,
            )
            uvloop.run(_run(arguments))
    except IndexFailed as error:
        print(f"the app cannot be indexed:\n{error}", file=sys.stderr)
        return _BAD_APP
    except HostError as error:
        print(f"functions host: {error}", file=sys.stderr)
        return _BAD_SETTINGS
    return 0


if __name__ == "__main__":
    sys.exit(main())
