"""Workers that send for as long as what they remember lets them, while somebody says no: who sent after the answer?"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.domain.suppressed_address import AddressMark
from shared.pipeline.consents import ACKNOWLEDGED_AFTER_SECONDS, LEASE_SECONDS
from tests.fakes.world import TENANT, World

WORKERS = 20


@dataclass
class Sends:
    """When sends began, and when the no was acknowledged, by the loop's clock."""

    acknowledged: float = 0.0
    began: list[float] = field(default_factory=list)


async def sends_around(
    world: World, mark: AddressMark, says_no: Callable[[], Awaitable[object]], chance: random.Random
) -> Sends:
    """Each worker checks, dawdles for as long as it may, and sends; the no comes at any time."""
    world.preferences.latency = 0.2
    time = asyncio.get_running_loop().time
    sends, stop = Sends(), asyncio.Event()

    async def work() -> None:
        consents = world.fresh_process().consents
        while not stop.is_set():
            if await consents.suppressed_for(TENANT, mark) is None:
                await asyncio.sleep(chance.uniform(0, (ACKNOWLEDGED_AFTER_SECONDS - LEASE_SECONDS) * 0.99))
                sends.began.append(time())
            await asyncio.sleep(chance.uniform(0, 0.3))

    workers = [asyncio.create_task(work()) for _ in range(WORKERS)]
    await asyncio.sleep(chance.uniform(0.5, 5))
    await says_no()
    sends.acknowledged = time()
    await asyncio.sleep(10)
    stop.set()
    await asyncio.gather(*workers)
    return sends
