"""Where a customer is reached: one address per channel, already checked for its form."""

from dataclasses import dataclass
from typing import Literal

Platform = Literal["fcm", "apns"]


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """A mailbox (RFC 5321 local-part@domain)."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A telephone number in E.164 form, with its plus sign."""

    e164: str


@dataclass(frozen=True, slots=True)
class DeviceToken:
    """One app installation: the platform's push service and its token for the device."""

    platform: Platform
    token: str


@dataclass(frozen=True, slots=True)
class Devices:
    """The app installations of one customer; all of them are addressed by one push delivery."""

    tokens: tuple[DeviceToken, ...]


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """The recipient's own HTTP endpoint."""

    url: str


Address = EmailAddress | PhoneNumber | Devices | WebhookUrl
