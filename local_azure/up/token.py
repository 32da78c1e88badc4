"""Command line: `python -m local_azure.up.token` prints the header that opens the local API, or a call that uses it."""

import argparse
import json
import shlex
import sys
from pathlib import Path

from local_azure.up.access import make_token
from local_azure.up.data_folder import DataFolder
from local_azure.up.ports import HOST, Ports
from local_azure.up.sample_requests import sample_requests

_PROJECT = Path(__file__).parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m local_azure.up.token", description="Print the header to send.")
    parser.add_argument("--data", type=Path, default=Path(".local"), help="data folder (default .local)")
    parser.add_argument("--curl", action="store_true", help="print a curl call with that header instead")
    options = parser.parse_args()
    folder = DataFolder(options.data)
    ports = _running_ports(folder)
    header = f"Authorization: Bearer {make_token(ports.entra, folder.path / 'entra')}"
    print(_curl(header, ports) if options.curl else header)
    return 0


def _running_ports(folder: DataFolder) -> Ports:
    """The ports in use, or the defaults (with a word on stderr) when nothing runs."""
    running = folder.read_run_file()
    if running is None:
        print(f"nothing runs on {folder.path}; this is for the default ports after `make up`", file=sys.stderr)
        return Ports()
    parts = running["parts"]
    return Ports(
        api=parts["functions_host"]["ports"]["HTTP"],
        entra=parts["entra"]["ports"]["HTTP"],
        sandbox=parts["sandbox"]["ports"]["HTTP"],
    )


def _curl(header: str, ports: Ports) -> str:
    body = sample_requests(_PROJECT, f"http://{HOST}:{ports.sandbox}")["email"]
    words = [
        *("curl", "-i", "-X", "POST", f"http://{HOST}:{ports.api}/api/v1/notifications"),
        *("-H", header, "-H", "Content-Type: application/json"),
        *("-d", json.dumps(body, ensure_ascii=False)),
    ]
    return shlex.join(words)


if __name__ == "__main__":
    sys.exit(main())
