"""The bus: bytes and messages in a step, and what is published of the accepted when they do not suffice."""

from collections.abc import Iterable, Mapping

from bench.simulate.assumptions import BYTES_PER_MU, Platform
from bench.simulate.delivering import Lane
from bench.simulate.parcels import Parcel


class Broker:
    """One step at a time: ``begin``, then whatever is carried, most urgent first."""

    def __init__(self, platform: Platform) -> None:
        self._patience = platform.publish_patience_seconds
        self._units = float(platform.messaging_units or 0)
        self._usable = platform.bus_usable_share
        self._messages_per_mu = platform.bus_messages_per_mu
        self._seconds = 1.0
        self.used = self.messages = 0.0

    def begin(self, seconds: float) -> None:
        self._seconds, self.used, self.messages = seconds, 0.0, 0.0

    @property
    def share(self) -> float:
        """Of all that the messaging units carry, what this step took."""
        whole = self._units * self._seconds
        return max(self.used / BYTES_PER_MU, self.messages / self._messages_per_mu) / whole

    def carry(self, amount: float, each_bytes: float, each_messages: float) -> None:
        """Whatever there is: it cannot wait."""
        self.used += amount * each_bytes
        self.messages += amount * each_messages

    def publish(self, fresh: Iterable[tuple[Lane, float]], now: float, waits: Mapping[str, float]) -> None:
        """The accepted: as much as there is room for goes to the queues, the rest stays in the store."""
        fresh = list(fresh)
        need = sum(amount * lane.work.submitted_bytes for lane, amount in fresh)
        need_messages = sum(amount * lane.work.messages for lane, amount in fresh)
        room, slots = self._room()
        share = max(0.0, min(1.0, room / need if need else 1.0, slots / need_messages if need_messages else 1.0))
        for lane, amount in fresh:
            lane.queue.put(Parcel(now - waits[lane.name], amount * share))
            lane.unpublished.put(Parcel(now, amount * (1 - share)))
        self.carry(share, need, need_messages)

    def sweep(self, lanes: Iterable[Lane], now: float) -> None:
        """The sweeper publishes what has waited for its patience, as far as there is room."""
        for lane in lanes:
            oldest = lane.unpublished.oldest
            room, slots = self._room()
            if oldest is None or oldest > now - self._patience or room <= 0 or slots <= 0:
                continue
            fits = min(room / lane.work.submitted_bytes, slots / lane.work.messages)
            for parcel in lane.unpublished.take(fits, not_after=now - self._patience):
                lane.queue.put(parcel)
                self.carry(parcel.amount, lane.work.submitted_bytes, lane.work.messages)

    def _room(self) -> tuple[float, float]:
        usable = self._usable * self._units * self._seconds
        return usable * BYTES_PER_MU - self.used, usable * self._messages_per_mu - self.messages
