"""Where replays stand, as use cases see it, and the one way back to work for a dead delivery."""

from collections.abc import Sequence
from typing import Protocol

from shared.domain.replay import Replay, Resumption


class ReplayStore(Protocol):
    """Orders to replay, and deliveries that they put back to work. Every method raises StoreUnavailable."""

    async def create(self, replay: Replay) -> Replay:
        """The replay as it is stored: this one, or the one that was ordered under the same id before."""
        ...

    async def read(self, replay_id: str) -> Replay:
        """The replay. Raises NotFound."""
        ...

    async def replace(self, replay: Replay) -> Replay:
        """The replay, stored in place of its ``version``. Raises VersionChanged."""
        ...

    async def newest(self, limit: int) -> Sequence[Replay]:
        """The replays that were ordered last, newest first."""
        ...

    async def running(self) -> Sequence[Replay]:
        """The replays that somebody should be carrying out."""
        ...

    async def resume(self, resumption: Resumption) -> bool:
        """Whether the delivery went back to work; not when it stands elsewhere than it was seen."""
        ...
