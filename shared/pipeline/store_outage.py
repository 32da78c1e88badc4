"""Waiting for a store that is away.

An abandoned message comes back at once, so raising during an outage would burn a message's ten deliveries in seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from shared.domain.errors import StoreUnavailable

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 3.0

Result = TypeVar("Result")


async def while_store_is_away(operation: Callable[[], Awaitable[Result]], patience: timedelta) -> Result:
    """What ``operation`` gives, tried again while the store is away.

    Raises:
        StoreUnavailable: it was still away after ``patience``.
    """
    deadline = asyncio.get_running_loop().time() + patience.total_seconds()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await operation()
        except StoreUnavailable:
            if asyncio.get_running_loop().time() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
