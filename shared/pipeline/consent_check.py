"""The customer's say in a notification: when it is accepted, and once more before it is sent.

At accept the profile completes the recipient, and each delivery is queued, put off, or suppressed. Before it is sent
the decision stands when nothing about customer or address has changed since (consents.py knows without asking the
store); otherwise it is made anew. An opt-out stops what is queued, what is being retried, and what was put off.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.consent import UNSUBSCRIBABLE, Permission, permission
from shared.domain.errors import PutOff, StoreUnavailable, Withheld
from shared.domain.notification import Delivery, HistoryEntry, Notification
from shared.domain.preferences import Preferences
from shared.domain.status import DeliveryStatus
from shared.domain.suppressed_address import AddressMark, mark_of
from shared.domain.suppression import PUT_OFF
from shared.pipeline.services import Services

_DECIDABLE = frozenset({DeliveryStatus.QUEUED, DeliveryStatus.SCHEDULED})
_ASKED_AGAIN_AFTER = timedelta(seconds=5)
_QUIET_HOURS_STAND_FOR = timedelta(minutes=1)  # quiet hours begin to the minute


async def with_consent(notification: Notification, customer: Preferences | None, services: Services) -> Notification:
    """The notification as the customer allows it: deliveries suppressed or put off. Raises StoreUnavailable."""
    if services.consents.keeps_nothing(notification.tenant_id):
        return notification
    if customer is None and not (await services.consents.keeps(notification.tenant_id)).suppressions:
        return notification
    decided = {
        name: await _decided(notification, delivery, customer, services)
        for name, delivery in notification.deliveries.items()
    }
    suppressed = [each for each in decided.values() if each.status is DeliveryStatus.SUPPRESSED]
    history = tuple(
        HistoryEntry(notification.created_at, each.channel, each.status, reason=each.reason) for each in suppressed
    )
    return replace(notification, deliveries=decided, history=(*notification.history, *history))


async def _decided(
    notification: Notification, delivery: Delivery, customer: Preferences | None, services: Services
) -> Delivery:
    if delivery.status not in _DECIDABLE:
        return delivery
    starts_at = notification.send_at or notification.created_at
    given = await _permission(notification, delivery, customer, starts_at, services)
    if given.suppressed:
        return replace(delivery, status=DeliveryStatus.SUPPRESSED, reason=given.suppressed, wake_at=None, due_at=None)
    if given.not_before:
        return replace(
            delivery,
            status=DeliveryStatus.SCHEDULED,
            due_at=given.not_before,
            wake_at=given.not_before + services.patience.publish,
        )
    return delivery


async def _permission(
    notification: Notification,
    delivery: Delivery,
    customer: Preferences | None,
    at: datetime,
    services: Services,
) -> Permission:
    reason = None
    for mark in _marks(notification, delivery, services):
        reason = reason or await services.consents.suppressed_for(notification.tenant_id, mark)
    return permission(notification.category, delivery.channel, customer, at, address_suppressed=reason)


def _marks(notification: Notification, delivery: Delivery, services: Services) -> Sequence[AddressMark]:
    """What the address may be suppressed as: for all of the channel, and for the category where one may unsubscribe."""
    scopes = (None, notification.category.value) if notification.category in UNSUBSCRIBABLE else (None,)
    marks = (
        mark_of(services.bucket_secret, notification.tenant_id, delivery.channel, delivery.address, scope)
        for scope in scopes
    )
    return [mark for mark in marks if mark]


async def check_before_send(notification: Notification, channel: str, services: Services) -> None:
    """Nothing when the delivery may be sent at this moment.

    Raises:
        Withheld: it must not be sent any more.
        PutOff: not now: quiet hours or a pause have begun, or nobody knows. No attempt is spent.
    """
    try:
        given = await _permission_now(notification, notification.deliveries[channel], services)
    except StoreUnavailable as error:
        raise PutOff("consent_unknown", retry_after=_ASKED_AGAIN_AFTER) from error
    if given and given.suppressed:
        raise Withheld(given.suppressed)
    if given and given.not_before:
        raise PutOff(PUT_OFF, retry_after=given.not_before - services.clock.now())


async def _permission_now(notification: Notification, delivery: Delivery, services: Services) -> Permission | None:
    """The permission made anew; None where the one given at accept still stands."""
    tenant, consents, now = notification.tenant_id, services.consents, services.clock.now()
    if consents.keeps_nothing(tenant):
        return None
    kept = await consents.keeps(tenant)
    if not kept.profiles and not kept.suppressions:
        return None
    marks = _marks(notification, delivery, services)
    made_at = notification.created_at
    if now - made_at < _QUIET_HOURS_STAND_FOR and await consents.stands(
        tenant, notification.customer_id, marks, made_at.timestamp()
    ):
        return None
    customer = await consents.profile(tenant, notification.customer_id)
    return await _permission(notification, delivery, customer, now, services)
