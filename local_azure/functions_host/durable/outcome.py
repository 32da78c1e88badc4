"""What an orchestrator turn came to: takes the text the function returned or raised, gives an Outcome.

Spec: azure-functions-durable 1.7.0, ``OrchestratorState`` and ``TaskOrchestrationExecutor``: a failing orchestrator
raises, and its message ends with the marker and the state reached so far.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_azure.functions_host.durable.json_text import dumps, loads

_MARKER = "\n\n$OutOfProcData$:"
_REPR = re.compile(r"(?P<kind>[A-Za-z_][\w.]*)\((?P<arguments>.*)\)", re.DOTALL)
_WHEN_ANY, _WHEN_ALL = 11, 12

Action = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state an orchestrator returned."""

    is_done: bool
    leaves: list[Action]
    output: str
    """JSON text."""
    custom_status: str | None
    """JSON text; None leaves the status as it was."""
    error: str | None


def outcome_of_return(text: str) -> Outcome:
    """The outcome of a turn that returned.

    Raises:
        ValueError: The text is no orchestrator state.
    """
    return _from_state(loads(text), error=None)


def outcome_of_failure(message: str) -> Outcome:
    """The outcome of a turn that raised; the message is ``repr(exception)`` or the message itself."""
    _, text = split_repr(message)
    reason, marker, state = text.rpartition(_MARKER)
    if marker:
        try:
            parsed = loads(state)
            return _from_state(parsed, error=parsed.get("error") or reason)
        except (ValueError, AttributeError):
            pass  # the marker was part of the app's own text: then the whole text is the error
    return Outcome(is_done=True, leaves=[], output="null", custom_status=None, error=describe_failure(message))


def describe_failure(message: str) -> str:
    """``ValueError: boom`` for ``ValueError('boom')``; other text as it is."""
    kind, text = split_repr(message)
    return f"{kind}: {text}" if kind else text


def split_repr(message: str) -> tuple[str, str]:
    """The exception's class and text when the message is a ``repr`` with one text argument, else "" and the message."""
    match = _REPR.fullmatch(message)
    if match is None:
        return "", message
    try:
        argument = ast.literal_eval(match["arguments"])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return "", message
    return (match["kind"], argument) if isinstance(argument, str) else ("", message)


def _from_state(state: Any, *, error: str | None) -> Outcome:
    if not isinstance(state, dict) or not isinstance(state.get("actions"), list):
        message = "The orchestrator did not return an orchestrator state."
        raise ValueError(message)  # noqa: TRY004 - it is the text that is wrong, not the caller's type
    custom = state.get("customStatus")
    return Outcome(
        is_done=bool(state.get("isDone")),
        leaves=[leaf for actions in state["actions"] for leaf in _leaves(actions)],
        output=dumps(state.get("output")),
        custom_status=None if custom is None else dumps(custom),
        error=error,
    )


def _leaves(actions: list[Action]) -> Iterator[Action]:
    """The actions in the order in which the SDK numbers them: depth first."""
    for action in actions:
        if action.get("actionType") in (_WHEN_ANY, _WHEN_ALL):
            yield from _leaves(action["compoundActions"])
        else:
            yield action
