"""Small parts of SVG drawings and of pages: text made safe, numbers made short, axes.

Drawings are 400 units wide, so that their text stays readable on a phone, and take their colours
from the page's style, light or dark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 400.0

_SUFFIXES = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))


def text(value: object) -> str:
    """Any text, safe within a page and within quotes."""
    return escape(str(value), quote=True)


def name(policy: str) -> str:
    """A policy's name for a reader, safe within a page."""
    return {"s_s": "(s, S)", "ppo": "PPO"}.get(policy, text(policy.replace("_", " ")))


def short(value: float, digits: int = 3) -> str:
    """A number with three or so significant digits: 20.8M, 137k, 0.0123."""
    if not math.isfinite(value):
        return "–"  # noqa: RUF001 - a dash as printed in tables
    value = float(f"{value:.{digits}g}")
    for unit, suffix in _SUFFIXES:
        if abs(value) >= unit:
            return f"{_plain(value / unit, digits)}{suffix}"
    return _plain(value, digits)


def signed(value: float, digits: int = 3) -> str:
    """As `short` with a sign."""
    return f"+{short(value, digits)}" if value > 0 else short(value, digits)


def percent(share: float, digits: int = 1) -> str:
    """A share in percent."""
    return f"{100 * share:.{digits}f} %" if math.isfinite(share) else "–"  # noqa: RUF001


def count_of(number: int, noun: str) -> str:
    """A number of things: 1 item, 2,000 items."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _plain(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = f"{value:.{decimals}f}"
    if float(shown) == 0:
        return "0"
    return shown.replace("-", "−")  # noqa: RUF001 - a minus as wide as a plus


def picture(height: float, parts: Sequence[str], label: str, width: float = WIDTH) -> str:
    """An SVG drawing of parts; `label` says what it shows to those who cannot see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text(label)}">'
        + "".join(parts)
        + "</svg>"
    )


def figure(title: str, drawing: str, caption: str = "", kind: str = "") -> str:
    """A drawing with its title, already safe, and a caption."""
    below = f"<figcaption>{caption}</figcaption>" if caption else ""
    attribute = f' class="{kind}"' if kind else ""
    above = f"<b>{title}</b>" if title else ""
    return f"<figure{attribute}>{above}{drawing}{below}</figure>"


def legend(entries: Sequence[tuple[str, int]]) -> str:
    """Names, already safe, with the number of their colour."""
    parts = "".join(f'<span class="{colour(k)}"><i></i>{entry}</span>' for entry, k in entries)
    return f'<div class="legend">{parts}</div>'


def colour(position: int) -> str:
    """Class of the colour of a policy or kind."""
    return f"c{position % 8}"


@dataclass(frozen=True)
class Axis:
    """A linear axis.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Coordinate.
        end: Coordinate.
    """

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], start: float, end: float, *, zero: bool = False) -> Axis:
        """An axis over all finite values; `zero` includes 0."""
        finite = [x for x in values if math.isfinite(x)] + ([0.0] if zero else [])
        low, high = min(finite, default=0.0), max(finite, default=1.0)
        if high <= low:
            pad = abs(low) / 10 or 1.0
            low, high = low - (0 if zero and low == 0 else pad), high + pad
        return cls(low, high, start, end)

    def __call__(self, value: float) -> float:
        """Coordinate of a value, kept on the axis."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, count: int = 4) -> list[float]:
        """About `count` round values on the axis."""
        step = _round_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def _round_step(size: float) -> float:
    power = 10.0 ** math.floor(math.log10(size))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= size * (1 - 1e-9))
