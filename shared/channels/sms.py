"""SMS: one E.164 number and a text of at most ten segments."""

import re
from collections.abc import Mapping

from shared.domain.address import PhoneNumber
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import Content, SmsContent
from shared.domain.notification import JsonValue

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")  # ITU-T E.164: at most 15 digits, country codes never start with 0
MAX_CHARACTERS = 1600  # ten segments of a plain text; providers refuse longer bodies


def _address(recipient: Recipient) -> PhoneNumber:
    if recipient.phone is None:
        raise AddressProblem("/recipient/phone", "is required for channel sms")
    if not _E164.fullmatch(recipient.phone):
        raise AddressProblem("/recipient/phone", "is not an E.164 number such as +4915112345678")
    return PhoneNumber(recipient.phone)


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> SmsContent:
    return SmsContent(parts["sms.txt"].strip())


def _refuses(content: Content) -> str | None:
    if isinstance(content, SmsContent) and len(content.text) > MAX_CHARACTERS:
        return f"the text is longer than {MAX_CHARACTERS} characters"
    return None


SMS = Channel(
    name="sms",
    max_attempts=5,
    parts=("sms.txt",),
    required_parts=("sms.txt",),
    address=_address,
    compose=_compose,
    refuses=_refuses,
)
