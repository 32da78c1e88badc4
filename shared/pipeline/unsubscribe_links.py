"""``services.links``: the links that messages carry, by which their recipients end all messages of a category.

Takes a notification, gives the link; unsubscribe.py follows one.
"""

from collections import OrderedDict
from datetime import datetime, timedelta

from shared.channels import CHANNELS
from shared.domain.consent import UNSUBSCRIBABLE
from shared.domain.errors import RateExceeded
from shared.domain.notification import Delivery, Notification
from shared.domain.suppressed_address import mark_of
from shared.domain.unsubscribe_link import UnsubscribeLink, key_of, read_token, token_of

PATH = "/api/v1/unsubscribe"
FOLLOWED_A_MINUTE = 10  # one link, in one process; a person needs two or three
LINKS_REMEMBERED = 10_000
_MINUTE = timedelta(minutes=1)


class UnsubscribeLinks:
    """Makes and reads links. Without a public address of this service there are none to make."""

    def __init__(self, public_base_url: str | None = None, secret: bytes = b"") -> None:
        self._prefix = f"{public_base_url}{PATH}/" if public_base_url else None
        self._secret = secret
        self._key = key_of(secret)
        self._followed: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def url_for(self, notification: Notification, delivery: Delivery) -> str | None:
        """The link for one delivery; None where its category, its channel or this service has none."""
        if notification.category not in UNSUBSCRIBABLE or self._prefix is None:
            return None
        channel, category = CHANNELS[delivery.channel], notification.category.value
        if not channel.brings_unsubscribe_link:
            return None
        mark = mark_of(self._secret, notification.tenant_id, channel.name, delivery.address, category)
        if mark is None:
            return None
        return self._prefix + token_of(UnsubscribeLink(notification.tenant_id, channel.name, category, mark), self._key)

    def read(self, token: str, now: datetime) -> UnsubscribeLink | None:
        """What the link stands for; None for one we never made. Raises RateExceeded: followed too often lately."""
        link = read_token(token, self._key)
        if link:
            self._count(link.mark.digest, now)
        return link

    def _count(self, digest: str, now: datetime) -> None:
        since, count = self._followed.pop(digest, (now, 0))
        if now - since >= _MINUTE:
            since, count = now, 0
        self._followed[digest] = (since, count + 1)
        if len(self._followed) > LINKS_REMEMBERED:
            self._followed.popitem(last=False)
        if count >= FOLLOWED_A_MINUTE:
            raise RateExceeded("the link was followed too often", retry_after=since + _MINUTE - now)
