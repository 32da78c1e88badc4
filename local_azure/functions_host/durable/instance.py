"""One orchestration instance and the numbers that a replay needs, as the engine keeps them between turns."""

from dataclasses import asdict, dataclass, field
from typing import Any

from local_azure.functions_host.durable.history import Event
from local_azure.functions_host.durable.json_text import dumps, loads

PENDING, RUNNING, SUSPENDED = "Pending", "Running", "Suspended"
COMPLETED, FAILED, TERMINATED = "Completed", "Failed", "Terminated"
LIVE = frozenset({PENDING, RUNNING, SUSPENDED})


@dataclass(slots=True)
class RetryGroup:
    """A with-retry call: its pending task is an attempt, or the timer before the next one."""

    kind: str
    name: str
    input: str | None
    interval_ms: int
    max_attempts: int
    instance_id: str | None = None
    version: str | None = None
    attempts: int = 1


@dataclass(slots=True)
class ReplayState:
    """What the next turn must know about the actions already taken (they are sent again, cumulatively, each turn)."""

    actions_done: int = 0
    next_id: int = 0
    retries: dict[int, RetryGroup] = field(default_factory=dict)
    """By the id of the pending attempt or timer."""
    timers: dict[int, int] = field(default_factory=dict)
    """Pending timers of the user's: position among the actions -> task id."""

    def to_text(self) -> str:
        return dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "ReplayState":
        stored: dict[str, Any] = loads(text)
        return cls(
            actions_done=stored["actions_done"],
            next_id=stored["next_id"],
            retries={int(key): RetryGroup(**group) for key, group in stored["retries"].items()},
            timers={int(key): value for key, value in stored["timers"].items()},
        )


@dataclass(frozen=True, slots=True)
class Parent:
    """Who started a sub-orchestration, and as which task."""

    instance_id: str
    execution: str
    task: int


@dataclass(slots=True)
class Work:
    """An activity, a durable HTTP call or a timer that an instance waits for; ``number`` is its row."""

    number: int
    instance_id: str
    execution: str
    kind: str
    task: int
    name: str = ""
    input: str | None = None
    due: str = ""
    is_cancelled: bool = False


@dataclass(slots=True)
class Message:
    """Something an instance has yet to see; its row is in the inbox, or (a timer) it is the work itself."""

    event: Event
    inbox_number: int | None = None
    work_number: int | None = None


@dataclass(slots=True)
class Instance:
    """A live instance. ``input``, ``output`` and ``custom_status`` are JSON texts."""

    id: str
    name: str
    input: str
    execution: str
    created: str
    updated: str
    version: str | None = None
    parent: Parent | None = None
    status: str = PENDING
    output: str = "null"
    custom_status: str = "null"
    replay: ReplayState = field(default_factory=ReplayState)
    history: list[str] | None = field(default_factory=list)
    """Rendered as played; None when it is only in the store."""
    history_length: int = 0
    inbox: list[Message] = field(default_factory=list)
    timers: dict[int, Work] = field(default_factory=dict)
    """Timers that have not fired, by task id."""
    is_turning: bool = False

    @property
    def is_live(self) -> bool:
        return self.status in LIVE


INSTANCE_ID_LIMIT = 100


def instance_id_problem(instance_id: str) -> str | None:
    r"""What is wrong with an instance id, or None.

    The documented rules: 1 to 100 characters, no ``/ \\ # ?`` and no control characters, not starting with ``@``
    (those are entities). Ids the engine makes for sub-orchestrations may be longer.
    """
    if not 1 <= len(instance_id) <= INSTANCE_ID_LIMIT:
        return f"An instance id has 1 to {INSTANCE_ID_LIMIT} characters."
    if instance_id.startswith("@"):
        return "An instance id must not start with '@'."
    if any(character in "/\\#?" or not character.isprintable() for character in instance_id):
        return "An instance id must not contain '/', '\\', '#', '?' or control characters."
    return None
