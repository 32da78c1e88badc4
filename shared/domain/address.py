"""Where a customer is reached: one address per channel, already checked for its form.

A channel declares its kind of address (shared/channels); the kinds that several may share are here. Each kind knows
how it is stored, so that a new one needs no change outside the channel's file.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.domain.quick_dataclass import quick_dataclass

Platform = Literal["fcm", "apns"]


class Address(ABC):
    """Base of all kinds of addresses; a kind is a frozen dataclass."""

    __slots__ = ()

    @property
    def destination(self) -> str | None:
        """The URL that the consumer or customer wrote, which accept must have checked; None when there is none."""
        return None

    @property
    def targets(self) -> "tuple[Address, ...]":
        """The places that are reached, or not, each on its own; most addresses are one place."""
        return (self,)

    def narrowed(self, numbers: Collection[int]) -> "Address":  # noqa: ARG002 - one place can't be narrowed
        """The address with only those of its targets that stand at ``numbers``."""
        return self

    @abstractmethod
    def stored(self) -> dict[str, Any]:
        """The address as JSON, for the store; the channel's ``restore_address`` reads it back."""


@quick_dataclass(frozen=True, slots=True)
class EmailAddress(Address):
    """A mailbox (RFC 5321 local-part@domain)."""

    mailbox: str

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"email": self.mailbox}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "EmailAddress":
        """What ``stored`` gave."""
        return cls(document["email"])


@dataclass(frozen=True, slots=True)
class PhoneNumber(Address):
    """A telephone number in E.164 form, with its plus sign."""

    e164: str

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"phone": self.e164}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "PhoneNumber":
        """What ``stored`` gave."""
        return cls(document["phone"])


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """One app installation: the platform's push service and its token for the device."""

    platform: Platform
    token: str


@dataclass(frozen=True, slots=True)
class Devices(Address):
    """The app installations of one customer; all of them are addressed by one push delivery."""

    tokens: tuple[DeviceToken, ...]

    @property
    def targets(self) -> tuple[Address, ...]:
        """Each device."""
        return tuple(Devices((token,)) for token in self.tokens)

    def narrowed(self, numbers: Collection[int]) -> Address:
        """The devices at ``numbers``."""
        return Devices(tuple(token for number, token in enumerate(self.tokens) if number in numbers))

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"devices": [{"platform": token.platform, "token": token.token} for token in self.tokens]}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "Devices":
        """What ``stored`` gave."""
        tokens = (DeviceToken(token["platform"], token["token"]) for token in document["devices"])
        return cls(tuple(dict.fromkeys(tokens)))  # documents from before accept dropped repetitions


@dataclass(frozen=True, slots=True)
class WebhookUrl(Address):
    """The recipient's own HTTP endpoint."""

    url: str

    @property
    def destination(self) -> str | None:
        """The endpoint itself."""
        return self.url

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"url": self.url}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "WebhookUrl":
        """What ``stored`` gave."""
        return cls(document["url"])


@dataclass(frozen=True, slots=True)
class UnreadAddress(Address):
    """The address of a channel that this version of the service doesn't have; it is kept as it was found."""

    document: Mapping[str, Any]

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return dict(self.document)
