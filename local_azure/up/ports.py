"""The ports of the parts: defaults, command-line options, and who holds one that is taken.

Holders are found by reading /proc/net/tcp and /proc/<pid>/fd (Linux, proc(5)); elsewhere the message names no process.
"""

import argparse
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

HOST = "127.0.0.1"
_LISTENING = "0A"  # the state column of /proc/net/tcp


@dataclass(frozen=True)
class Ports:
    """One field per listening socket; the field's name is also its command-line option."""

    api: int = 7071
    host_admin: int = 7072
    entra: int = 7073
    servicebus: int = 5672
    servicebus_admin: int = 5300
    cosmos: int = 8081
    sandbox: int = 7080
    smtp: int = 7025


def add_port_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port-offset", type=int, default=0, metavar="N", help="add N to every default port")
    for field in fields(Ports):
        option = f"--{field.name.replace('_', '-')}-port"
        parser.add_argument(option, type=int, metavar="PORT", help=f"default {field.default}")


def ports_from(options: argparse.Namespace) -> Ports:
    """Raises: ValueError: a port outside 1..65535, or one port for two purposes."""
    chosen = {}
    for field in fields(Ports):
        given = getattr(options, f"{field.name}_port")
        chosen[field.name] = given if given is not None else field.default + options.port_offset
    for name, port in chosen.items():
        if not 1 <= port <= 65535:
            raise ValueError(f"port {port} for {name} is outside 1..65535")
    if len(set(chosen.values())) < len(chosen):
        raise ValueError(f"two parts were given the same port: {chosen}")
    return Ports(**chosen)


def is_free(port: int) -> bool:
    """Whether a part could listen on the port now; connections in TIME_WAIT do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def describe_holder(port: int) -> str:
    """The process listening on the port as "pid 123 (command line)", or "" when it cannot be found."""
    inodes = set(_listening_inodes(port))
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & set(_socket_inodes(process)):
            return f"pid {process.name} ({_command_line(process)})"
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if not table.exists():
            continue
        for line in table.read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]


def _socket_inodes(process: Path) -> Iterable[str]:
    inodes = []
    try:
        for descriptor in (process / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.append(target[len("socket:[") : -1])
    except OSError:  # the process ended meanwhile, or belongs to another user
        return inodes
    return inodes


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()[:120]
    except OSError:
        return "ended meanwhile"
