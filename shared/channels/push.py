"""Push: the app installations of one customer, a title and a body."""

import re
from collections.abc import Mapping

from shared.domain.address import Devices
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import PushContent
from shared.domain.notification import JsonValue

_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")  # printable ASCII without spaces: the token travels in an HTTP header


def _address(recipient: Recipient) -> Devices:
    if not recipient.device_tokens:
        raise AddressProblem("/recipient/deviceTokens", "is required for channel push")
    for index, device in enumerate(recipient.device_tokens):
        if not _TOKEN.fullmatch(device.token):
            raise AddressProblem(f"/recipient/deviceTokens/{index}/token", "is not a device token")
    return Devices(recipient.device_tokens)


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> PushContent:
    return PushContent(title=parts["push.title.txt"].strip(), body=parts["push.body.txt"].strip())


PUSH = Channel(
    name="push",
    max_attempts=4,
    parts=("push.title.txt", "push.body.txt"),
    required_parts=("push.title.txt", "push.body.txt"),
    address=_address,
    compose=_compose,
)
