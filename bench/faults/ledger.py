"""What a fault campaign believes: the provider's calls, the callbacks received, the API's answers, and nothing inside.

Pure. Takes what the outside saw, gives one line: accepted = final + in flight + lost, and every repetition explained or
counted as a duplicate of the service's own making. An attempt id is ``tenant.trackingId.channel.number``.
"""

import base64
import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

FINAL = frozenset({"sent", "delivered", "failed", "bounced", "expired", "suppressed", "cancelled"})
REACHED = frozenset({"sent", "delivered", "bounced"})
_CALLBACK_WORDS = {
    "sent": "SENT",
    "delivered": "DELIVERED",
    "failed": "FAILED",
    "expired": "FAILED",
    "bounced": "BOUNCED",
}

View = Mapping[str, Any]
Delivery = tuple[str, str]  # tracking id, channel


@dataclass
class Call:
    """One provider call. ``status`` is what was answered, None while (or for ever) nothing was.

    ``path`` tells the providers of one channel apart.
    """

    attempt_id: str
    at: float
    status: int | None = None
    ended: float | None = None
    path: str = ""

    @property
    def delivery(self) -> Delivery:
        _, tracking_id, channel, _ = self.attempt_id.rsplit(".", 3)
        return tracking_id, channel

    @property
    def number(self) -> int:
        return int(self.attempt_id.rpartition(".")[2])

    @property
    def is_taken(self) -> bool:
        return self.status is not None and self.status < 300

    @property
    def is_refused(self) -> bool:
        return self.status is not None and self.status >= 300


@dataclass
class Post:
    """One callback as a consumer's endpoint received it."""

    endpoint: str
    webhook_id: str
    timestamp: str
    signature: str
    body: str
    at: float
    status: int | None = None


@dataclass(frozen=True)
class Listener:
    """A callback endpoint that must hear everything: its name in the URL, its secret, its statuses."""

    name: str
    secret: str
    statuses: frozenset[str]


@dataclass(frozen=True)
class Line:
    """One scenario's ledger line."""

    accepted: int
    final: int
    in_flight: int
    lost: Sequence[str] = ()
    duplicates: Sequence[str] = ()  # attempt ids called again, and attempts that nothing explains
    unasked: Sequence[str] = ()  # notifications at the provider that no consumer was told of
    repeated_in_doubt: int = 0
    retried: int = 0  # further attempts after the provider refused
    callbacks: int = 0
    callbacks_missing: Sequence[str] = ()
    callbacks_repeated: int = 0
    bad_signatures: int = 0
    calls: int = 0

    def broken(self) -> list[str]:
        """What must never be and is."""
        named = {
            "lost": self.lost,
            "internal duplicates": self.duplicates,
            "sent without having been accepted": self.unasked,
            "callbacks missing": self.callbacks_missing,
        }
        found = [f"{len(each)} {what}, such as {each[0]}" for what, each in named.items() if each]
        if self.bad_signatures:
            found.append(f"{self.bad_signatures} bad signatures")
        if self.in_flight:
            found.append(f"{self.in_flight} still in flight at the end")
        return found


@dataclass
class Evidence:
    """Everything the outside saw during one scenario."""

    accepted: Collection[str]
    views: Mapping[str, View]
    calls: Sequence[Call]
    posts: Sequence[Post] = ()
    listeners: Sequence[Listener] = ()
    at_rest: bool = True  # nothing moved any more when the views were read: what is not final then is lost


@dataclass
class _Repetitions:
    duplicates: list[str] = field(default_factory=list)
    in_doubt: int = 0
    retried: int = 0


def reckon(evidence: Evidence) -> Line:
    """The line of one scenario."""
    accepted = set(evidence.accepted)
    taken = {call.delivery for call in evidence.calls if call.is_taken}
    final = {each for each in accepted if evidence.views.get(each, {}).get("status") in FINAL}
    untrue = {each for each in final if _says_reached_and_was_not(each, evidence.views[each], taken)}
    known = {each for each in accepted - final if each in evidence.views}
    lost = (accepted - final - known) | untrue | (known if evidence.at_rest else set())
    repetitions = _repetitions(evidence.calls, evidence.views)
    missing = missing_callbacks(evidence)
    told = Counter((post.endpoint, post.webhook_id) for post in evidence.posts)
    return Line(
        accepted=len(accepted),
        final=len(final - untrue),
        in_flight=0 if evidence.at_rest else len(known),
        lost=sorted(lost),
        duplicates=repetitions.duplicates,
        unasked=sorted({call.delivery[0] for call in evidence.calls} - accepted),
        repeated_in_doubt=repetitions.in_doubt,
        retried=repetitions.retried,
        callbacks=len(evidence.posts),
        callbacks_missing=missing,
        callbacks_repeated=sum(count - 1 for count in told.values()),
        bad_signatures=bad_signatures(evidence),
        calls=len(evidence.calls),
    )


def _says_reached_and_was_not(tracking_id: str, view: View, taken: set[Delivery]) -> bool:
    return any(each["status"] in REACHED and (tracking_id, each["channel"]) not in taken for each in view["deliveries"])


def _repetitions(calls: Iterable[Call], views: Mapping[str, View]) -> _Repetitions:
    found = _Repetitions()
    by_delivery: dict[Delivery, list[Call]] = defaultdict(list)
    for call in calls:
        by_delivery[call.delivery].append(call)
    for delivery, made in by_delivery.items():
        seen: set[str] = set()
        for earlier, call in zip([None, *made], made, strict=False):
            if call.attempt_id in seen:
                found.duplicates.append(call.attempt_id)
            elif earlier is None:
                pass
            elif earlier.is_refused:
                found.retried += 1
            elif delivery[0] not in views:
                pass  # unasked or lost, which is counted as such; nobody can say whether it was in doubt
            elif is_in_doubt(views[delivery[0]], delivery[1]):
                found.in_doubt += 1
            else:
                found.duplicates.append(call.attempt_id)
            seen.add(call.attempt_id)
    return found


def is_in_doubt(view: View, channel: str) -> bool:
    """Whether the status answer says that this delivery was in doubt."""
    return any(each["channel"] == channel and each.get("inDoubt") for each in view.get("deliveries", ()))


def missing_callbacks(evidence: Evidence) -> list[str]:
    """What each listener should have heard by the histories, and did not."""
    told = {(post.endpoint, post.webhook_id) for post in evidence.posts}
    return [
        f"{webhook_id} at {listener.name}"
        for listener in evidence.listeners
        for webhook_id in wanted_by(listener, evidence.views, evidence.accepted)
        if (listener.name, webhook_id) not in told
    ]


def wanted_by(listener: Listener, views: Mapping[str, View], accepted: Collection[str]) -> list[str]:
    """The webhook-ids that histories call for."""
    wanted = {
        f"{each}.{entry['channel']}.{_CALLBACK_WORDS[entry['status']]}"
        for each in accepted
        for entry in views.get(each, {}).get("history", ())
        if _CALLBACK_WORDS.get(entry["status"]) in listener.statuses
    }
    return sorted(wanted)


def bad_signatures(evidence: Evidence) -> int:
    """How many posts to listeners don't verify."""
    secrets = {listener.name: listener.secret for listener in evidence.listeners}
    return sum(post.endpoint in secrets and not verifies(secrets[post.endpoint], post) for post in evidence.posts)


def verifies(secret: str, post: Post) -> bool:
    """Standard Webhooks 1.0.0, by a verifier that shares nothing with the service."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{post.webhook_id}.{post.timestamp}.{post.body}".encode()
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return f"v1,{expected}" in post.signature.split()
