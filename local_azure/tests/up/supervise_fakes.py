"""The supervisor over fake parts, as a process: python supervise_fakes.py DATA PARTS_JSON [--exit-when-up N]."""

import json
import os
import sys
from pathlib import Path

import aiohttp

from local_azure.up.data_folder import AlreadyRunning, DataFolder
from local_azure.up.launch import EXIT_REFUSED, launch, say
from local_azure.up.part import Part

_FAKE_PART = Path(__file__).with_name("fake_part.py")


def main() -> int:
    folder = DataFolder(Path(sys.argv[1]))
    parts = [_part(*entry) for entry in json.loads(sys.argv[2])]
    exit_when_up = int(sys.argv[4]) if sys.argv[3:4] == ["--exit-when-up"] else None

    async def once_up(session: aiohttp.ClientSession) -> int | None:
        say("all healthy")
        return exit_when_up

    try:
        folder.lock()
    except AlreadyRunning as refusal:
        print(refusal, file=sys.stderr)
        return EXIT_REFUSED
    return launch(parts, folder, once_up=once_up, first_wait_seconds=0.1)


def _part(name: str, port: int, stage: int, arguments: list[str]) -> Part:
    return Part(
        name=name,
        title=f"fake {name}",
        command=(sys.executable, str(_FAKE_PART), str(port), *arguments),
        environment=dict(os.environ),
        directory=Path.cwd(),
        ports={"HTTP": port},
        url=f"http://127.0.0.1:{port}",
        health_url=f"http://127.0.0.1:{port}/health",
        stage=stage,
    )


if __name__ == "__main__":
    sys.exit(main())
