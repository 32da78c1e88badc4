"""Small charts as SVG text, written by hand so that nothing needs installing: bars, stacked bars, lines."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 720, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 44, 52
_COLOURS = ("#2f6db3", "#d9822b", "#3d9a5f", "#b3453f", "#7a5aa6", "#8a6f4d", "#c45a94", "#6b7680", "#a3a72f")
_TICKS = 5

Table = Mapping[str, Mapping[str, float]]
Points = Sequence[tuple[float, float]]


class _Canvas:
    """The drawing, with its plot area and legend."""

    def __init__(self, title: str) -> None:
        name = escape(title)
        self._items = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">',
            "<style>text{font-family:system-ui,sans-serif;fill:#222}</style>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        ]
        self.text(_LEFT, 22, title, size=15)

    def text(self, x: float, y: float, words: str, *, anchor: str = "start", size: int = 12) -> None:
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
        self._items.append(f"<text {place}>{escape(words)}</text>")

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd") -> None:
        self._items.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>')

    def bar(self, corner: tuple[float, float], width: float, height: float, colour: str, says: str) -> None:
        place = f'x="{corner[0]:.1f}" y="{corner[1]:.1f}" width="{width:.1f}" height="{max(height, 0):.1f}"'
        self._items.append(f'<rect {place} fill="{colour}"><title>{escape(says)}</title></rect>')

    def polyline(self, points: Points, colour: str) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._items.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        self._items.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)

    def legend(self, names: Sequence[str]) -> None:
        for index, name in enumerate(names):
            y = _TOP + 8 + index * 20
            self.bar((_WIDTH - _RIGHT + 14, y - 9), 11, 11, _colour(index), name)
            self.text(_WIDTH - _RIGHT + 31, y, name)

    def done(self) -> str:
        return "\n".join([*self._items, "</svg>\n"])


class _Scale:
    """Values to positions on one axis, linear or logarithmic."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool = False) -> None:
        self._map: Callable[[float], float] = math.log10 if log else float
        self._low, self._start = self._map(low), start
        span = self._map(high) - self._low or 1.0
        self._factor = (end - start) / span
        self.ticks = (
            _log_ticks(low, high) if log else [low + (high - low) * step / _TICKS for step in range(_TICKS + 1)]
        )

    def __call__(self, value: float) -> float:
        return self._start + (self._map(value) - self._low) * self._factor


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [10.0**decade for decade in decades if low * 0.999 <= 10.0**decade <= high * 1.001] or [low, high]


def nice_ceiling(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.9999)


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _y_axis(canvas: _Canvas, scale: _Scale, unit: str) -> None:
    for tick in scale.ticks:
        y = scale(tick)
        canvas.line(_LEFT, y, _WIDTH - _RIGHT, y)
        canvas.text(_LEFT - 8, y + 4, f"{tick:,.4g}", anchor="end")
    canvas.text(_LEFT, _TOP - 8, unit)


def bar_chart(title: str, rows: Table, unit: str) -> str:
    """A group of bars for each row, a bar for each of its columns."""
    return _bars(title, rows, unit, stacked=False)


def stacked_chart(title: str, rows: Table, unit: str) -> str:
    """One bar for each row, its columns on top of one another."""
    return _bars(title, rows, unit, stacked=True)


def _bars(title: str, rows: Table, unit: str, *, stacked: bool) -> str:
    canvas = _Canvas(title)
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    tallest = max((sum(row.values()) if stacked else max(row.values(), default=0) for row in rows.values()), default=0)
    scale = _Scale(0, nice_ceiling(tallest), _HEIGHT - _BOTTOM, _TOP)
    _y_axis(canvas, scale, unit)
    slot = (_WIDTH - _LEFT - _RIGHT) / max(1, len(rows))
    width = slot * 0.7 / (1 if stacked else max(1, len(names)))
    for place, (label, row) in enumerate(rows.items()):
        x, base = _LEFT + slot * (place + 0.15), 0.0
        canvas.text(_LEFT + slot * (place + 0.5), _HEIGHT - _BOTTOM + 18, label, anchor="middle", size=11)
        for index, name in enumerate(names):
            value = row.get(name, 0.0)
            left = x if stacked else x + index * width
            top = scale(base + value)
            canvas.bar((left, top), width, scale(base) - top, _colour(index), f"{label}, {name}: {value:.3g} {unit}")
            base += value if stacked else 0.0
    canvas.legend(names)
    return canvas.done()


def line_chart(
    title: str, lines: Mapping[str, Points], *, x: str, y: str, log_x: bool = False, log_y: bool = False
) -> str:
    """A line for each name."""
    canvas = _Canvas(title)
    points = [point for line in lines.values() for point in line]
    if not points:
        return canvas.done()
    places = sorted({point[0] for point in points})
    is_few = len(places) <= _TICKS
    across = (places[0], places[-1]) if is_few or log_x else (0.0, nice_ceiling(places[-1]))
    x_scale = _Scale(*across, _LEFT, _WIDTH - _RIGHT, log=log_x)
    y_scale = _Scale(*_up([point[1] for point in points], log=log_y), _HEIGHT - _BOTTOM, _TOP, log=log_y)
    _y_axis(canvas, y_scale, y)
    for tick in places if is_few else x_scale.ticks:
        canvas.text(x_scale(tick), _HEIGHT - _BOTTOM + 18, f"{tick:,.6g}", anchor="middle")
    canvas.text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, x, anchor="middle")
    for index, line in enumerate(lines.values()):
        canvas.polyline([(x_scale(a), y_scale(b)) for a, b in line], _colour(index))
    canvas.legend(list(lines))
    return canvas.done()


def _up(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    """From 0, or between powers of ten."""
    if not log:
        return 0.0, nice_ceiling(max(values))
    low = 10.0 ** math.floor(math.log10(min(values)))
    return low, max(low * 10, 10.0 ** math.ceil(math.log10(max(values))))
