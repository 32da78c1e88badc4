"""Kills parts of a running stand-in with SIGKILL; the supervisor starts them again."""

import asyncio
import os
import signal
from random import Random

from bench.stack import Stack

PARTS = ("functions_host", "servicebus", "cosmos")


async def kill_parts(stack: Stack, random: Random, *, times: int, seconds: float) -> list[str]:
    """The parts killed, in order: each of them ``times`` times, spread over ``seconds``; one that is down is spared."""
    plan = [part for part in PARTS for _ in range(times)]
    random.shuffle(plan)
    killed = []
    for part in plan:
        await asyncio.sleep(seconds / len(plan))
        if pid := stack.parts()[part]["pid"]:
            os.kill(pid, signal.SIGKILL)
            killed.append(part)
    return killed
