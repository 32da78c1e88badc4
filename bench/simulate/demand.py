"""Notifications offered at each instant: a diurnal curve with the wanted mean and peak, noise, and a spike on top."""

import math
import random
from bisect import bisect_left
from functools import lru_cache

from bench.simulate.assumptions import CHANNELS, LANES, Load, Spike

DAY_SECONDS = 86_400
_SAMPLES = 1440
# Hour, width in hours, height: the working day's morning, its afternoon, the evening; over a floor at night.
_HUMPS = ((9.5, 1.6, 1.0), (14.0, 2.2, 0.75), (19.5, 1.8, 0.9))
_FLOOR = 0.12
_CAMPAIGN = (10.0, 0.5)  # hour and width of a hump as high as the peak wants it
_HIGHEST = 20.0


def _hump(hour: float, at: float, width: float) -> float:
    distance = min(abs(hour - at), 24 - abs(hour - at))
    return math.exp(-0.5 * (distance / width) ** 2)


def _shape(hour: float) -> float:
    return _FLOOR + sum(height * _hump(hour, at, width) for at, width, height in _HUMPS)


@lru_cache(maxsize=8)
def diurnal(mean: float, peak: float) -> tuple[float, ...]:
    """Rates a second for each minute of a day: their mean is ``mean`` and the highest is ``peak``.

    Above the usual day's sharpness a campaign in the morning makes the peak; below it the whole day is flattened.

    Raises:
        ValueError: the peak is below the mean, or sharper than the curve can be.
    """
    hours = [minute * 24 / _SAMPLES for minute in range(_SAMPLES)]
    usual, campaign = [_shape(hour) for hour in hours], [_hump(hour, *_CAMPAIGN) for hour in hours]
    wanted = peak / mean

    def drawn(amount: float) -> list[float]:
        if amount < 1:
            return [value**amount for value in usual]
        return [value + (amount - 1) * more for value, more in zip(usual, campaign, strict=True)]

    if not 1 <= wanted <= _sharpness(drawn(_HIGHEST)):
        raise ValueError(f"a peak of {wanted:.2f} times the mean can't be drawn")
    low, high = 0.0, _HIGHEST
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _sharpness(drawn(middle)) < wanted else (low, middle)
    values = drawn(low)
    factor = mean * _SAMPLES / sum(values)
    return tuple(value * factor for value in values)


def _sharpness(values: list[float]) -> float:
    return max(values) * len(values) / sum(values)


class Demand:
    """Arrivals for each channel and lane in each step."""

    def __init__(self, load: Load, spike: Spike | None, seed: int) -> None:
        self._curve = diurnal(load.daily / DAY_SECONDS, load.peak)
        self._load, self.spike = load, spike
        self._random = random.Random(seed)
        self.peak_at = self._curve.index(max(self._curve)) * 60.0
        self.spike_from = self.peak_at
        shares, lanes = load.channel_shares, load.lane_shares
        self._base = [(channel, lane, shares[channel] * lanes[lane]) for channel in CHANNELS for lane in LANES]

    def base_rate(self, at: float) -> float:
        """Without noise and spike. The day repeats."""
        position = (at % DAY_SECONDS) / 60
        index = int(position)
        here, there = self._curve[index], self._curve[(index + 1) % _SAMPLES]
        return here + (there - here) * (position - index)

    def extra_rate(self, at: float) -> float:
        """The spike's part."""
        if self.spike is None or not self.spike_from <= at < self.spike_from + self.spike.seconds:
            return 0.0
        return max(0.0, self.spike.rate - self.base_rate(at))

    def arrivals(self, at: float, seconds: float) -> dict[tuple[str, str], float]:
        """Notifications in the step that begins at ``at``."""
        base = self._noisy(self.base_rate(at) * seconds)
        offered = {(channel, lane): base * share for channel, lane, share in self._base}
        if extra := self._noisy(self.extra_rate(at) * seconds):
            for channel, share in self._spike_shares().items():
                offered[channel, "low"] += extra * share
        return offered

    def lane_batch_shares(self) -> dict[str, float]:
        """A lane's share in batches; in a spike's run the low lane has the spike's, since the spike is most of it."""
        shares = self._load.lane_batch_shares
        return shares | ({"low": self.spike.batch_share} if self.spike else {})

    def _spike_shares(self) -> dict[str, float]:
        named = self.spike.channel if self.spike else ""
        return {named: 1.0} if named else self._load.channel_shares

    def _noisy(self, mean: float) -> float:
        if mean <= 0:
            return 0.0
        return max(0.0, self._random.gauss(mean, math.sqrt(mean * self._load.burstiness)))


def next_step(value: float, steps: tuple[int, ...]) -> int | None:
    """The smallest of ``steps`` (ascending) that is at least ``value``; None when none is."""
    index = bisect_left(steps, value - 1e-9)
    return steps[index] if index < len(steps) else None
