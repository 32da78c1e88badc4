"""The stand-in with what `python -m local_azure.up` does not offer: several workers, another app, another topology.

``python -m bench.stand_in --data DIR --port-offset N [--workers N] [--app DIR] [--servicebus-config FILE]`` starts the
same parts under the same supervisor, prints one line with "everything is up", and stays up until SIGTERM.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp

from local_azure.entra.identities import TENANT_ID
from local_azure.up.data_folder import DataFolder
from local_azure.up.generated_keys import load_or_make_keys
from local_azure.up.health import wait_until_healthy
from local_azure.up.launch import launch, say
from local_azure.up.part import Part
from local_azure.up.parts import stand_in_parts
from local_azure.up.ports import HOST, add_port_options, ports_from
from local_azure.up.settings import read_local_settings, resolve_settings

_PROJECT = Path(__file__).parents[1]
_READY_WITHIN_SECONDS = 60.0


def with_option(part: Part, option: str, value: str) -> Part:
    """The part, started with another value for an option that its command line has already."""
    command = list(part.command)
    command[command.index(option) + 1] = value
    return replace(part, command=tuple(command))


def changed_parts(parts: tuple[Part, ...], changes: dict[str, dict[str, str]]) -> tuple[Part, ...]:
    """The parts with ``{part name: {option: value}}`` applied."""
    changed = []
    for part in parts:
        for option, value in changes.get(part.name, {}).items():
            part = with_option(part, option, value)  # noqa: PLW2901 - one option after the other
        changed.append(part)
    return tuple(changed)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.stand_in", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1, help="worker processes of the host")
    parser.add_argument("--app", type=Path, default=Path(), help="folder with function_app.py")
    parser.add_argument("--servicebus-config", type=Path, help="topology in place of the project's")
    add_port_options(parser)
    options = parser.parse_args()
    ports, folder = ports_from(options), DataFolder(options.data)
    folder.lock()
    settings = resolve_settings(
        keys=load_or_make_keys(folder),
        ports=ports,
        tenant_id=TENANT_ID,
        local_settings=read_local_settings(_PROJECT),
        environment=os.environ,
    )
    changes = {"functions_host": {"--workers": str(options.workers), "--app": str(options.app)}}
    if options.servicebus_config:
        changes["servicebus"] = {"--config": str(options.servicebus_config)}
    parts = changed_parts(stand_in_parts(_PROJECT, folder, ports, settings), changes)

    async def once_up(session: aiohttp.ClientSession) -> None:
        ready = f"http://{HOST}:{ports.api}/api/health/ready"
        await wait_until_healthy(session, ready, timeout_seconds=_READY_WITHIN_SECONDS)
        say("everything is up")

    return launch(parts, folder, once_up=once_up)


if __name__ == "__main__":
    sys.exit(main())
