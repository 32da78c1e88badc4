"""Starts one part as a process that cannot outlive the supervisor, and ends it.

Each child leads its own process group: Ctrl-C in the terminal reaches the supervisor only (which stops the parts in
order), and whatever a part started ends with it. On Linux the kernel kills the child when the supervisor dies, however
that happens (prctl(2) PR_SET_PDEATHSIG); elsewhere only an orderly stop ends the children.
"""

import asyncio
import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import IO

from local_azure.up.part import Part

_PR_SET_PDEATHSIG = 1


async def start_process(part: Part, log: IO[bytes]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *part.command,
        cwd=part.directory,
        env={**part.environment, "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=_die_with_supervisor(os.getpid()) if sys.platform == "linux" else None,
    )


async def stop_process(process: asyncio.subprocess.Process, grace_seconds: float) -> bool:
    """Whether the part ended by itself after SIGTERM; otherwise it was killed. Its process group is gone either way."""
    ended_itself = True
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace_seconds)
        except TimeoutError:
            ended_itself = False
    kill_group(process)
    await process.wait()
    return ended_itself


def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kills the part and what it left behind, so that a restart finds its ports free."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def describe_exit(return_code: int) -> str:
    if return_code >= 0:
        return f"exited with status {return_code}"
    return f"was ended by {signal.Signals(-return_code).name}"


def _die_with_supervisor(supervisor_pid: int) -> "_DeathSignal":
    return _DeathSignal(ctypes.CDLL(None), supervisor_pid)  # the library is loaded here: not between fork and exec


class _DeathSignal:
    """Runs in the child between fork and exec."""

    def __init__(self, libc: ctypes.CDLL, supervisor_pid: int) -> None:
        self._libc = libc
        self._supervisor_pid = supervisor_pid

    def __call__(self) -> None:
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._supervisor_pid:  # it died before the kernel was told
            os._exit(1)
