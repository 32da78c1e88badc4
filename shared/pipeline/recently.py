"""What this process did lately; a first sieve before costlier ones, never the only one."""

from collections import OrderedDict

CAPACITY = 100_000  # about 12 MB; a callback's own record is in the store long before as many others have passed


class Recently:
    """A bounded set that forgets its oldest members."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._members: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, member: str) -> bool:
        return member in self._members

    def add(self, member: str) -> None:
        """Remembers ``member``."""
        self._members[member] = None
        if len(self._members) > self._capacity:
            self._members.popitem(last=False)
