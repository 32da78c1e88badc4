"""Where quarantines are kept, and what the brakes count, as the pipeline needs them.

Every method may raise StoreUnavailable.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shared.domain.brakes import Tally
from shared.domain.quarantine import Quarantine, Subject


class QuarantineStore(Protocol):
    """One document for each subject that was ever held."""

    async def list_all(self) -> Sequence[Quarantine]:
        """Active and released ones."""
        ...

    async def active(self) -> Sequence[Quarantine]:
        """Those that hold something back."""
        ...

    async def open(self, wanted: Quarantine, *, unless_released_after: datetime | None = None) -> Quarantine:
        """``wanted``, or the one that is active for its subject already, or was released after that time."""
        ...

    async def release(self, quarantine_id: str, by: str, at: datetime) -> Quarantine:
        """The quarantine, released now or before. Raises NotFound."""
        ...

    async def add_held(self, quarantine_id: str, held: Mapping[str, int]) -> None:
        """So many more deliveries were held, by template."""
        ...


class BrakeStore(Protocol):
    """One document for each subject that anything was told of."""

    async def tell(self, subject: Subject, window: int, deliveries: int, failures: int) -> Tally:
        """Adds to the window, which may have begun with this, and what all processes told of it so far."""
        ...
