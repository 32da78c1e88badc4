"""How many requests one process may grant a tenant, before it asks how many the others granted.

A tenant's limit holds for all processes together, by a clock in the store that is moved on for what was granted. Asking
it for each request would cost more than the request. So a process asks for some at a time, and grants a trickle of its
own without asking: a tenant that is far from its limit costs nothing.
"""

from dataclasses import dataclass

BURST_SECONDS = 1.0  # of the limit: so much a tenant may use at once
_OWN_SHARE = 0.01  # of the limit, which each process grants without asking
_ASK_FOR_SECONDS = 0.1  # of the limit


@dataclass(slots=True)
class Allowance:
    """One tenant's allowance in one process. Instants are seconds of one clock."""

    per_second: float
    _own: float = 1.0
    _own_at: float = float("-inf")
    _leased: float = 0.0
    _leased_until: float = float("-inf")

    def grant(self, wanted: int, now: float) -> bool:
        """Whether ``wanted`` more are covered by what this process holds; they are taken from it."""
        self._own = min(1.0, self._own + max(0.0, now - self._own_at) * self.per_second * _OWN_SHARE)
        self._own_at = now
        if now > self._leased_until:
            self._leased = 0.0  # what is not used in its time is lost, or processes would hoard a burst each
        if self._leased >= wanted:
            self._leased -= wanted
            return True
        if self._own >= wanted:
            self._own -= wanted
            return True
        return False

    def to_lease(self, wanted: int) -> float:
        """How many to ask for so that ``wanted`` are covered."""
        return max(float(wanted), self.per_second * _ASK_FOR_SECONDS)

    def add(self, leased: float, now: float) -> None:
        """Takes in what was leased."""
        self._leased = leased
        self._leased_until = now + BURST_SECONDS
