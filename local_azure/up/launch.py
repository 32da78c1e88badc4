"""Runs a table of parts in a data folder: the part of `python -m local_azure.up` that knows no Azure."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import aiohttp

from local_azure.up.data_folder import DataFolder
from local_azure.up.log_tail import LogTail
from local_azure.up.part import Part
from local_azure.up.preflight import PortsTaken, require_free_ports
from local_azure.up.supervisor import Supervisor, run_until_stopped

EXIT_REFUSED = 2

OnceUp = Callable[[aiohttp.ClientSession], Awaitable[int | None]]
"""Runs when every part is healthy; an exit status ends everything, None stays up."""


def say(line: str) -> None:
    print(line, flush=True)


def launch(
    parts: Sequence[Part],
    folder: DataFolder,
    *,
    once_up: OnceUp,
    verbose: bool = False,
    first_wait_seconds: float = 1.0,
) -> int:
    """The exit status of the supervisor. The folder is already locked; `first_wait_seconds` begins the back-off."""
    try:
        require_free_ports(parts)
    except PortsTaken as refusal:
        print(refusal, file=sys.stderr)
        return EXIT_REFUSED
    return asyncio.run(_run(parts, folder, once_up, verbose=verbose, first_wait_seconds=first_wait_seconds))


async def _run(
    parts: Sequence[Part], folder: DataFolder, once_up: OnceUp, *, verbose: bool, first_wait_seconds: float
) -> int:
    tail = LogTail([(part.name, folder.log_path(part.name)) for part in parts], verbose=verbose, show=say)
    following = asyncio.create_task(tail.follow())
    try:
        supervisor = Supervisor(parts, folder, announce=say, first_wait_seconds=first_wait_seconds)
        return await run_until_stopped(supervisor, once_up=once_up, announce=say)
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        tail.show_new_lines()
