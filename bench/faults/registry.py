"""All scenarios, in the order they are played."""

from bench.faults.scenario import Scenario
from bench.faults.scenarios import accepting, bus, callbacks, processes, providers

SCENARIOS: tuple[Scenario, ...] = (
    *accepting.SCENARIOS,
    *processes.SCENARIOS,
    *bus.SCENARIOS,
    *providers.SCENARIOS,
    *callbacks.SCENARIOS,
)


def named(name: str) -> Scenario:
    """Raises KeyError."""
    return {scenario.name: scenario for scenario in SCENARIOS}[name]
