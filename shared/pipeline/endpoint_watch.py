"""What this process has seen of callback endpoints lately; forgotten with it, since each process sees enough itself."""

from collections import Counter


class EndpointWatch:
    """Failures in a row for each endpoint, and whose failure is being written down at the moment."""

    def __init__(self) -> None:
        self._in_a_row: Counter[str] = Counter()
        self._noting: set[str] = set()

    def succeeded(self, endpoint_id: str) -> None:
        """The endpoint took a callback."""
        self._in_a_row.pop(endpoint_id, None)

    def failed(self, endpoint_id: str) -> int:
        """How many callbacks in a row the endpoint did not take."""
        self._in_a_row[endpoint_id] += 1
        return self._in_a_row[endpoint_id]

    def begins_note(self, endpoint_id: str) -> bool:
        """Whether the caller writes down that the endpoint failed; False while somebody here does."""
        if endpoint_id in self._noting:
            return False
        self._noting.add(endpoint_id)
        return True

    def ends_note(self, endpoint_id: str) -> None:
        """It is written down, or could not be."""
        self._noting.discard(endpoint_id)
