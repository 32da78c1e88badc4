"""Starts the emulator as a process of its own and stops it again."""

import base64
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
KEY = base64.b64encode(b"a key that only these tests use!").decode()


class EmulatorProcess:
    """One running emulator."""

    def __init__(self, data: Path, *options: str, port: int = 0) -> None:
        command = [sys.executable, "-m", "local_azure.cosmos", "--port", str(port), "--data", str(data), *options]
        environment = {**os.environ, "COSMOS_KEY": KEY, "PYTHONWARNINGS": "default"}
        self.process = subprocess.Popen(  # noqa: S603 - our own command line
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        assert line.startswith("ready: "), line
        self.ready_line = line
        self.url = line.split(" on ")[1].split()[0]
        self.port = int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(10)
        self.process.stdout.close()
        return code
