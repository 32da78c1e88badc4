"""Who asks for more than a fair share of a lane, and what that share is. Pure; rates are deliveries a second."""

import math
from collections.abc import Mapping

_FADES_IN_SECONDS = 5.0
_KEPT = 1000  # tenants; of more, those who asked for least are forgotten
_FORGOTTEN_BELOW = 0.01
_ABOVE_AVERAGE = 1.2


class Tally:
    """Who asked for how much lately, fading with time."""

    def __init__(self) -> None:
        self._amounts: dict[str, float] = {}
        self._at = float("-inf")

    def note(self, who: str, amount: int, now: float) -> None:
        """``who`` asked for so much more."""
        self._fade(now)
        self._amounts[who] = self._amounts.get(who, 0.0) + amount

    def rates(self, now: float) -> dict[str, float]:
        """What each asks for in a second."""
        self._fade(now)
        return {who: amount / _FADES_IN_SECONDS for who, amount in self._amounts.items()}

    def _fade(self, now: float) -> None:
        if now - self._at < _FADES_IN_SECONDS / 50:
            return  # a fiftieth is near enough, and this runs for every request
        share = math.exp((self._at - now) / _FADES_IN_SECONDS)
        self._at = now
        faded = {who: amount * share for who, amount in self._amounts.items()}
        if len(faded) > _KEPT:
            most = sorted(faded, key=faded.__getitem__, reverse=True)[:_KEPT]
            faded = {who: faded[who] for who in most}
        self._amounts = {who: amount for who, amount in faded.items() if amount > _FORGOTTEN_BELOW}


def fair_rate(demands: Mapping[str, float], capacity: float) -> float:
    """The rate that nobody may exceed so that all together stay within ``capacity``; infinite when they do anyhow.

    Max-min fairness: who asks for less than that gets all of it, and what they leave is shared by the others alike.
    """
    left, rising = capacity, sorted(demands.values())
    for index, demand in enumerate(rising):
        share = left / (len(rising) - index)
        if demand > share:
            return share
        left -= demand
    return math.inf


def dominant(seen: Mapping[str, float]) -> set[str]:
    """Those who have clearly more than an average part of what was seen; the only one, when there is only one."""
    total = sum(seen.values())
    average = total / len(seen) if seen else 0.0
    return {who for who, amount in seen.items() if len(seen) == 1 or amount > _ABOVE_AVERAGE * average}
