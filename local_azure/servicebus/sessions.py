"""A backlog in sessions: messages of one session id go to the one receiver that holds the session's lock, in order.

Takes and gives what `Backlog` does, and adds accepting a session (by id or the next one free), its lock, and its
state (https://learn.microsoft.com/azure/service-bus-messaging/message-sessions). The end of a session lock counts as
a failed delivery for every message locked in it; closing the receiver does not.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from local_azure.servicebus.backlog import Backlog, Receiver
from local_azure.servicebus.inlet import Context, Numbering
from local_azure.servicebus.message import Message
from local_azure.servicebus.topology import QueueSettings


class SessionTaken(Exception):
    """Another receiver holds the session: condition `com.microsoft:session-cannot-be-locked`."""


class Waiter(Protocol):
    """A receiver that waits for any free session."""

    def session_granted(self, session: "Session") -> None: ...


@dataclass(eq=False)
class Session:
    """One session id with its messages that are ready, its lock and the state the application keeps in it."""

    session_id: str
    ready: list[int] = field(default_factory=list)
    holder: Receiver | None = None
    locked_until: int = 0
    state: bytes | None = None
    updated_at: int = 0
    tokens: set[bytes] = field(default_factory=set)


class SessionBacklog(Backlog):
    """The backlog of an entity with RequiresSession."""

    def __init__(
        self,
        path: str,
        settings: QueueSettings,
        context: Context,
        numbering: Numbering,
        *,
        dead_letters: Backlog | None = None,
        transfer_dead_letters: Backlog | None = None,
    ) -> None:
        super().__init__(
            path,
            settings,
            context,
            numbering,
            dead_letters=dead_letters,
            transfer_dead_letters=transfer_dead_letters,
        )
        self.sessions: dict[str, Session] = {}
        self._held: dict[Receiver, Session] = {}
        self._touched: set[Session] = set()
        self._waiters: deque[Waiter] = deque()
        for session_id, state, updated_at in context.store.load_sessions(numbering.entity):
            self.sessions[session_id] = Session(session_id, state=state, updated_at=updated_at)

    # Accepting

    def accept_session(self, session_id: str, holder: Receiver) -> Session:
        """The session, now locked for `holder`.

        Raises:
            SessionTaken: when another receiver holds it.
        """
        session = self._session(session_id)
        if session.holder is not None:
            raise SessionTaken(session_id)
        self.grant(session, holder)
        return session

    def next_session(self, holder: Receiver) -> Session | None:
        """The free session whose first message waits longest, locked for `holder`; None when there is none."""
        free = [session for session in self.sessions.values() if session.holder is None and self._first_ready(session)]
        if not free:
            return None
        session = min(free, key=lambda candidate: candidate.ready[0])
        self.grant(session, holder)
        return session

    def wait_for_session(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)

    def stop_waiting(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def close_session(self, session: Session) -> None:
        """The holder is gone: its messages are available again, uncounted."""
        self._let_go(session)
        for message in self._unlock_all(session):
            self._return(message)
        self._offer(session)

    def renew_session(self, session_id: str) -> int | None:
        """The new end of the session's lock, or None when nobody holds it."""
        session = self.sessions.get(session_id)
        if session is None or session.holder is None:
            return None
        session.locked_until = self._context.clock.now_ms() + self.settings.lock_ms
        for token in session.tokens:
            self.locked[token].locked_until = session.locked_until
        self._context.wake_at(session.locked_until)
        return session.locked_until

    def holds(self, session_id: str) -> bool:
        session = self.sessions.get(session_id)
        return session is not None and session.holder is not None

    def get_state(self, session_id: str) -> bytes | None:
        session = self.sessions.get(session_id)
        return session.state if session else None

    def set_state(self, session_id: str, state: bytes | None) -> None:
        session = self._session(session_id)
        session.state, session.updated_at = state, self._context.clock.now_ms()
        self._context.store.put_session(self._numbering.entity, session_id, state, session.updated_at)

    def list_sessions(self, updated_since: int | None) -> list[str]:
        """Sessions with messages, or (given an instant) those whose state changed since then."""
        if updated_since is None:
            return sorted({message.session_id for message in self.messages.values() if message.session_id})
        return sorted(session.session_id for session in self.sessions.values() if session.updated_at > updated_since)

    def _session(self, session_id: str) -> Session:
        return self.sessions.setdefault(session_id, Session(session_id))

    def grant(self, session: Session, holder: Receiver) -> None:
        """Lock the session for `holder`."""
        session.holder = holder
        self._held[holder] = session
        session.locked_until = self._context.clock.now_ms() + self.settings.lock_ms
        self._context.wake_at(session.locked_until)

    def _let_go(self, session: Session) -> None:
        if session.holder is not None:
            del self._held[session.holder]
        session.holder, session.locked_until = None, 0

    def _first_ready(self, session: Session) -> bool:
        while session.ready:
            message = self.messages.get(session.ready[0])
            if message is not None and not message.lock_token and not message.state:
                return True
            heapq.heappop(session.ready)
        return False

    def _offer(self, session: Session) -> None:
        """Give a session that has messages and no holder to the receiver that waits longest."""
        while self._waiters and session.holder is None and self._first_ready(session):
            self._waiters.popleft().session_granted(session)
        if session.holder is None and not session.ready and session.state is None and not session.updated_at:
            self.sessions.pop(session.session_id, None)

    # What Backlog does in another way

    def _make_ready(self, message: Message) -> None:
        session = self._session(message.session_id or "")
        heapq.heappush(session.ready, message.sequence)
        self._touched.add(session)

    def enlist(self, receiver: Receiver) -> None:
        session = self._held.get(receiver)
        if session is not None:
            self._pump_session(session)

    def dismiss(self, receiver: Receiver) -> None:
        session = self._held.get(receiver)
        if session is not None:
            self.close_session(session)

    def pump(self) -> None:
        """Serve the sessions that got something since the last time."""
        while self._touched:
            session = self._touched.pop()
            if session.holder is None:
                self._offer(session)
            else:
                self._pump_session(session)

    def _pump_session(self, session: Session) -> None:
        now = self._context.clock.now_ms()
        while session.holder is not None and session.ready and session.holder.wants_message():
            message = self._next_ready(session.ready, now)
            if message is not None:
                self._hand_over(message, session.holder, session.locked_until)

    def lock(self, message: Message, locked_until: int) -> None:
        """Lock for as long as the session is locked."""
        session = self._session(message.session_id or "")
        super().lock(message, session.locked_until or locked_until)
        if message.lock_token:
            session.tokens.add(message.lock_token)

    def _unlock(self, token: bytes) -> Message | None:
        message = super()._unlock(token)
        if message is not None:
            self._session(message.session_id or "").tokens.discard(token)
        return message

    def _unlock_all(self, session: Session) -> list[Message]:
        messages = []
        for token in session.tokens:
            message = self.locked.pop(token, None)
            if message is not None:
                message.lock_token, message.locked_until = None, 0
                messages.append(message)
        session.tokens.clear()
        return messages

    def run_due(self, now: int) -> int | None:
        """End session locks as well; the receiver that held the session is told."""
        for loser, session in list(self._held.items()):
            if session.locked_until <= now:
                self._let_go(session)
                for message in self._unlock_all(session):
                    self._count_failure(message)
                loser.session_lost()
                self._offer(session)
        ends = [session.locked_until for session in self._held.values()]
        due = super().run_due(now)
        if due is not None:
            ends.append(due)
        return min(ends, default=None)
