"""A first-in, first-out queue of fluid: amounts with the instant they came from, so that waiting times are exact."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Parcel(NamedTuple):
    """An amount that was submitted at one instant and is at one attempt."""

    since: float
    amount: float
    attempt: int = 1


class Parcels:
    """What waits, oldest first."""

    __slots__ = ("_queue", "total")

    def __init__(self) -> None:
        self._queue: deque[Parcel] = deque()
        self.total = 0.0

    def put(self, parcel: Parcel) -> None:
        if parcel.amount > 0:
            self._queue.append(parcel)
            self.total += parcel.amount

    def take(self, amount: float, *, not_after: float = float("inf")) -> Iterator[Parcel]:
        """Up to ``amount`` of what was submitted no later than ``not_after``, oldest first."""
        queue = self._queue
        while amount > 1e-9 and queue and queue[0].since <= not_after:
            head = queue[0]
            if head.amount <= amount + 1e-9:
                queue.popleft()
                taken = head
            else:
                taken = head._replace(amount=amount)
                queue[0] = head._replace(amount=head.amount - amount)
            amount -= taken.amount
            self.total = max(0.0, self.total - taken.amount) if queue else 0.0
            yield taken

    @property
    def oldest(self) -> float | None:
        return self._queue[0].since if self._queue else None
