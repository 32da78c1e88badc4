"""Started by a test: an engine with 500 mixed instances, which says when all are accepted and is then killed.

Usage: ``python -m local_azure.tests.durable.killed_process <data folder>``
"""

import asyncio
import sys
from pathlib import Path

from local_azure.tests.durable.conftest import running_hub

KINDS = [
    ("say_hello", "Ada"),
    ("approval", 3600),
    ("fan_out", 5),
    ("sleeper", 1),
    ("parent", ["a", "b"]),
    ("counter_loop", {"round": 0, "until": 3}),
    ("retrying_fan_out", 3),
    ("entity_user", "shared"),
    ("many_slow", 4),
]
COUNT = 500


async def main(data_dir: Path) -> None:
    async with running_hub(data_dir, max_concurrent_activities=8) as hub:

        async def start(index: int) -> None:
            name, value = KINDS[index % len(KINDS)]
            instance_id = f"{name}-{index}"
            await hub.client.start_new(name, instance_id, value)
            print(instance_id, flush=True)

        await asyncio.gather(*(start(index) for index in range(COUNT)))
        print("busy", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
