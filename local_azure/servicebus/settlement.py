"""A receiver's outcome as a change of the backlog, and the answer it gets.

| outcome | change | answer |
|---|---|---|
| accepted | complete | accepted |
| modified(delivery-failed) | abandon, one delivery more | modified |
| modified(undeliverable-here) | defer | modified |
| rejected | dead-letter with reason and description of its error info | rejected |
| released | unlock, uncounted | released |

A lock that is gone answers `rejected` with a condition, which the SDK raises as MessageLockLostError or
SessionLockLostError.
"""

from typing import Any

from local_azure.servicebus import frames
from local_azure.servicebus.backlog import Backlog
from local_azure.servicebus.codec import Described

_LOCK_LOST = frames.rejected(
    "com.microsoft:message-lock-lost",
    "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.",
)
_SESSION_LOST = frames.rejected("com.microsoft:session-lock-lost", "The session lock has expired on the session.")
_MODIFIED = frames.modified(failed=True, undeliverable=False)
_DEFERRED = frames.modified(failed=True, undeliverable=True)


def settle(backlog: Backlog, token: bytes, outcome: Any, *, session_id: str | None) -> bytes:
    """Apply the outcome; the encoded state to answer with. No outcome means the default one: released."""
    code, fields = (outcome.descriptor, outcome.value) if isinstance(outcome, Described) else (frames.RELEASED, [])
    if code == frames.ACCEPTED:
        held, answer = backlog.complete(token), frames.ACCEPTED_STATE
    elif code == frames.REJECTED:
        held, answer = backlog.dead_letter(token, _explanation(fields)), frames.REJECTED_STATE
    elif code == frames.MODIFIED:
        undeliverable = len(fields) > 1 and fields[1] is True
        changes = _texts(fields[2]) if len(fields) > 2 else {}
        held = backlog.defer(token, changes) if undeliverable else backlog.abandon(token, changes)
        answer = _DEFERRED if undeliverable else _MODIFIED
    else:
        held, answer = backlog.release(token), frames.RELEASED_STATE
    if held:
        return answer
    return _LOCK_LOST if session_id is None else _SESSION_LOST


def is_lost(answer: bytes) -> bool:
    """Whether an answer of `settle` says that the lock was gone."""
    return answer in (_LOCK_LOST, _SESSION_LOST)


def _explanation(fields: Any) -> dict[str, Any]:
    """The dead-letter properties of a rejection: the error's info map, or else its condition."""
    error = fields[0] if isinstance(fields, list) and fields else None
    if not isinstance(error, Described) or not isinstance(error.value, list):
        return {}
    condition, description, info = (error.value + [None] * 3)[:3]
    if isinstance(info, dict) and info:
        return _texts(info)
    if condition in (None, "com.microsoft:dead-letter"):
        return {}
    return {"DeadLetterReason": str(condition), "DeadLetterErrorDescription": str(description or "")}


def _texts(changes: Any) -> dict[str, Any]:
    if not isinstance(changes, dict):
        return {}
    return {str(key): value if isinstance(value, bool | str) else str(value) for key, value in changes.items()}
