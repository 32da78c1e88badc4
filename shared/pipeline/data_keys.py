"""Look after data keys, once a day: wrap them anew after a rotation, make next week's in time, destroy what is over.

A week's key is destroyed when the week is over for as long as notifications are kept, and none is left that was sealed
with it (a replay makes one live longer). From then on no copy of those notifications can be read, wherever one is.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.sealing import end_of, is_week, next_week, week_of
from shared.contracts.stored_documents import KEPT_SECONDS
from shared.domain.data_key import StoredKey
from shared.domain.errors import StoreUnavailable
from shared.pipeline.services import Services

logger = logging.getLogger(__name__)

MADE_AHEAD = timedelta(days=2)  # so that the change of week needs no Key Vault
KEPT_AFTER_WEEK = timedelta(seconds=KEPT_SECONDS) + timedelta(days=1)  # the store may be late with what expires


@dataclass(slots=True)
class Care:
    """What was done."""

    rewrapped: int = 0
    made: int = 0
    destroyed: int = 0
    failed: int = 0


async def look_after_data_keys(services: Services) -> Care:
    """What was done; what failed is tried again the next day, or by hand. Raises StoreUnavailable."""
    now, keys, care = services.clock.now(), services.data_keys, Care()
    newest = await keys.newest_wrapping()
    for key in await keys.stored():
        try:
            await _look_after(key, newest, now, care, services)
        except (StoreUnavailable, ValueError):
            care.failed += 1
            logger.exception("Data key not looked after", extra={"tenant_id": key.tenant, "data_key": key.id})
    logger.info(
        "Data keys looked after",
        extra={
            "rewrapped": care.rewrapped,
            "made": care.made,
            "destroyed": care.destroyed,
            "failed": care.failed,
        },
    )
    return care


async def _look_after(key: StoredKey, newest: str, now: datetime, care: Care, services: Services) -> None:
    keys = services.data_keys
    if _is_over(key, now) and not await keys.is_used(key):
        await keys.destroy(key)
        care.destroyed += 1
        logger.info("Data key destroyed", extra={"tenant_id": key.tenant, "data_key": key.id})
        return
    if key.wrapped_by != newest and await keys.rewrap(key):
        care.rewrapped += 1
    if key.id == week_of(now) and end_of(key.id) - now <= MADE_AHEAD:
        following = next_week(key.id)
        if keys.known(key.tenant, following) is None:
            await keys.to_seal(key.tenant, following)
            care.made += 1


def _is_over(key: StoredKey, now: datetime) -> bool:
    return is_week(key.id) and end_of(key.id) + KEPT_AFTER_WEEK <= now
