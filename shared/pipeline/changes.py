"""What follows from changes of notifications, as the change feed shows them: at least once, newest version only.

Takes changed documents. Whatever is raised here lets the feed show them again, so every part may be repeated.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.pipeline import fallback, timeline
from shared.pipeline.callbacks import fire_callbacks, heard_changes
from shared.pipeline.services import Services


async def follow_changes(documents: Sequence[Mapping[str, Any]], services: Services, waiters: fallback.Waiters) -> None:
    """Next channels have taken over, waiters are woken, callbacks are queued, lists show what is new.

    Raises:
        StoreUnavailable, PublishFailed: the feed should show these documents again.
    """
    in_turn = fallback.concerned(documents)
    await fallback.move_on(in_turn, services)
    await fallback.wake_waiters(in_turn, waiters)
    await fire_callbacks(await heard_changes(documents, services), services)
    await timeline.index(documents, services)
