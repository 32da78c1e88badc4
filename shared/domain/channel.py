"""What a channel is: the one place where the pipeline learns how channels differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.domain.address import Address, DeviceToken
from shared.domain.content import Content
from shared.domain.notification import JsonValue


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a notification is for, as the consumer wrote it; nothing in it is checked yet."""

    customer_id: str | None = None
    email: str | None = None
    phone: str | None = None
    device_tokens: tuple[DeviceToken, ...] = ()
    webhook_url: str | None = None


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
        address: the checked address out of a recipient. Raises AddressProblem.
        compose: the content out of rendered parts, the template's id and the notification's data.
        refuses: why a content can't go out on this channel; None when it can.
    """

    name: str
    max_attempts: int
    parts: tuple[str, ...]
    required_parts: tuple[str, ...]
    address: Callable[[Recipient], Address]
    compose: Callable[[Mapping[str, str], str, Mapping[str, JsonValue]], Content]
    refuses: Callable[[Content], str | None] = lambda _: None
