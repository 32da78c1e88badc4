"""What a figure depends on: the machine, the versions, the state of the sources."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_PACKAGES = (
    "azure-functions",
    "azure-functions-runtime",
    "azure-functions-durable",
    "azure-servicebus",
    "azure-cosmos",
    "pydantic",
    "jinja2",
    "aiohttp",
    "orjson",
    "uvloop",
    "httptools",
)


def describe_run(seed: int, *, is_quick: bool) -> dict[str, Any]:
    """The header of a report."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "quick": is_quick,
        "machine": f"{os.cpu_count()} cores {_cpu_model()}, {_memory_gigabytes():.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "sources": _sources(),
        "load_average": os.getloadavg(),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_gigabytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _sources() -> str:
    """The commit, and whether the working copy differs; a word when this is no working copy."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "not a git working copy"
    return f"{commit} with local changes" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.check_output(["git", *arguments], cwd=_ROOT, text=True, stderr=subprocess.DEVNULL).strip()  # noqa: S607 - git from PATH
