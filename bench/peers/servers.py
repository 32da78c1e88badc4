"""Private PostgreSQL, Redis and RabbitMQ: free loopback ports, data in the peer's folder, no user of theirs is root.

Defaults except where their documentation advises otherwise: Redis keeps an append-only file (fsync each second), so
that tasks in it survive; RabbitMQ's schedulers do not busy-wait, which only burns CPU on a shared machine; no plugins.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.peers.installation import RABBITMQ_SERVER, postgresql_folder
from bench.peers.programs import Programs, accepts_connections, as_user, wait_until

HOST = "127.0.0.1"


def start_postgresql(programs: Programs, ports: Iterator[int]) -> int:
    """The port of a fresh cluster that trusts its loopback clients as user "bench"; fsync stays on."""
    port, data, programs_folder = next(ports), _owned_folder(programs, "postgresql", "postgres"), postgresql_folder()
    initialise = [programs_folder / "initdb", "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C"]
    subprocess.run(
        initialise,
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=data,
        env={"PATH": os.environ["PATH"]},
        **as_user("postgres"),
    )
    command = [programs_folder / "postgres", "-D", data, "-p", str(port), "-h", HOST, "-k", ""]
    program = programs.start("postgresql", command, {}, user="postgres", is_server=True)
    ready = [programs_folder / "pg_isready", "-q", "-h", HOST, "-p", str(port), "-U", "bench", "-d", "postgres"]
    wait_until(program, lambda: subprocess.run(ready, check=False).returncode == 0)
    return port


def start_redis(programs: Programs, ports: Iterator[int]) -> int:
    """The port of a Redis with an append-only file."""
    port, data = next(ports), _owned_folder(programs, "redis", "redis")
    command = ["redis-server", "--port", str(port), "--bind", HOST, "--dir", str(data)]
    command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    program = programs.start("redis", command, {}, user="redis", is_server=True)
    wait_until(program, lambda: accepts_connections(port) and _redis_answers(port))
    return port


def start_rabbitmq(programs: Programs, ports: Iterator[int]) -> int:
    """The AMQP port of a RabbitMQ with a port mapper (epmd) of its own; guest may log in from loopback."""
    port, distribution, mapper_port = next(ports), next(ports), next(ports)
    data = _owned_folder(programs, "rabbitmq", "rabbitmq")
    mapping = {"ERL_EPMD_PORT": str(mapper_port), "ERL_EPMD_ADDRESS": HOST}
    mapper = programs.start("epmd", [_required("epmd")], mapping, user="rabbitmq", is_server=True)
    wait_until(mapper, lambda: accepts_connections(mapper_port))
    (data / "no-environment").touch()
    (data / "plugins").write_text("[].\n")
    environment = mapping | {
        "HOME": str(data),
        "RABBITMQ_NODENAME": "peers@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_LOG_BASE": str(data / "log"),
        "RABBITMQ_CONFIG_FILE": str(data / "no-configuration"),
        "RABBITMQ_CONF_ENV_FILE": str(data / "no-environment"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "plugins"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none "
        "-kernel inet_dist_use_interface {127,0,0,1}",
        "RUNNING_UNDER_SYSTEMD": "1",  # the script then becomes the server instead of watching it
    }
    program = programs.start("rabbitmq", [RABBITMQ_SERVER], environment, user="rabbitmq", is_server=True)
    wait_until(program, lambda: accepts_connections(port) and _amqp_answers(port))
    return port


def _owned_folder(programs: Programs, name: str, user: str) -> Path:
    folder = programs.folder / name
    folder.mkdir(mode=0o700)
    if as_user(user):
        shutil.chown(folder, user, user)
    return folder


def _required(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(name)
    return found


def _redis_answers(port: int) -> bool:
    return _exchange(port, b"PING\r\n", b"+PONG")


def _amqp_answers(port: int) -> bool:
    return _exchange(port, b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00")


def _exchange(port: int, question: bytes, beginning: bytes) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(question)
            return connection.recv(16).startswith(beginning)
    except OSError:
        return False
