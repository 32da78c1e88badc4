"""Event ids: generated orchestrations whose results show any disagreement between the engine and the SDK."""

import asyncio
import random
from typing import Any

import pytest

from local_azure.tests.durable.conftest import MakeHub
from local_azure.tests.durable.durable_app import InProcessInvoker, unique

pytestmark = pytest.mark.filterwarnings("ignore:Potential duplicate Task completion")


class Planner:
    """Makes random plans, with what each must return."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a reproducible plan, not a secret
        self._prefix = unique(f"plan{seed}")
        self._made = 0
        self._background: list[Any] = []

    def plan(self) -> tuple[list[list], list[Any]]:
        """The steps, and what the orchestration returns."""
        made = [self._step() for _ in range(self._random.randint(2, 8))]
        return [step for step, _ in made], [result for _, result in made] + self._background

    def _step(self) -> tuple[list, Any]:
        match self._random.choice(["leaf", "all", "race", "split", "background", "exhausted", "signal", "timer"]):
            case "all":
                return self._all(depth=0)
            case "race":
                leaf, result = self._leaf()
                return ["race", leaf], result
            case "split":
                leaves = [self._leaf() for _ in range(self._random.randint(2, 4))]
                return ["split", [leaf for leaf, _ in leaves]], [result for _, result in leaves]
            case "background":
                task, result = self._retried("retry")
                self._background.append(result)
                return ["background", [task, self._leaf()[0]]], "in the background"
            case "exhausted":
                return ["exhausted", self._retried("retry")[0][1] | {"failures": 9}], "gave up"
            case "signal":
                return ["signal", 1], "signalled"
            case "timer":
                return ["timer", self._random.randint(0, 5)], "waited"
            case _:
                return self._leaf()

    def _all(self, depth: int) -> tuple[list, Any]:
        children = [
            self._all(depth + 1) if depth < 2 and self._random.random() < 0.25 else self._leaf()
            for _ in range(self._random.randint(1, 5))
        ]
        return ["all", [child for child, _ in children]], [result for _, result in children]

    def _leaf(self) -> tuple[list, Any]:
        self._made += 1
        key = f"{self._prefix}-{self._made}"
        return self._random.choice(
            [
                (["square", self._made], self._made**2),
                (["sub", key], f"Hello {key}"),
                (["entity", key], 0),
                self._retried("retry"),
                self._retried("sub_retry"),
            ]
        )

    def _retried(self, kind: str) -> tuple[list, Any]:
        self._made += 1
        key, failures = f"{self._prefix}-{self._made}", self._random.randint(0, 3)
        return [kind, {"key": key, "failures": failures}], f"{key} after {failures + 1}"


@pytest.mark.parametrize("turn_seconds", [0, 0.01])
async def test_random_orchestrations_return_what_their_plan_says(make_hub: MakeHub, turn_seconds: float):
    """Slow turns gather several events into one episode, quick ones give each event its own."""
    inner = InProcessInvoker()

    async def invoke(kind: str, name: str, payload: str) -> str:
        if kind == "orchestrator":
            await asyncio.sleep(turn_seconds)
        return await inner(kind, name, payload)

    hub = await make_hub(invoke=invoke, max_concurrent_orchestrators=100)
    plans = [Planner(seed).plan() for seed in range(25)]
    outputs = await asyncio.gather(*(hub.output("runs_a_plan", steps) for steps, _ in plans))

    assert outputs == [results for _, results in plans]
