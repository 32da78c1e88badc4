"""Frequency caps: so many marketing messages to one customer on one channel in a stretch of time, and no more.

Only what is capped costs anything: a read and a write of the customer's own document.
"""

import hashlib
import hmac
from typing import Protocol

from shared.domain.frequency import CAPPED
from shared.domain.notification import Notification
from shared.domain.tenant_policy import FrequencyCap, TenantPolicy


class FrequencyStore(Protocol):
    """When customers were sent to."""

    async def count(self, customer: str, channel: str, identity: str, now: float, cap: FrequencyCap) -> bool:
        """Whether one more send is within the cap; then it is counted, once for each ``identity``.

        Raises StoreUnavailable.
        """
        ...


def cap_on(notification: Notification, channel: str, policy: TenantPolicy) -> FrequencyCap | None:
    """The cap that the delivery is under; None when it goes whatever the customer got before."""
    return policy.frequency_caps.get(channel) if notification.category in CAPPED else None


class Frequency:
    """Counts sends by customer. ``secret`` keeps what is stored from saying who they are."""

    def __init__(self, store: FrequencyStore, secret: bytes) -> None:
        self._store = store
        self._secret = secret

    async def allows(self, notification: Notification, channel: str, cap: FrequencyCap, now: float) -> bool:
        """Whether the customer may be sent this, too; it counts from here on. Raises StoreUnavailable."""
        customer = self._customer(notification, channel)
        return await self._store.count(customer, channel, notification.tracking_id, now, cap)

    def _customer(self, notification: Notification, channel: str) -> str:
        """The consumer's own name for whom the notification is for, else the address that is used, as a code."""
        address = notification.deliveries[channel].address
        whom = f"customer\n{notification.customer_id}" if notification.customer_id else f"address\n{address.stored()!r}"
        digest = hmac.digest(self._secret, f"{notification.tenant_id}\n{whom}".encode(), hashlib.sha256)
        return f"frequency:{notification.tenant_id}:{digest[:16].hex()}"
