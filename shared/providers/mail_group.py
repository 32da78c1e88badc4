"""Which emails may share one call, and what the call says: a common mail, and each recipient's own values in it.

Takes messages, gives groups of them; takes one group, gives the common mail and what is each recipient's own. For
providers that replace tokens by values verbatim, once, in the text and HTML parts.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from shared.domain.address import EmailAddress
from shared.domain.common_text import find_common_texts
from shared.domain.content import EmailContent, pieces_of
from shared.ports import OutboundMessage

LONGEST_VALUE = 4_000  # characters; mails that differ in a longer piece have too little in common
_MAX_CHARACTER_BYTES = 6  # a control character in JSON; all others take less
_MAX_TOKEN_BYTES = 32  # with the quotes and signs around it and its value


@dataclass(frozen=True, slots=True)
class PersonalPart:
    """What one recipient's mail has of its own. ``values`` are JSON: an object of tokens and their values."""

    mailbox: str
    attempt_id: str
    subject: str
    values: bytes
    unsubscribe_url: str | None = None

    @property
    def size_bytes(self) -> int:
        """What counts against a provider's limit for each recipient."""
        return len(self.values) + len(self.subject.encode())


@dataclass(frozen=True, slots=True)
class MailGroup:
    """One call. ``subject`` is there when all have the same."""

    subject: str | None
    text: str
    html: str
    parts: Sequence[PersonalPart]


@dataclass(slots=True)
class _Room:
    """A group that is still being filled."""

    members: list[int] = field(default_factory=list)
    mailboxes: set[str] = field(default_factory=set)


def divide_mails(messages: Sequence[OutboundMessage], limit: int, max_personal_bytes: int) -> Sequence[Sequence[int]]:
    """The positions of ``messages`` in groups of at most ``limit``, each position once.

    In a group no mailbox occurs twice, and what is a recipient's own takes at most ``max_personal_bytes``.
    """
    rooms: dict[Hashable, list[_Room]] = {}
    groups: list[list[int]] = []
    for index, message in enumerate(messages):
        likeness = _likeness(message)
        if likeness is None:
            groups.append([index])
        else:
            _settle(index, message, rooms.setdefault(likeness, []), limit)
    for alike in rooms.values():
        for room in alike:
            groups += _as_far_as_small(room.members, messages, max_personal_bytes)
    return groups


def _likeness(message: OutboundMessage) -> Hashable:
    """Equal for mails that may share a call; None for one that can only go alone."""
    content = message.content
    if not isinstance(message.address, EmailAddress) or not isinstance(content, EmailContent) or not content.subject:
        return None
    text, html = pieces_of(content.text), pieces_of(content.html)
    long = tuple(piece for piece in (*text, *html) if len(piece) > LONGEST_VALUE)
    return len(text), len(html), long


def _settle(index: int, message: OutboundMessage, rooms: list[_Room], limit: int) -> None:
    mailbox = _mailbox(message).lower()
    room = next((room for room in rooms if len(room.members) < limit and mailbox not in room.mailboxes), None)
    if room is None:
        rooms.append(room := _Room())
    room.members.append(index)
    room.mailboxes.add(mailbox)


def _as_far_as_small(
    members: list[int], messages: Sequence[OutboundMessage], max_personal_bytes: int
) -> list[list[int]]:
    """The members together, but for those that would have too much of their own."""
    mails = [messages[index] for index in members]
    if len(members) == 1 or _is_surely_small(mails, max_personal_bytes):
        return [members]
    sizes = zip(members, describe_group(mails).parts, strict=True)
    large = {index for index, part in sizes if part.size_bytes > max_personal_bytes}
    together = [index for index in members if index not in large]
    return [each for each in (together, *([index] for index in large)) if each]


def _is_surely_small(mails: Sequence[OutboundMessage], max_personal_bytes: int) -> bool:
    """Whether nobody's own can be too much, at six bytes for each character and a token for each value."""
    contents = [mail.content for mail in mails if isinstance(mail.content, EmailContent)]
    texts = [(content.subject, *pieces_of(content.text), *pieces_of(content.html)) for content in contents]
    columns = [column for column in zip(*texts, strict=True) if column.count(column[0]) < len(column)]
    most = sum(max(map(len, column)) for column in columns)
    return _MAX_CHARACTER_BYTES * most + _MAX_TOKEN_BYTES * len(columns) <= max_personal_bytes


def describe_group(messages: Sequence[OutboundMessage]) -> MailGroup:
    """What a call for ``messages``, one group of ``divide_mails``, says."""
    contents = [message.content for message in messages if isinstance(message.content, EmailContent)]
    subjects = [" ".join(content.subject.splitlines()) for content in contents]
    bodies = [(content.text or "", content.html or "") for content in contents]
    common = find_common_texts(bodies, beside=subjects)
    same_subject = len(set(subjects)) == 1
    return MailGroup(
        subject=subjects[0] if same_subject else None,
        text=common.texts[0],
        html=common.texts[1],
        parts=[
            PersonalPart(
                _mailbox(message),
                message.attempt_id,
                "" if same_subject else subject,
                _json(values),
                message.unsubscribe_url,
            )
            for message, subject, values in zip(messages, subjects, common.values, strict=True)
        ],
    )


def _mailbox(message: OutboundMessage) -> str:
    return message.address.mailbox if isinstance(message.address, EmailAddress) else ""


def _json(values: Mapping[str, str]) -> bytes:
    return orjson.dumps(values) if values else b""
