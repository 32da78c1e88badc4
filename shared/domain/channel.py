"""What a channel is: the one place where the service learns how channels differ.

A channel declares everything about itself: the fields it brings to a request's recipient, the literal content a request
may carry for it, how its addresses and contents are checked, made and stored. Requests, store and pipeline read these
declarations and know no channel by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.domain.address import Address
from shared.domain.content import Content
from shared.domain.notification import JsonValue


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a notification is for, as the consumer wrote it; beyond the shapes of its fields nothing is checked yet.

    ``written`` holds, by name, the fields that channels declare and the request has, in the declared types.
    """

    customer_id: str | None = None
    written: Mapping[str, Any] = field(default_factory=dict)


class AddressProblem(ValueError):
    """The recipient can't be reached on a channel; ``pointer`` says where in the request."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Channel:
    """How one channel differs from the others.

    Attributes:
        name: as in requests, subscriptions and statuses.
        max_attempts: provider calls at most, the first included (S1-18: a maximum per channel).
        parts: the template files it is rendered from; none when the data itself is the content.
        required_parts: those a template must have to serve this channel.
        recipient: the fields it brings to a request's recipient, each with its type for pydantic. Channels may share a
            field; the first one is the address.
        address: the checked address out of a recipient. Raises AddressProblem.
        restore_address: the address out of what its ``stored`` gave.
        literal: the type of ``content.<name>`` in a request, for pydantic.
        from_literal: the content out of what a request has there.
        compose: the content out of rendered parts, the template's id and the notification's data.
        restore_content: the content out of what its ``stored`` gave.
        refuses: why a content can't go out on this channel; None when it can.
        brings_unsubscribe_link: messages that one may unsubscribe from carry a link for it.
    """

    name: str
    max_attempts: int
    parts: tuple[str, ...]
    required_parts: tuple[str, ...]
    recipient: Mapping[str, Any]
    address: Callable[[Recipient], Address]
    restore_address: Callable[[Mapping[str, Any]], Address]
    literal: Any
    from_literal: Callable[[Any], Content]
    compose: Callable[[Mapping[str, str], str, Mapping[str, JsonValue]], Content]
    restore_content: Callable[[Mapping[str, Any]], Content]
    refuses: Callable[[Content], str | None] = lambda _: None
    brings_unsubscribe_link: bool = False

    @property
    def pointer(self) -> str:
        """Where in a request the channel's address stands."""
        first, *others = next(iter(self.recipient)).split("_")
        return "/recipient/" + first + "".join(map(str.title, others))
