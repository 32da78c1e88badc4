"""What customers write back: STOP is obeyed at once, START lifts it, HELP is answered, anything else is only noted.

Takes a provider's verified request, gives what the provider is to hear, once the register of suppressed addresses has
what was said and no process sends against it any more (consents.py). A STOP stops everything on its channel, codes to
log in included: carriers and providers block the number as well, whatever we would send.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from shared.domain.audit_chain import AuditFact
from shared.domain.errors import StoreUnavailable
from shared.domain.identifiers import TenantId
from shared.domain.reply import Keyword, Reply, keyword_of
from shared.domain.suppressed_address import AddressMark, mark_of
from shared.domain.suppression import Suppression
from shared.pipeline.services import Services
from shared.ports import ReceiptRequest

_REASON = Suppression.ADDRESS_UNSUBSCRIBED.value
_ACTOR = "recipient"  # whoever has the number

logger = logging.getLogger(__name__)


class HearsReplies(Protocol):
    """A receipt source whose vendor also posts what customers write."""

    @property
    def channel(self) -> str:
        """The channel they write on."""
        ...

    def replies(self, request: ReceiptRequest) -> Sequence[Reply]:
        """The messages in a verified request; none when it is about something else. Raises InvalidSubmission."""
        ...

    def reply_document(self, text: str | None) -> tuple[bytes, str] | None:
        """What the vendor is to hear, and its media type; ``text`` is for the customer, where there is one to send."""
        ...


def hears_replies(source: object) -> TypeGuard[HearsReplies]:
    """Whether customers' messages come through ``source``."""
    # A look at the one method: isinstance() with a protocol takes 40 µs, which every receipt would pay.
    return hasattr(source, "replies")


async def heed_replies(source: HearsReplies, request: ReceiptRequest, services: Services) -> tuple[bytes, str] | None:
    """What the vendor is to hear, with its media type; None when the request holds no message.

    Raises:
        InvalidSubmission: the body is not what the vendor documents.
        StoreUnavailable: it should post again: the store is away, or nobody knows whose number was written to.
    """
    replies = source.replies(request)
    if not replies:
        return None
    text = None
    for reply in replies:
        keyword = reply.keyword or keyword_of(reply.text)
        await _heed(reply, keyword, source.channel, services)
        if keyword is Keyword.HELP:
            text = services.reply_rules.help_text
    return source.reply_document(text)


@dataclass(frozen=True, slots=True)
class _Heard:
    reply: Reply
    keyword: Keyword | None
    channel: str


async def _heed(reply: Reply, keyword: Keyword | None, channel: str, services: Services) -> None:
    tenants = services.reply_rules.tenants_of(reply.to)
    if not tenants:
        logger.warning("A reply came to a number of no tenant", extra={"channel": channel})
        raise StoreUnavailable("no tenant is known for the number")
    marks = [(tenant, mark_of(services.bucket_secret, tenant, channel, reply.sender)) for tenant in tenants]
    heard = _Heard(reply, keyword, channel)
    await asyncio.gather(*(_obey(heard, tenant, mark, services) for tenant, mark in marks if mark))
    logger.info("A reply was heard", extra={"channel": channel, "keyword": keyword.value if keyword else None})


async def _obey(heard: _Heard, tenant: TenantId, mark: AddressMark, services: Services) -> None:
    reply, keyword = heard.reply, heard.keyword
    said = keyword.value if keyword else "other"
    fact = AuditFact(
        event_id=f"reply.{said}:{reply.message_id or reply.at.isoformat()}:{mark.digest}",
        tenant_id=tenant,
        at=services.clock.now(),
        actor=_ACTOR,
        action=f"reply.{said}",
        subject=mark.name,
        detail={"channel": heard.channel, "messageId": reply.message_id},
    )
    await services.audit.append(fact)
    if keyword is Keyword.STOP:
        await services.preferences.suppress(tenant, mark, _REASON, reply.at)
        await services.consents.changed(tenant, mark=mark)
    # A START that comes again after a later STOP lifts nothing.
    elif keyword is Keyword.START and await services.preferences.lift(tenant, mark, _REASON, reply.at):
        await services.consents.tell(tenant, mark=mark)
