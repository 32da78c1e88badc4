"""Follow the link by which whoever has an address ends messages of a category, or takes that back.

Takes a link's token, gives the page for a person. To unsubscribe is an entry in the register of suppressed addresses,
answered only when no process sends against it any more (consents.py). Looking at a link changes nothing: mail scanners
look at every one. Who repeats it changes nothing either, so a mail program that lost our answer may ask again.
"""

import logging

from shared.contracts.unsubscribe_page import LinkState, unsubscribe_page
from shared.domain.audit_chain import AuditFact
from shared.domain.errors import NotFound
from shared.domain.identifiers import TenantId
from shared.domain.suppression import Suppression
from shared.domain.unsubscribe_link import UnsubscribeLink
from shared.pipeline.services import Services

ACTOR = "recipient"  # whoever has the address: nobody signs in to say no
_REASON = Suppression.ADDRESS_UNSUBSCRIBED

logger = logging.getLogger(__name__)


async def show_link(token: str, languages: str, services: Services) -> str:
    """The page that a link leads to, in the best of ``languages`` (an Accept-Language). Changes nothing.

    Raises:
        NotFound: we never made the link.
        RateExceeded: it was followed too often lately.
        StoreUnavailable: nobody knows how things stand.
    """
    link = _read(token, services)
    reason = await services.consents.suppressed_for(TenantId(link.tenant), link.mark)
    return unsubscribe_page(LinkState.UNSUBSCRIBED if reason else LinkState.SUBSCRIBED, languages)


async def follow_link(token: str, form: str, languages: str, services: Services) -> str:
    """The page after the act: nothing of the category is sent to the address any more, or it is again.

    ``form`` is the body: ``action=subscribe`` takes it back, everything else unsubscribes, also nothing at all.
    Raises as ``show_link``; then nothing has changed, or it has and a repeat is harmless.
    """
    link = _read(token, services)
    if "action=subscribe" in form.split("&"):
        await _record("unsubscribe.taken_back", link, services)
        await services.preferences.lift(TenantId(link.tenant), link.mark, _REASON.value, services.clock.now())
        await services.consents.changed(TenantId(link.tenant), mark=link.mark)
        return unsubscribe_page(LinkState.SUBSCRIBED_AGAIN, languages)
    await _record("unsubscribe.followed", link, services)
    await services.preferences.suppress(TenantId(link.tenant), link.mark, _REASON.value, services.clock.now())
    await services.consents.changed(TenantId(link.tenant), mark=link.mark)
    return unsubscribe_page(LinkState.UNSUBSCRIBED, languages)


def _read(token: str, services: Services) -> UnsubscribeLink:
    link = services.links.read(token, services.clock.now())
    if link is None:
        raise NotFound("link")
    return link


async def _record(action: str, link: UnsubscribeLink, services: Services) -> None:
    now = services.clock.now()
    fact = AuditFact(
        event_id=f"{action}:{link.mark.digest}:{now.isoformat()}",
        tenant_id=TenantId(link.tenant),
        at=now,
        actor=ACTOR,
        action=action,
        subject=link.mark.name,
        detail={"channel": link.channel, "category": link.category},
    )
    await services.audit.append(fact)
    logger.info("Link to unsubscribe followed", extra={"tenant": link.tenant, "channel": link.channel})
