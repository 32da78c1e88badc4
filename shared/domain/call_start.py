"""The moment a provider call starts: who is about to send its first byte asks here whether it may.

Between the decision to call and the first byte lie a busy event loop, a pool of connections and perhaps a handshake.
A limit that is checked before all that is kept by the decision, not by the call. So the task that makes the call
leaves the question behind, and the client asks it last, whichever provider is in between.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar

MayStart = Callable[[], Awaitable[object]]

_question: ContextVar[MayStart | None] = ContextVar("may_start", default=None)


def calls_ask(may_start: MayStart | None) -> None:
    """Every call that this task makes from here on asks ``may_start`` first; with None, nobody asks."""
    _question.set(may_start)


async def call_may_start() -> None:
    """Returns when the call's first byte may leave, and leaves no time between.

    Raises:
        Throttled: it may not; nothing was sent.
    """
    may_start = _question.get()
    if may_start is not None:
        await may_start()
