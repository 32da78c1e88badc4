"""Push: the app installations of one customer, a title and a body."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StringConstraints

from shared.contracts.field_types import Inbound, Instant, Label, Line, MetadataValue, plain
from shared.domain.address import Address, Devices, DeviceToken, Platform
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import Content, PushContent
from shared.domain.harmful_text import one_line
from shared.domain.notification import JsonValue

MAX_DEVICES = 10
PLATFORMS: tuple[Platform, ...] = ("fcm", "apns")
_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")  # printable ASCII without spaces: the token travels in an HTTP header
_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_@#.:-]{1,100}")  # what a hub allows in a tag, with room for the tag's name
# Names that the platforms or this service use themselves. FCM: https://firebase.google.com/docs/cloud-messaging/concept-options
_RESERVED = re.compile(r"attempt_id|aps|from|message_type|notification|collapse_key|(?:google|gcm).*")


@dataclass(frozen=True, slots=True)
class RegisteredDevices(Address):
    """All devices on which the customer's app has registered itself with the push provider, by platform."""

    customer_id: str
    platforms: tuple[Platform, ...] = PLATFORMS

    @property
    def targets(self) -> tuple[Address, ...]:
        """Each platform's devices."""
        return tuple(RegisteredDevices(self.customer_id, (platform,)) for platform in self.platforms)

    def narrowed(self, numbers: Collection[int]) -> Address:
        """The devices of the platforms at ``numbers``."""
        kept = tuple(platform for number, platform in enumerate(self.platforms) if number in numbers)
        return RegisteredDevices(self.customer_id, kept)

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"registeredOf": self.customer_id}


class DeviceTokenModel(Inbound):
    """One app installation, and when it was last seen where that is known."""

    platform: Literal["fcm", "apns"]
    token: Annotated[str, plain(4096)]
    last_seen: Instant | None = None


class PushContentModel(Inbound):
    """A literal push notification. Of several with one ``collapseKey`` a device that was away shows the last alone."""

    title: Line
    body: Annotated[str, plain(2000)]
    data: Annotated[dict[Label, MetadataValue], Field(default_factory=dict)]
    collapse_key: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,64}$")] | None = None  # travels as a header

    def to_content(self) -> PushContent:
        """The push notification."""
        return PushContent(self.title, self.body, self.data, self.collapse_key)


def _address(recipient: Recipient) -> Address:
    # Asked for by name it goes first: tokens beside it may be those of the customer's profile.
    if recipient.written.get("registered_devices"):
        return _registered(recipient.customer_id)
    written: list[DeviceTokenModel] = recipient.written.get("device_tokens", [])
    if not written:
        raise AddressProblem("/recipient/deviceTokens", "is required for channel push")
    for index, device in enumerate(written):
        if not _TOKEN.fullmatch(device.token):
            raise AddressProblem(f"/recipient/deviceTokens/{index}/token", "is not a device token")
    # A token that is written twice is still one device, which should not ring twice.
    return Devices(tuple(dict.fromkeys(DeviceToken(device.platform, device.token) for device in written)))


def _registered(customer_id: str | None) -> RegisteredDevices:
    if customer_id is None:
        raise AddressProblem("/recipient/customerId", "is required to reach the customer's registered devices")
    if not _CUSTOMER_ID.fullmatch(customer_id):
        raise AddressProblem("/recipient/customerId", "can't be a tag: letters, digits and _ @ # . : - are allowed")
    return RegisteredDevices(customer_id)


def _restored(document: Mapping[str, Any]) -> Address:
    if "registeredOf" in document:
        return RegisteredDevices(document["registeredOf"])
    return Devices.restored(document)


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> PushContent:
    return PushContent(title=one_line(parts["push.title.txt"]), body=parts["push.body.txt"].strip())


def _refuses(content: Content) -> str | None:
    data = content.data if isinstance(content, PushContent) else {}
    reserved = next((name for name in data if _RESERVED.fullmatch(name)), None)
    return None if reserved is None else f"the data can't have a field {reserved}, which means something else"


PUSH = Channel(
    name="push",
    max_attempts=4,
    parts=("push.title.txt", "push.body.txt"),
    required_parts=("push.title.txt", "push.body.txt"),
    recipient={
        "device_tokens": Annotated[list[DeviceTokenModel], Field(max_length=MAX_DEVICES)],
        "registered_devices": StrictBool,
    },
    address=_address,
    restore_address=_restored,
    literal=PushContentModel,
    from_literal=PushContentModel.to_content,
    compose=_compose,
    restore_content=PushContent.restored,
    refuses=_refuses,
)
