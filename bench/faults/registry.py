"""All scenarios, in the order they are begun: the long ones first."""

from bench.faults.scenario import Scenario
from bench.faults.scenarios import (
    accepting,
    bus,
    callbacks,
    flood,
    in_turn,
    limited_lanes,
    outages,
    overload,
    poison,
    processes,
    providers,
    replay,
)

SCENARIOS: tuple[Scenario, ...] = (
    *accepting.SCENARIOS,
    *overload.SCENARIOS,
    *flood.SCENARIOS,
    *callbacks.SCENARIOS,
    *outages.SCENARIOS,
    *providers.SCENARIOS,
    *limited_lanes.SCENARIOS,
    *processes.SCENARIOS,
    *in_turn.SCENARIOS,
    *bus.SCENARIOS,
    *poison.SCENARIOS,
    *replay.SCENARIOS,
)


def named(name: str) -> Scenario:
    """Raises KeyError."""
    return {scenario.name: scenario for scenario in SCENARIOS}[name]
