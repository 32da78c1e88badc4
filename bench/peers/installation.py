"""What the peers need on this machine: Debian's servers and a Python environment of their own. Installed once.

No system service is started: while apt-get runs, a policy file (Debian's own means) forbids it, unless there is one.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_ENVIRONMENT = _ROOT / ".local" / "peers-venv"
_POLICY = Path("/usr/sbin/policy-rc.d")
_PACKAGES = ("postgresql", "redis-server", "rabbitmq-server")
RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class CannotInstall(Exception):
    """Something is missing and this user may not install it."""


def ensure_servers() -> None:
    """PostgreSQL, Redis and RabbitMQ are installed.

    Raises:
        CannotInstall: they are not, and this is not root on a Debian.
    """
    if _servers_are_there():
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotInstall(f"install first, as root: apt-get install --no-install-recommends {' '.join(_PACKAGES)}")
    print(f"installing {', '.join(_PACKAGES)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *_PACKAGES]
    with _no_services_started():
        for command in (["apt-get", "update", "-q"], install):
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def postgresql_folder() -> Path:
    """The newest installed server's programs. Raises: ValueError: there is none."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name))


def _servers_are_there() -> bool:
    has_postgresql = any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return has_postgresql and RABBITMQ_SERVER.exists() and shutil.which("redis-server") is not None


@contextlib.contextmanager
def _no_services_started() -> Iterator[None]:
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def ensure_python() -> Path:
    """The interpreter of the peers' environment, with requirements.txt as it is now.

    Raises:
        CannotInstall: pip failed.
    """
    interpreter, marker = _ENVIRONMENT / "bin" / "python", _ENVIRONMENT / "requirements.sha256"
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    if not marker.exists() or marker.read_text() != wanted:
        print("installing the peers' Python packages", flush=True)
        venv.create(_ENVIRONMENT, with_pip=True, clear=True)
        install = [interpreter, "-m", "pip", "install", "-q", "-r", _REQUIREMENTS]
        done = subprocess.run(install, check=False, capture_output=True, text=True)
        if done.returncode:
            raise CannotInstall(f"pip failed:\n{done.stderr[-2000:]}")
        marker.write_text(wanted)
    return interpreter
