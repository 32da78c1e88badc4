"""WhatsApp: one E.164 number, and a text or a template that WhatsApp has approved.

WhatsApp takes a text only within 24 hours of the customer's last message; at any other time it takes approved templates
alone. Such a template is named by the provider's id for it (``contentSid``), in literal content: it belongs to the
provider's account, which our own templates know nothing of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from shared.channels.sms import PHONE, phone_number
from shared.contracts.field_types import Inbound, MetadataValue, plain
from shared.domain.address import PhoneNumber
from shared.domain.channel import Channel
from shared.domain.content import Content
from shared.domain.notification import JsonValue

MAX_CHARACTERS = 1600  # what providers take as one body
MAX_VARIABLES = 50


@dataclass(frozen=True, slots=True)
class WhatsAppContent(Content):
    """One message: ``text``, or the approved template ``content_sid`` with what fills it in."""

    text: str | None = None
    content_sid: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        if self.content_sid is None:
            return {"text": self.text}
        return {"contentSid": self.content_sid, "variables": dict(self.variables)}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "WhatsAppContent":
        """What ``stored`` gave."""
        return cls(document.get("text"), document.get("contentSid"), document.get("variables", {}))


class WhatsAppContentModel(Inbound):
    """A literal WhatsApp message: a text, or an approved template with its variables."""

    text: Annotated[str, plain(MAX_CHARACTERS)] | None = None
    content_sid: Annotated[str, StringConstraints(pattern=r"^HX[0-9a-fA-F]{32}$")] | None = None
    content_variables: Annotated[
        dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,32}$")], MetadataValue],
        Field(max_length=MAX_VARIABLES, default_factory=dict),
    ]

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.text is None) == (self.content_sid is None):
            raise ValueError("needs either text or contentSid")
        if self.content_variables and self.content_sid is None:
            raise ValueError("has contentVariables, which belong to a contentSid")
        return self

    def to_content(self) -> WhatsAppContent:
        """The message."""
        return WhatsAppContent(self.text, self.content_sid, self.content_variables)


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> WhatsAppContent:
    return WhatsAppContent(parts["whatsapp.txt"].strip())


def _refuses(content: Content) -> str | None:
    if isinstance(content, WhatsAppContent) and content.text is not None and len(content.text) > MAX_CHARACTERS:
        return f"the text is longer than {MAX_CHARACTERS} characters"
    return None


WHATSAPP = Channel(
    name="whatsapp",
    max_attempts=5,
    parts=("whatsapp.txt",),
    required_parts=("whatsapp.txt",),
    recipient={"phone": PHONE},
    address=lambda recipient: phone_number(recipient, "whatsapp"),
    restore_address=PhoneNumber.restored,
    literal=WhatsAppContentModel,
    from_literal=WhatsAppContentModel.to_content,
    compose=_compose,
    restore_content=WhatsAppContent.restored,
    refuses=_refuses,
)
