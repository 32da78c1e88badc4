"""Push: the app installations of one customer, a title and a body."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.field_types import Inbound, Label, Line, MetadataValue, plain
from shared.domain.address import Devices, DeviceToken
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import PushContent
from shared.domain.notification import JsonValue

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")  # printable ASCII without spaces: the token travels in an HTTP header
MAX_DEVICES = 10


class DeviceTokenModel(Inbound):
    """One app installation."""

    platform: Literal["fcm", "apns"]
    token: Annotated[str, plain(4096)]


class PushContentModel(Inbound):
    """A literal push notification."""

    title: Line
    body: Annotated[str, plain(2000)]
    data: Annotated[dict[Label, MetadataValue], Field(default_factory=dict)]

    def to_content(self) -> PushContent:
        """The push notification."""
        return PushContent(self.title, self.body, self.data)


def _address(recipient: Recipient) -> Devices:
    written: list[DeviceTokenModel] = recipient.written.get("device_tokens", [])
    if not written:
        raise AddressProblem("/recipient/deviceTokens", "is required for channel push")
    for index, device in enumerate(written):
        if not _TOKEN.fullmatch(device.token):
            raise AddressProblem(f"/recipient/deviceTokens/{index}/token", "is not a device token")
    # A token that is written twice is still one device, which should not ring twice.
    return Devices(tuple(dict.fromkeys(DeviceToken(device.platform, device.token) for device in written)))


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> PushContent:
    return PushContent(title=parts["push.title.txt"].strip(), body=parts["push.body.txt"].strip())


PUSH = Channel(
    name="push",
    max_attempts=4,
    parts=("push.title.txt", "push.body.txt"),
    required_parts=("push.title.txt", "push.body.txt"),
    recipient={"device_tokens": Annotated[list[DeviceTokenModel], Field(max_length=MAX_DEVICES)]},
    address=_address,
    restore_address=Devices.restored,
    literal=PushContentModel,
    from_literal=PushContentModel.to_content,
    compose=_compose,
    restore_content=PushContent.restored,
)
