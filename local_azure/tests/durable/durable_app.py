"""An app of real durable functions, and an invoker that runs them with the official converters, as a worker would."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from azure.functions import meta

from local_azure.functions_host.durable import DurableFunctions
from local_azure.functions_host.errors import InvocationFailed

app = df.Blueprint()
runs: Counter[str] = Counter()
"""How often something ran, for tests that count."""


@app.activity_trigger(input_name="name")
def hello(name: str) -> str:
    runs["hello"] += 1
    return f"Hello {name}"


@app.activity_trigger(input_name="value")
async def square(value: int) -> int:
    await asyncio.sleep(0)
    return value * value


@app.activity_trigger(input_name="value")
async def late_square(value: int) -> int:
    """Ends after a while that depends on the value, so that completions come in another order than calls."""
    await asyncio.sleep(value * 37 % 10 / 1000)
    return value * value


@app.activity_trigger(input_name="plan")
def flaky(plan: dict) -> str:
    """Fails as often as the plan says, by key."""
    runs[plan["key"]] += 1
    if runs[plan["key"]] <= plan["failures"]:
        raise ValueError(f"boom {runs[plan['key']]}")
    return f"{plan['key']} after {runs[plan['key']]}"


@app.activity_trigger(input_name="seconds")
async def slow(seconds: float) -> str:
    runs["slow started"] += 1
    await asyncio.sleep(seconds)
    runs["slow ended"] += 1
    return "slow"


@app.activity_trigger(input_name="value")
def echo(value: Any) -> Any:
    return value


@app.orchestration_trigger(context_name="context")
def say_hello(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("hello", context.get_input()))


@app.orchestration_trigger(context_name="context")
def describe(context: df.DurableOrchestrationContext):
    return [context.get_input(), context.version, context.instance_id, context.parent_instance_id]
    yield


@app.orchestration_trigger(context_name="context")
def retrying(context: df.DurableOrchestrationContext):
    plan = context.get_input()
    options = df.RetryOptions(plan.get("interval", 1), plan["attempts"])
    return (yield context.call_activity_with_retry("flaky", options, plan))


@app.orchestration_trigger(context_name="context")
def retrying_fan_out(context: df.DurableOrchestrationContext):
    """Retried and plain activities mixed, then more work after them."""
    options = df.RetryOptions(1, 5)
    tasks = []
    for index in range(context.get_input()):
        plan = {"key": f"{context.instance_id}-{index}", "failures": index % 4}
        tasks.append(context.call_activity_with_retry("flaky", options, plan))
        tasks.append(context.call_activity("square", index))
    first = yield context.task_all(tasks)
    second = yield context.task_all([context.call_activity("square", index) for index in range(3)])
    return [first, second]


@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext):
    return sum((yield context.task_all([context.call_activity("square", i) for i in range(context.get_input())])))


@app.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext):
    """An event against a timer; the loser is cancelled."""
    deadline = context.current_utc_datetime + timedelta(seconds=context.get_input())
    timer = context.create_timer(deadline)
    event = context.wait_for_external_event("approved")
    winner = yield context.task_any([event, timer])
    if winner == event:
        timer.cancel()
        answer = yield context.call_activity("echo", event.result)
        return ["approved", answer]
    return ["timeout", None]


@app.orchestration_trigger(context_name="context")
def sleeper(context: df.DurableOrchestrationContext):
    started = context.current_utc_datetime
    yield context.create_timer(started + timedelta(seconds=context.get_input()))
    return (context.current_utc_datetime - started).total_seconds()


@app.orchestration_trigger(context_name="context")
def two_waits(context: df.DurableOrchestrationContext):
    context.set_custom_status({"phase": "waiting"})
    yield context.call_activity("echo", 1)
    first = yield context.wait_for_external_event("note")
    second = yield context.wait_for_external_event("note")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def works_then_waits_twice(context: df.DurableOrchestrationContext):
    yield context.call_activity("slow", 0.1)
    first = yield context.wait_for_external_event("note")
    second = yield context.wait_for_external_event("note")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def forgets_to_yield(context: df.DurableOrchestrationContext):
    context.call_activity("hello", "never")
    context.set_custom_status(0)
    return (yield context.call_activity("echo", "only this"))


@app.orchestration_trigger(context_name="context")
def starts_child_under(context: df.DurableOrchestrationContext):
    return (yield context.call_sub_orchestrator("say_hello", "x", instance_id=context.get_input()))


@app.orchestration_trigger(context_name="context")
def parent(context: df.DurableOrchestrationContext):
    """Children side by side, one with its own id, one failing and caught."""
    names = context.get_input()
    results = yield context.task_all([context.call_sub_orchestrator("say_hello", name) for name in names])
    named = yield context.call_sub_orchestrator("describe", 7, instance_id=f"{context.instance_id}-child")
    try:
        yield context.call_sub_orchestrator("failing", "child")
    except Exception as error:  # noqa: BLE001 - the SDK raises plain exceptions
        return [results, named, str(error)]
    return "the child did not fail"


@app.orchestration_trigger(context_name="context")
def parent_retrying(context: df.DurableOrchestrationContext):
    options = df.RetryOptions(1, 3)
    return (yield context.call_sub_orchestrator_with_retry("calls_flaky", options, context.get_input()))


@app.orchestration_trigger(context_name="context")
def calls_flaky(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("flaky", context.get_input()))


@app.orchestration_trigger(context_name="context")
def failing(context: df.DurableOrchestrationContext):
    context.set_custom_status("about to fail")
    yield context.call_activity("echo", 1)
    raise ValueError(f"no luck for {context.get_input()}")


@app.orchestration_trigger(context_name="context")
def counter_loop(context: df.DurableOrchestrationContext):
    """Continues as new until the count is reached; events between rounds must survive."""
    state = context.get_input()
    yield context.call_activity("echo", state["round"])
    if state["round"] < state["until"]:
        context.continue_as_new({**state, "round": state["round"] + 1})
        return None
    return state["round"]


@app.orchestration_trigger(context_name="context")
def event_collector(context: df.DurableOrchestrationContext):
    """Takes one event per execution and continues as new."""
    seen = context.get_input() or []
    event = yield context.wait_for_external_event("item")
    seen.append(event)
    if len(seen) < 5:
        context.continue_as_new(seen)
        return None
    return seen


@app.orchestration_trigger(context_name="context")
def replay_witness(context: df.DurableOrchestrationContext):
    """Which steps were seen when not replaying: each exactly once."""
    if not context.is_replaying:
        runs[f"{context.instance_id} start"] += 1
    for step in range(4):
        yield context.call_activity("echo", step)
        if not context.is_replaying:
            runs[f"{context.instance_id} step {step}"] += 1
    return "ok"


@app.orchestration_trigger(context_name="context")
def yields_a_child_of_a_compound(context: df.DurableOrchestrationContext):
    """The documented trap: wrong in Azure, and just as wrong here."""
    first, second = context.call_activity("square", 1), context.call_activity("square", 5)
    both = context.task_all([first, second])
    one = yield first
    return [one, (yield both)]


@app.orchestration_trigger(context_name="context")
def calls_what_is_missing(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("no_such_activity", 1))


@app.orchestration_trigger(context_name="context")
def entity_user(context: df.DurableOrchestrationContext):
    counter = df.EntityId("Counter", context.get_input())
    context.signal_entity(counter, "add", 5)
    yield context.call_activity("echo", 0)
    yield context.call_entity(counter, "add", 3)
    both = yield context.task_all([context.call_entity(counter, "get"), context.call_activity("square", 3)])
    try:
        yield context.call_entity(counter, "fail")
    except Exception as error:  # noqa: BLE001 - the SDK raises plain exceptions
        return [*both, str(error)]
    return "the entity did not fail"


@app.orchestration_trigger(context_name="context")
def fetches(context: df.DurableOrchestrationContext):
    return (yield context.call_http("POST", context.get_input(), content={"x": 1}))


@app.entity_trigger(context_name="context", entity_name="Counter")
def counter(context: df.DurableEntityContext):
    total = context.get_state(lambda: 0)
    match context.operation_name:
        case "add":
            context.set_state(total + context.get_input())
            context.set_result(total + context.get_input())
        case "get":
            context.set_result(total)
        case "fail":
            raise ValueError("entity says no")
        case "delete":
            context.destruct_on_exit()


@app.orchestration_trigger(context_name="context")
def cleans_up_then_fails(context: df.DurableOrchestrationContext):
    """Three activities side by side, one of which fails at first; the error is caught, cleaned up after, raised."""
    key = context.get_input()
    try:
        done = yield context.task_all(
            [
                context.call_activity("square", 3),
                context.call_activity("flaky", {"key": key, "failures": 1}),
                context.call_activity("square", 4),
            ]
        )
    except Exception as error:
        yield context.call_activity("echo", "clean up")
        raise ValueError("cleaned up") from error
    return [*done, (yield context.call_activity("square", 5))]


@app.orchestration_trigger(context_name="context")
def parent_of_calls_flaky(context: df.DurableOrchestrationContext):
    return ["parent", (yield context.call_sub_orchestrator("calls_flaky", context.get_input()))]


@app.orchestration_trigger(context_name="context")
def forgets_a_slow_activity(context: df.DurableOrchestrationContext):
    """Ends while an activity is still to run."""
    yield context.task_any([context.call_activity("slow", 0.2), context.call_activity("echo", 1)])
    return "done"


@app.orchestration_trigger(context_name="context")
def many_slow(context: df.DurableOrchestrationContext):
    yield context.task_all([context.call_activity("slow", 0.03) for _ in range(context.get_input())])


@app.orchestration_trigger(context_name="context")
def runs_a_plan(context: df.DurableOrchestrationContext):
    """Carries out a generated plan: the test knows what it must return."""
    results, background = [], []
    for kind, value in context.get_input():
        if kind == "background":  # goes on being retried while the plan goes on
            background.append(_task(context, value[0]))
            yield context.task_any([background[-1], _task(context, value[1])])
            results.append("in the background")
        else:
            results.append((yield from _take_step(context, kind, value)))
    for task in background:
        results.append((yield task))  # noqa: PERF401 - a comprehension cannot yield
    return results


def _task(context: df.DurableOrchestrationContext, leaf: list):
    kind, value = leaf
    options = df.RetryOptions(1, 4)
    match kind:
        case "square":
            return context.call_activity("late_square", value)
        case "retry":
            return context.call_activity_with_retry("flaky", options, value)
        case "sub":
            return context.call_sub_orchestrator("say_hello", value)
        case "sub_retry":
            return context.call_sub_orchestrator_with_retry("calls_flaky", options, value)
        case "entity":
            return context.call_entity(df.EntityId("Counter", f"{context.instance_id}-{value}"), "get")
        case "all":
            return context.task_all([_task(context, child) for child in value])


def _take_step(context: df.DurableOrchestrationContext, kind: str, value: Any):
    if kind == "signal":
        context.signal_entity(df.EntityId("Counter", "signalled"), "add", value)
        return "signalled"
    if kind == "timer":
        yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=value))
        return "waited"
    if kind == "exhausted":
        try:
            yield _task(context, ["retry", value])
        except Exception:  # noqa: BLE001 - the SDK raises plain exceptions
            return "gave up"
    if kind == "race":
        timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
        task = _task(context, value)
        yield context.task_any([timer, task])
        timer.cancel()
        return task.result
    if kind == "split":  # scheduled together, awaited one after the other
        tasks = [_task(context, child) for child in value]
        yield context.task_any(tasks)
        results = []
        for task in tasks:
            results.append((yield task))  # noqa: PERF401 - a comprehension cannot yield
        return results
    return (yield _task(context, [kind, value]))


class InProcessInvoker:
    """Runs the app's functions in this process; the signature is what the engine calls."""

    def __init__(self, blueprint: df.Blueprint = app) -> None:
        self._functions: dict[tuple[str, str], tuple[Callable[..., Any], str, Any]] = {}
        self.calls: Counter[str] = Counter()
        for builder in blueprint._function_builders:
            function = builder.build(func.AuthLevel.ANONYMOUS)
            trigger = function.get_trigger()
            kind = {"orchestrationTrigger": "orchestrator", "activityTrigger": "activity", "entityTrigger": "entity"}
            name = getattr(trigger, "entity_name", None) or function.get_function_name()
            converter = func.get_binding_registry().get(trigger.type)
            self._functions[kind[trigger.type], name] = (function.get_user_function(), trigger.name, converter)

    @property
    def functions(self) -> DurableFunctions:
        by_kind = {kind: {n for k, n in self._functions if k == kind} for kind, _ in self._functions}
        return DurableFunctions(by_kind["orchestrator"], by_kind["activity"], by_kind["entity"])

    async def __call__(self, kind: str, name: str, payload: str) -> str:
        self.calls[kind] += 1
        function, parameter, converter = self._functions[kind, name]
        argument = converter.decode(meta.Datum(payload, "string"), trigger_metadata=None)
        try:
            result = function(**{parameter: argument})
            if asyncio.iscoroutine(result):
                result = await result
        except Exception as error:
            raise InvocationFailed(repr(error)) from error
        return converter.encode(result, expected_type=None).value


def unique(prefix: str) -> str:
    """An instance id that no other test uses."""
    return f"{prefix}-{time.monotonic_ns()}"


def as_json(value: Any) -> str:
    return json.dumps(value)
