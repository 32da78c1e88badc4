"""Medians over rounds, and the ratios the targets are about. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.figures import Target, at_least, at_most
from bench.peers.subject import Outcome

Medians = Mapping[str, Mapping[str, float]]  # subject → dotted figure → median

# performance.md 6 (accept, single lane); the batch lane's from the same page's 0.4 s against 7.1 s, rounded up.
_TARGETS = at_least(3), at_most(1 / 2), at_most(1 / 15)


@dataclass(frozen=True)
class Ratio:
    """CNS over a peer."""

    what: str
    cns: float
    peer: float
    unit: str
    target: Target | None = None

    @property
    def value(self) -> float:
        return self.cns / self.peer

    @property
    def is_met(self) -> bool | None:
        return None if self.target is None else self.target.is_met_by(self.value)


def medians(rounds: Sequence[Sequence[Outcome]]) -> dict[str, dict[str, float]]:
    """Each figure's median over the rounds, by subject."""
    samples = samples_by_subject(rounds)
    return {name: {figure: median(values) for figure, values in each.items()} for name, each in samples.items()}


def samples_by_subject(rounds: Sequence[Sequence[Outcome]]) -> dict[str, dict[str, list[float]]]:
    """Every figure of every round, by subject."""
    samples: dict[str, dict[str, list[float]]] = {}
    for outcome in (each for outcomes in rounds for each in outcomes):
        for figure, value in outcome.figures().items():
            samples.setdefault(outcome.name, {}).setdefault(figure, []).append(value)
    return samples


def ratios(found: Medians, peer: str, single: str, batch: str, *, has_targets: bool) -> list[Ratio]:
    """CNS over ``peer``: what the targets are about first, then other pairings of the same figures.

    A peer costs less when accepting and draining are measured apart than when both happen at once, as in CNS. The
    targets are held against either.
    """
    them, ours, bulk = found[peer], found[single], found[batch]
    own, seconds = "together.cpu.own", "CPU s per 1,000"
    at_once, apart = _everything(them, "together"), _everything(them, "accept") + _everything(them, "drain")
    accept_target, single_target, batch_target = _TARGETS if has_targets else (None, None, None)
    everything = {name: _everything(found[name], "together") for name in (single, batch)}
    return [
        Ratio("accepting process: requests a second", ours["accept.rate"], them["accept.rate"], "req/s", accept_target),
        Ratio("singles: app worker / peer with its servers", ours[own], at_once, seconds, single_target),
        Ratio("singles: the same, peer's accept + drain", ours[own], apart, seconds, single_target),
        Ratio("batches: app worker / peer with its servers", bulk[own], at_once, seconds, batch_target),
        Ratio("batches: the same, peer's accept + drain", bulk[own], apart, seconds, batch_target),
        Ratio("accepting: app worker / peer's Python alone", ours["accept.cpu.own"], them["accept.cpu.own"], seconds),
        Ratio("accepting: all / all", _everything(ours, "accept"), _everything(them, "accept"), seconds),
        Ratio("singles: app worker / peer's Python alone", ours[own], them[own], seconds),
        Ratio("batches: app worker / peer's Python alone", bulk[own], them[own], seconds),
        Ratio("singles: app and stand-ins / peer with its servers", everything[single], at_once, seconds),
        Ratio("batches: app and stand-ins / peer with its servers", everything[batch], at_once, seconds),
        Ratio("singles: delivered a second, both cores", ours["together.rate"], them["together.rate"], "1/s"),
        Ratio("batches: delivered a second, both cores", bulk["together.rate"], them["together.rate"], "1/s"),
    ]


def _everything(figures: Mapping[str, float], phase: str) -> float:
    return figures[f"{phase}.cpu.own"] + figures[f"{phase}.cpu.beside"]
