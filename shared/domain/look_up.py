"""What a provider answers when asked whether it took an attempt whose answer was lost."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.address import Address
from shared.domain.identifiers import AttemptId


@dataclass(frozen=True, slots=True)
class AttemptInDoubt:
    """An attempt that may or may not have reached the provider; claimed before the call, so never after it."""

    attempt_id: AttemptId
    address: Address
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """The provider has it."""

    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The provider took it and will not carry it any further; ``reason`` as in a receipt."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The provider has nothing of it: to send it again can't double it."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The provider can't tell, or could not be asked."""


Finding = Taken | GivenUp | NotTaken | Unknown
