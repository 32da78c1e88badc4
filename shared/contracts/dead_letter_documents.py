"""A dead letter as JSON: the same on the queue ``dead-letters`` and in the container of that name.

No address, no data, no content. A dead message's body is there only when it is one of our own envelopes, which hold
references.
"""

from datetime import datetime

from shared.contracts.stored_documents import Document, attempt_document, attempt_of, stamp
from shared.domain.dead_letter import DeadDelivery, DeadLetter, DeadMessage, ReplayMark, Tag, name_of
from shared.domain.identifiers import TenantId, TrackingId
from shared.domain.notification import Category, Lane, TemplateRef

OPEN, REPLAYED = "open", "replayed"


def letter_document(letter: DeadLetter) -> Document:
    """The dead letter as it is stored."""
    document: Document = {
        "id": name_of(letter.story),
        "partitionKey": partition_of(letter.tenant_id, letter.day),
        "type": "dead-letter",
        "schemaVersion": 1,
        "tenantId": letter.tenant_id,
        "day": letter.day,
        "position": position_of(letter),
        "tag": letter.tag.value,
        "reason": letter.reason,
        "deadSince": stamp(letter.dead_since),
        "filedAt": stamp(letter.filed_at),
        "copies": letter.copies,
        "state": REPLAYED if letter.replay else OPEN,
        "replay": mark_document(letter.replay) if letter.replay else None,
    }
    story = letter.story
    document |= _delivery_story(story) if isinstance(story, DeadDelivery) else _message_story(story)
    return {name: value for name, value in document.items() if value is not None}


def partition_of(tenant: TenantId, day: str) -> str:
    """The partition of a tenant's dead letters of one day."""
    return f"{tenant}:{day}"


def position_of(letter: DeadLetter) -> str:
    """Where the dead letter stands among those of its day: by time; no two stand in one place."""
    return f"{stamp(letter.dead_since)}/{name_of(letter.story)}"


def mark_document(mark: ReplayMark) -> Document:
    """How a dead letter names its replay."""
    return {"id": mark.replay_id, "at": stamp(mark.at)}


def _delivery_story(story: DeadDelivery) -> Document:
    template = story.template
    return {
        "trackingId": story.tracking_id,
        "channel": story.channel,
        "lane": story.lane.value,
        "category": story.category.value if story.category else None,
        "template": {"id": template.id, "version": template.version, "locale": template.locale} if template else None,
        "expiresAt": stamp(story.expires_at),
        "attempt": story.attempt,
        "attempts": [attempt_document(attempt) for attempt in story.attempts],
    }


def _message_story(story: DeadMessage) -> Document:
    return {
        "entity": story.entity,
        "digest": story.digest,
        "bytes": story.size,
        "pointers": list(story.pointers),
        "body": story.body,
    }


def letter_of(document: Document) -> DeadLetter:
    """The dead letter in a document. Raises KeyError, TypeError or ValueError: it is none."""
    if not isinstance(document, dict):
        raise TypeError("not a JSON object")
    replay = document.get("replay")
    return DeadLetter(
        tenant_id=TenantId(document["tenantId"]),
        tag=Tag(document["tag"]),
        reason=document["reason"],
        dead_since=_instant(document["deadSince"]),
        story=_dead_delivery(document) if "trackingId" in document else _dead_message(document),
        filed_at=_instant(document["filedAt"]),
        copies=document["copies"],
        replay=ReplayMark(replay["id"], _instant(replay["at"])) if replay else None,
    )


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("not an instant")
    return instant


def _dead_delivery(document: Document) -> DeadDelivery:
    template = document.get("template")
    category, expires_at = document.get("category"), document.get("expiresAt")
    return DeadDelivery(
        tracking_id=TrackingId(document["trackingId"]),
        channel=document["channel"],
        lane=Lane(document["lane"]),
        category=Category(category) if category else None,
        template=TemplateRef(template["id"], template["version"], template["locale"]) if template else None,
        expires_at=_instant(expires_at) if expires_at else None,
        attempt=document["attempt"],
        attempts=tuple(attempt_of(attempt) for attempt in document["attempts"]),
    )


def _dead_message(document: Document) -> DeadMessage:
    return DeadMessage(
        entity=document["entity"],
        digest=document["digest"],
        size=document["bytes"],
        pointers=tuple(document.get("pointers", ())),
        body=document.get("body"),
    )
