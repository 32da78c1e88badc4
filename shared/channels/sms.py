"""SMS: one E.164 number and a text of at most ten segments."""

import re
from collections.abc import Mapping
from typing import Annotated

from shared.contracts.field_types import Inbound, plain
from shared.domain.address import PhoneNumber
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import Content, SmsContent
from shared.domain.notification import JsonValue

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # ITU-T E.164: at most 15 digits, country codes never start with 0
MAX_CHARACTERS = 1600  # ten segments of a plain text; providers refuse longer bodies


class SmsContentModel(Inbound):
    """A literal SMS."""

    text: Annotated[str, plain(MAX_CHARACTERS)]

    def to_content(self) -> SmsContent:
        """The SMS."""
        return SmsContent(self.text)


def phone_number(recipient: Recipient, channel: str) -> PhoneNumber:
    """The telephone number that ``channel`` reaches the recipient at. Raises AddressProblem."""
    number = recipient.written.get("phone")
    if number is None:
        raise AddressProblem("/recipient/phone", f"is required for channel {channel}")
    if not _E164.fullmatch(number):
        raise AddressProblem("/recipient/phone", "is not an E.164 number such as +4915112345678")
    return PhoneNumber(number)


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> SmsContent:
    return SmsContent(parts["sms.txt"].strip())


def _refuses(content: Content) -> str | None:
    if isinstance(content, SmsContent) and len(content.text) > MAX_CHARACTERS:
        return f"the text is longer than {MAX_CHARACTERS} characters"
    return None


PHONE = Annotated[str, plain(32)]
SMS = Channel(
    name="sms",
    max_attempts=5,
    parts=("sms.txt",),
    required_parts=("sms.txt",),
    recipient={"phone": PHONE},
    address=lambda recipient: phone_number(recipient, "sms"),
    restore_address=PhoneNumber.restored,
    literal=SmsContentModel,
    from_literal=SmsContentModel.to_content,
    compose=_compose,
    restore_content=SmsContent.restored,
    refuses=_refuses,
)
