"""What the supervisor knows of a part: how to start it, where it listens, how to see that it is healthy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """One process of the stand-in. Parts of one stage start together, when all earlier stages are healthy."""

    name: str
    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    ports: Mapping[str, int]  # purpose → port
    url: str
    health_url: str
    stage: int = 1
    pages: Mapping[str, str] = field(default_factory=dict)  # what a person may want to open → URL
