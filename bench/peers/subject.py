"""What is compared, as the measurements see it, and what they find."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from bench.provider_client import Provider


@dataclass(frozen=True)
class Usage:
    """CPU seconds or megabytes: of the subject's own Python code, and of everything it needs beside it."""

    own: float
    beside: float  # peers: their servers. CNS: the stand-ins for Azure's managed services

    @property
    def everything(self) -> float:
        return self.own + self.beside

    def since(self, before: "Usage") -> "Usage":
        return Usage(self.own - before.own, self.beside - before.beside)

    def per_thousand(self, count: int) -> "Usage":
        return Usage(self.own / count * 1000, self.beside / count * 1000)


@dataclass(frozen=True)
class Accepting:
    """Accepting alone, delivery held."""

    rate: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu: Usage  # seconds per 1,000 accepted


@dataclass(frozen=True)
class Delivering:
    """Delivering what had been accepted, or accepting and delivering at once."""

    rate: float  # arrivals at the provider a second
    cpu: Usage  # seconds per 1,000 delivered


@dataclass(frozen=True)
class Outcome:
    """Everything about one subject in one round. ``drain`` is None where delivery cannot be held."""

    name: str
    accept: Accepting | None
    drain: Delivering | None
    together: Delivering
    memory: Usage  # megabytes, right after ``together``

    def figures(self) -> dict[str, float]:
        """Flat, by dotted name: what is repeated, and compared by median."""
        return dict(_flat("", asdict(self)))


class Subject(Protocol):
    """A running pipeline under test."""

    name: str
    port: int
    provider: Provider

    def request(self, number: int) -> bytes:
        """The raw HTTP request of the number-th notification (or batch)."""

    def cpu(self) -> Usage:
        """CPU seconds so far."""

    def memory(self) -> Usage:
        """Megabytes now."""

    def settle(self) -> None:
        """Returns when nothing is left to do. Raises when something stays undone."""


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else name, inner)
    elif isinstance(value, int | float):
        yield prefix, float(value)
