"""Command line: `python -m local_azure.up` starts the whole stand-in and keeps it running until Ctrl-C.

Exit status: 0 after an orderly stop (or samples that all arrived), 1 when a part cannot be kept running or a sample did
not arrive, 2 when nothing was started (ports taken, data folder in use, settings unusable).
"""

import argparse
import os
import sys
import time
from pathlib import Path

import aiohttp

from local_azure.entra.identities import TENANT_ID
from local_azure.up.access import ask_for_token
from local_azure.up.banner import banner
from local_azure.up.data_folder import AlreadyRunning, DataFolder
from local_azure.up.generated_keys import load_or_make_keys
from local_azure.up.health import wait_until_healthy
from local_azure.up.launch import EXIT_REFUSED, launch, say
from local_azure.up.parts import HostScale, stand_in_parts
from local_azure.up.ports import HOST, Ports, add_port_options, ports_from
from local_azure.up.samples import Consumer, send_samples
from local_azure.up.settings import BadLocalSettings, Settings, read_local_settings, resolve_settings

_PROJECT = Path(__file__).parents[2]
_READY_WITHIN_SECONDS = 60.0


def main() -> int:
    parser, options = _read_options()
    try:
        ports = ports_from(options)
    except ValueError as error:
        parser.error(str(error))
    started = time.monotonic()
    folder = DataFolder(options.data)
    try:
        folder.lock()
        settings = _settings(folder, ports)
    except (AlreadyRunning, BadLocalSettings) as refusal:
        print(refusal, file=sys.stderr)
        return EXIT_REFUSED
    parts = stand_in_parts(
        _PROJECT, folder, ports, settings, scale=HostScale(options.workers, tuple(options.instances))
    )

    async def once_up(session: aiohttp.ClientSession) -> int | None:
        api_url = f"http://{HOST}:{ports.api}"
        await wait_until_healthy(session, f"{api_url}/api/health/ready", timeout_seconds=_READY_WITHIN_SECONDS)
        say(f"everything is up after {time.monotonic() - started:.1f} s")
        say(banner(parts, folder, settings.chosen))
        if not options.samples:
            return None
        return await _run_samples(session, folder, ports, exit_after=options.exit_after_samples)

    say("starting: " + ", ".join(part.title for part in parts))
    return launch(parts, folder, once_up=once_up, verbose=options.verbose)


def _read_options() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="python -m local_azure.up", description="Start the local stand-in for Azure.")
    parser.add_argument("--data", type=Path, default=Path(".local"), help="data folder (default .local)")
    parser.add_argument("--samples", action="store_true", help="send one notification per channel once up")
    parser.add_argument("--exit-after-samples", action="store_true", help="then stop; status 1 when one did not arrive")
    parser.add_argument("--verbose", action="store_true", help="show all log lines, not only warnings and errors")
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes of the Functions host (default 1)")
    parser.add_argument(
        "--instances",
        action="append",
        default=[],
        metavar="NAME=N",
        help="N worker processes for this function alone, or for 'http' or 'durable'; may be repeated",
    )
    add_port_options(parser)
    options = parser.parse_args()
    if options.exit_after_samples and not options.samples:
        parser.error("--exit-after-samples needs --samples")
    return parser, options


def _settings(folder: DataFolder, ports: Ports) -> Settings:
    return resolve_settings(
        keys=load_or_make_keys(folder),
        ports=ports,
        tenant_id=TENANT_ID,
        local_settings=read_local_settings(_PROJECT),
        environment=os.environ,
    )


async def _run_samples(
    session: aiohttp.ClientSession, folder: DataFolder, ports: Ports, *, exit_after: bool
) -> int | None:
    """The exit status, or None to stay up."""
    consumer = Consumer(
        session=session,
        api_url=f"http://{HOST}:{ports.api}",
        sandbox_url=f"http://{HOST}:{ports.sandbox}",
        headers=await ask_for_token(session, f"http://{HOST}:{ports.entra}", folder.path / "entra"),
        say=say,
    )
    say("samples: one notification per channel, each callback verified")
    all_arrived = await send_samples(consumer, _PROJECT, folder)
    if exit_after:
        return 0 if all_arrived else 1
    say("staying up; Ctrl-C stops everything")
    return None


if __name__ == "__main__":
    sys.exit(main())
