"""Email: one mailbox, a subject, and the same message as text and HTML."""

import re
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import model_validator

from shared.contracts.field_types import BodyText, Inbound, Line, plain
from shared.domain.address import EmailAddress
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import Content, EmailContent
from shared.domain.harmful_text import one_line
from shared.domain.notification import JsonValue

_MAX_LENGTH = 254  # RFC 5321 4.5.3.1.3, less the angle brackets
_MAX_LOCAL_LENGTH = 64  # RFC 5321 4.5.3.1.1
# The dot-atom form of RFC 5322 3.2.3 and a host name with at least one dot; quoted local parts are refused on purpose:
# no consumer has ever meant one, and header injection hides in them.
_MAILBOX = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)


class EmailContentModel(Inbound):
    """A literal email; nothing in it is interpreted."""

    subject: Line
    text: BodyText | None = None
    html: BodyText | None = None

    @model_validator(mode="after")
    def _has_a_body(self) -> Self:
        if self.text is None and self.html is None:
            raise ValueError("needs text or html")
        return self

    def to_content(self) -> EmailContent:
        """The email."""
        return EmailContent(self.subject, self.text, self.html)


_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f]")


def _address(recipient: Recipient) -> EmailAddress:
    mailbox = recipient.written.get("email")
    if mailbox is None:
        raise AddressProblem("/recipient/email", "is required for channel email")
    if (
        len(mailbox) > _MAX_LENGTH
        or not _MAILBOX.fullmatch(mailbox)
        or len(mailbox.rpartition("@")[0]) > _MAX_LOCAL_LENGTH
    ):
        raise AddressProblem("/recipient/email", "is not an email address")
    return EmailAddress(mailbox)


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> EmailContent:
    return EmailContent(
        subject=one_line(parts["email.subject.txt"]),
        text=parts.get("email.body.txt"),
        html=parts.get("email.body.html"),
    )


def _refuses(content: Content) -> str | None:
    if isinstance(content, EmailContent) and _CONTROL_CHARACTER.search(content.subject):
        return "the subject contains a control character"
    return None


EMAIL = Channel(
    name="email",
    max_attempts=6,
    parts=("email.subject.txt", "email.body.txt", "email.body.html"),
    required_parts=("email.subject.txt", "email.body.txt"),
    recipient={"email": Annotated[str, plain(320)]},
    address=_address,
    restore_address=EmailAddress.restored,
    literal=EmailContentModel,
    from_literal=EmailContentModel.to_content,
    compose=_compose,
    restore_content=EmailContent.restored,
    refuses=_refuses,
    brings_unsubscribe_link=True,
)
