"""Slack: one incoming webhook, which stands for one conversation, and a text or blocks.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (read 2026-11-25)

The address is the webhook's URL, as the customer made it in their own workspace: whoever knows it may post there. A
name that stands for a URL in our settings would be shorter, but any tenant could then post to another's conversation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from shared.contracts.field_types import Inbound, JsonObject, plain
from shared.domain.address import Address
from shared.domain.channel import AddressProblem, Channel, Recipient
from shared.domain.content import Content
from shared.domain.notification import JsonValue

MAX_CHARACTERS = 40_000  # what Slack cuts off a text after
MAX_BLOCKS = 50
_HOOK = re.compile(r"https://hooks\.slack(?:-gov)?\.com/services/[A-Za-z0-9/]{1,200}")
# A stand-in on this machine, which the destination's check refuses unless the development setting allows it.
_STAND_IN = re.compile(r"https?://(?:127\.0\.0\.1|localhost):[0-9]{1,5}/services/[A-Za-z0-9/_-]{1,200}")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True, slots=True)
class SlackHook(Address):
    """An incoming webhook's URL, which is a secret as well."""

    url: str

    @property
    def destination(self) -> str | None:
        """The webhook itself."""
        return self.url

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"slackHook": self.url}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "SlackHook":
        """What ``stored`` gave."""
        return cls(document["slackHook"])


@dataclass(frozen=True, slots=True)
class SlackContent(Content):
    """One message. With ``blocks``, the text is what notifications and screen readers say."""

    text: str
    blocks: Sequence[Mapping[str, JsonValue]] = ()

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {"text": self.text} | ({"blocks": list(self.blocks)} if self.blocks else {})

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> "SlackContent":
        """What ``stored`` gave."""
        return cls(document["text"], tuple(document.get("blocks", ())))


class SlackContentModel(Inbound):
    """A literal message: Slack's markup in the text is the consumer's own, blocks are passed on as they are."""

    text: Annotated[str, plain(MAX_CHARACTERS)]
    blocks: Annotated[list[JsonObject], Field(max_length=MAX_BLOCKS, default_factory=list)]

    def to_content(self) -> SlackContent:
        """The message."""
        return SlackContent(self.text, tuple(self.blocks))


def _address(recipient: Recipient) -> SlackHook:
    url = recipient.written.get("slack_webhook_url")
    if url is None:
        raise AddressProblem("/recipient/slackWebhookUrl", "is required for channel slack")
    if not _HOOK.fullmatch(url) and not _STAND_IN.fullmatch(url):
        detail = "is not an incoming webhook such as https://hooks.slack.com/services/T0000/B0000/xxxx"
        raise AddressProblem("/recipient/slackWebhookUrl", detail)
    return SlackHook(url)


def _compose(parts: Mapping[str, str], _template: str, _data: Mapping[str, JsonValue]) -> SlackContent:
    # Values come from anywhere: an unescaped one could call everybody in the channel (<!channel>) or disguise a link.
    return SlackContent(parts["slack.txt"].strip().translate(_ESCAPES))


def _refuses(content: Content) -> str | None:
    if isinstance(content, SlackContent) and len(content.text) > MAX_CHARACTERS:
        return f"the text is longer than {MAX_CHARACTERS} characters"
    return None


SLACK = Channel(
    name="slack",
    max_attempts=5,
    parts=("slack.txt",),
    required_parts=("slack.txt",),
    recipient={"slack_webhook_url": Annotated[str, plain(300)]},
    address=_address,
    restore_address=SlackHook.restored,
    literal=SlackContentModel,
    from_literal=SlackContentModel.to_content,
    compose=_compose,
    restore_content=SlackContent.restored,
    refuses=_refuses,
)
