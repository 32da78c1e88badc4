"""Asks a part's health address until it answers 200."""

import asyncio
from math import inf

import aiohttp

_POLL_SECONDS = 0.1
_ANSWER = aiohttp.ClientTimeout(total=5)


class NotHealthy(Exception):
    """No 200 within the time given; the text holds the last answer."""


async def wait_until_healthy(session: aiohttp.ClientSession, url: str, *, timeout_seconds: float = inf) -> None:
    """Returns when the address answered 200.

    Raises:
        NotHealthy: it did not in time.
    """
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    while True:
        healthy, answer = await _ask(session, url)
        if healthy:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise NotHealthy(f"{url} did not answer 200 within {timeout_seconds:.0f} s; last answer: {answer}")
        await asyncio.sleep(_POLL_SECONDS)


async def _ask(session: aiohttp.ClientSession, url: str) -> tuple[bool, str]:
    try:
        async with session.get(url, timeout=_ANSWER) as response:
            return response.status == 200, f"{response.status} {(await response.text())[:500]}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return False, f"{type(error).__name__}: {error}"
