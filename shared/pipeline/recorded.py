"""How far this process has brought each notification into the audit trail: the sieve before audit_trail.py."""

from collections import OrderedDict

REMEMBERED = 100_000  # notifications; about 12 MB


class Recorded:
    """How many records of each notification this process has brought into the trail, of the last ones it met."""

    def __init__(self, capacity: int = REMEMBERED) -> None:
        self._capacity = capacity
        self._counts: OrderedDict[str, int] = OrderedDict()

    def count(self, tracking_id: str) -> int:
        """The position of the first record that is missing, as far as is known here."""
        return self._counts.get(tracking_id, 0)

    def note(self, tracking_id: str, count: int) -> None:
        """Remembers that the first ``count`` records are in the trail."""
        self._counts[tracking_id] = count
        self._counts.move_to_end(tracking_id)
        if len(self._counts) > self._capacity:
            self._counts.popitem(last=False)
