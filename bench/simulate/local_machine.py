"""Predicted against measured on the machine that ran the load bench.

Takes the bench's report; from the CPU its processes needed for one notification it predicts rates and answer times
with shared_cores.py, and puts them beside the measured ones. What is tested is the step from CPU to throughput and
latency, not the CPU itself; the step to Azure's machines cannot be tested here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.quantiles import percentile
from bench.simulate.shared_cores import Job, SharedCores, Visit

_CORES = 2.0
_ITEMS, _CHUNK = 1000, 50
_CONNECTIONS = 32
_ACCEPT_STORE_SHARE = 1 / 3  # one create, two patches
Shares = Mapping[str, float]  # CPU seconds of one notification by process


@dataclass(frozen=True)
class Machine:
    """What the processes share: cores, and others who want to run all the time."""

    cores: float = _CORES
    background: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """One figure. Two predictions: for a machine of its own, and for one that others use as they did."""

    what: str
    unit: str
    measured: float
    alone: float
    loaded: float

    @property
    def errors(self) -> tuple[float, float]:
        """Of both predictions, in per cent of the measured."""
        return (self.alone / self.measured - 1) * 100, (self.loaded / self.measured - 1) * 100

    @property
    def is_between(self) -> bool:
        return min(self.alone, self.loaded) <= self.measured <= max(self.alone, self.loaded)


@dataclass
class Predicted:
    """Of one load."""

    rate: float = 0.0
    answers: list[float] = field(default_factory=list)  # seconds


def accept_visits(cpu: Shares, accept_app: float) -> list[Visit]:
    """A single request, up to its answer."""
    return [
        ("client", cpu.get("load generator", 0.0)),
        ("host", cpu["host"] / 4),
        ("app", accept_app * 0.6),
        ("Cosmos DB", cpu["Cosmos DB"] * _ACCEPT_STORE_SHARE),
        ("app", accept_app * 0.4),
        ("Service Bus", cpu["Service Bus"] / 4),
        ("host", cpu["host"] / 4),
    ]


def deliver_visits(cpu: Shares, deliver_app: float) -> list[Visit]:
    """A chunk's delivery; the provider is reached before its last three visits."""
    store = cpu["Cosmos DB"] * (1 - _ACCEPT_STORE_SHARE) / 2
    return [
        ("Service Bus", cpu["Service Bus"] / 2),
        ("host", cpu["host"] / 2),
        ("app", deliver_app * 0.35),
        ("Cosmos DB", store),
        ("app", deliver_app * 0.3),
        ("provider", cpu["provider"]),
        ("app", deliver_app * 0.35),
        ("Cosmos DB", store),
        ("Service Bus", cpu["Service Bus"] / 4),
    ]


def predict(  # noqa: PLR0917 - a load is its costs, its size, its machine
    cpu: Shares, accept_app: float, seconds: float, machine: Machine, apps: int = 1, connections: int = _CONNECTIONS,
    *, deliver: bool = True,
) -> Predicted:  # fmt: skip
    """Singles from a closed loop for some seconds, and their deliveries."""
    cores, result, last = SharedCores(machine.cores, machine.background, apps, seed=1), Predicted(), [0.0, 0]
    deliver_app = max(1e-5, cpu["app"] - accept_app)

    def delivered(at: float) -> None:
        last[0], last[1] = at, last[1] + 1

    def submit() -> None:
        began = cores.now

        def answered(at: float) -> None:
            result.answers.append(at - began)
            if deliver:
                cores.start(Job(deliver_visits(cpu, deliver_app), delivered))
            else:
                delivered(at)
            if at < seconds:
                submit()

        cores.start(Job(accept_visits(cpu, accept_app), answered))

    for _ in range(connections):
        submit()
    cores.run()
    result.rate = last[1] / last[0]
    return result


def predict_batches(cpu: Shares, accept_app: float, count: int, machine: Machine) -> Predicted:
    """Batches of 1,000 over two connections, and their chunks of 50. Costs are of one notification."""
    cores, result, last = SharedCores(machine.cores, machine.background, 1, seed=1), Predicted(), [0.0, 0]
    whole = [(name, seconds * _ITEMS) for name, seconds in accept_visits(cpu, accept_app)]
    chunk = [(name, seconds * _CHUNK) for name, seconds in deliver_visits(cpu, max(1e-6, cpu["app"] - accept_app))]
    waiting = [count]

    def delivered(at: float) -> None:
        last[0], last[1] = at, last[1] + _CHUNK

    def submit() -> None:
        if not waiting[0]:
            return
        waiting[0] -= 1
        began = cores.now

        def answered(at: float) -> None:
            result.answers.append(at - began)
            for _ in range(_ITEMS // _CHUNK):
                cores.start(Job(chunk, delivered))
            submit()

        cores.start(Job(whole, answered))

    submit()
    submit()
    cores.run()
    result.rate = last[1] / last[0]
    return result


def compare(report: Mapping[str, Any]) -> list[Comparison]:
    """Everything in the report that this model covers; nothing when the report lacks the singles' costs."""
    sections = {section["title"].split(":")[0].split(",")[0]: section for section in report["sections"]}
    if "Singles" not in sections:
        return []
    seconds, batches = (3.0, 4) if report["about"]["quick"] else (6.0, 10)
    singles = _shares(sections["Singles"])
    accept_app = _accept_app(sections, singles)
    rows = list(_singles(sections["Singles"], singles, accept_app, seconds))
    if "Accept alone" in sections:
        rows += _accept_only(sections["Accept alone"], singles, seconds)
    if "Batches of 1" in sections:
        rows += _batches(sections, batches)
    if "Workers of the Functions host" in sections:
        rows += _workers(sections["Workers of the Functions host"], singles, seconds)
    return rows


def _conditions(section: Mapping[str, Any]) -> tuple[Machine, Machine]:
    """The machine to itself, and with what others took of it.

    That is measured in newer reports; in older ones, and where no load was observed, the load average just before
    stands for it, which lags by a minute and counts the bench's own past.
    """
    others = section.get("used_by_others")
    if others is None:
        return Machine(), Machine(background=float(section["load_average_before"][0]))
    return Machine(), Machine(cores=_CORES * (1 - others))


def _singles(section: Mapping[str, Any], cpu: Shares, accept_app: float, seconds: float) -> Iterator[Comparison]:
    alone, loaded = (predict(cpu, accept_app, seconds, machine) for machine in _conditions(section))
    measured = _figure(section, "delivered a second, single")
    yield Comparison("singles, end to end", "1/s", measured, alone.rate, loaded.rate)
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        yield Comparison(
            f"singles, answer {name}",
            "ms",
            _figure(section, f"answer {name}, single"),
            percentile(alone.answers, share) * 1000,
            percentile(loaded.answers, share) * 1000,
        )


def _accept_only(section: Mapping[str, Any], cpu: Shares, seconds: float) -> Iterator[Comparison]:
    for connections in (1, 8, 32):
        name = f"closed c={connections} without key"
        accept_app = _figure(section, f"app CPU to accept 1,000, {name}") / 1000
        alone, loaded = (
            predict(cpu, accept_app, seconds / 2, machine, connections=connections, deliver=False)
            for machine in _conditions(section)
        )
        measured = _figure(section, f"accept rate, {name}")
        yield Comparison(f"accepting alone, {connections} connections", "1/s", measured, alone.rate, loaded.rate)


def _batches(sections: Mapping[str, Any], count: int) -> Iterator[Comparison]:
    section = sections["Batches of 1"]
    cpu = _shares(section)
    backlog = sections.get("Cost of a notification as the backlog grows")
    accept_app = (
        _figure(backlog, "app CPU to accept 1,000, up to 1,000 waiting") / 1000 if backlog else cpu["app"] * 0.2
    )
    alone, loaded = (predict_batches(cpu, accept_app, count, machine) for machine in _conditions(section))
    measured = _figure(section, "delivered a second, batch")
    yield Comparison("batches of 1,000, end to end", "1/s", measured, alone.rate, loaded.rate)


def _workers(section: Mapping[str, Any], singles: Shares, seconds: float) -> Iterator[Comparison]:
    """With the section's own CPU, the other processes' in proportion."""
    for count, plural in ((1, ""), (2, "s")):
        name = f"{count} worker{plural}"
        app = _figure(section, f"app CPU for 1,000, singles, {name}") / 1000
        factor = app / singles["app"]
        cpu = {process: value * factor for process, value in singles.items()}
        alone, loaded = (predict(cpu, app * 0.45, seconds, machine, apps=count) for machine in _conditions(section))
        measured = _figure(section, f"singles delivered a second, {name}")
        yield Comparison(f"singles, {name}", "1/s", measured, alone.rate, loaded.rate)


def _accept_app(sections: Mapping[str, Any], singles: Shares) -> float:
    """Of the app's CPU for a single, the part before the answer."""
    if "Accept alone" not in sections:
        return singles["app"] * 0.45
    return min(_figure(sections["Accept alone"], "app CPU to accept 1,000, closed c=32") / 1000, singles["app"] * 0.8)


def _shares(section: Mapping[str, Any]) -> dict[str, float]:
    return {name: row["CPU s for 1,000"] / 1000 for name, row in section["tables"]["By process"].items()}


def _figure(section: Mapping[str, Any], name: str) -> float:
    return float(next(figure["median"] for figure in section["figures"] if figure["name"].startswith(name)))
