"""Started by a test: an engine with 500 mixed instances, which reports their ids and is then killed.

Usage: ``python -m local_azure.tests.durable.killed_process <data folder>``
"""

import asyncio
import sys
from pathlib import Path

from local_azure.tests.durable.conftest import running_hub
from local_azure.tests.durable.durable_app import runs

KINDS = [
    ("say_hello", "Ada"),
    ("approval", 3600),
    ("fan_out", 5),
    ("sleeper", 0.3),
    ("parent", ["a", "b"]),
    ("counter_loop", {"round": 0, "until": 3}),
    ("retrying_fan_out", 3),
    ("entity_user", "shared"),
]


async def main(data_dir: Path) -> None:
    async with running_hub(data_dir) as hub:
        for index in range(500):
            name, value = KINDS[index % len(KINDS)]
            instance_id = f"{name}-{index}"
            await hub.client.start_new(name, instance_id, value)
            print(instance_id, flush=True)
        print("busy", flush=True)
        while runs is not None:
            await asyncio.sleep(1)


asyncio.run(main(Path(sys.argv[1])))
