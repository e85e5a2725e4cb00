"""Charts of a comparison: intervals, bars by kind, lines over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.report.svg import WIDTH, Axis, colour, name, picture, short, signed, text

_LEFT, _RIGHT = 8.0, 8.0


def intervals(
    rows: Sequence[tuple[str, float, float, float]], colours: Mapping[str, int], label: str
) -> str:
    """Estimates with intervals, a row each; the first row is what others are compared with.

    Args:
        rows: Policy, estimate, low and high end; infinite ends run off the chart.
        colours: Number of each policy's colour.
        label: For those who cannot see it.
    """
    step, top = 36.0, 4.0
    height = top + step * len(rows) + 22
    ends = [x for row in rows for x in row[1:]]
    axis = Axis.over(ends, _LEFT + 4, WIDTH - _RIGHT - 4, zero=True)
    bottom = height - 20
    parts = [_vertical(axis, tick, top, bottom) for tick in axis.ticks()]
    parts.append(f'<line class="zero" x1="{axis(0)}" x2="{axis(0)}" y1="{top}" y2="{bottom:g}"/>')
    for position, (policy, value, low, high) in enumerate(rows):
        y = top + step * position + 26
        shown = "cheapest" if position == 0 else signed(value)
        if position and low < high:
            shown += f" ({short(low)} to {short(high)})"
        parts.append(
            f'<text class="halo" x="{_LEFT}" y="{y - 12:g}">{name(policy)}'
            f'<tspan class="quiet" dx="6">{shown}</tspan></text>'
            f'<g class="{colour(colours[policy])}">'
            f'<line class="mark" x1="{axis(low)}" x2="{axis(high)}" y1="{y:g}" y2="{y:g}"/>'
            f'<circle class="fill" cx="{axis(value)}" cy="{y:g}" r="4.5"/></g>'
        )
    return picture(height, parts, label)


def stacked(
    rows: Sequence[tuple[str, Mapping[str, float], float]],
    colours: Mapping[str, int],
    label: str,
) -> str:
    """Bars of parts that push right or left of 0, with a mark where they sum to.

    Args:
        rows: Name, its parts by kind, and the mark.
        colours: Number of each kind's colour.
        label: For those who cannot see it.
    """
    step, top = 36.0, 4.0
    height = top + step * len(rows) + 22
    ends = [0.0]
    for _, parts_of, mark in rows:
        ends += [sum(x for x in parts_of.values() if x > 0), mark]
        ends.append(sum(x for x in parts_of.values() if x < 0))
    axis = Axis.over(ends, _LEFT + 4, WIDTH - _RIGHT - 4)
    bottom = height - 20
    parts = [_vertical(axis, tick, top, bottom) for tick in axis.ticks()]
    parts.append(f'<line class="zero" x1="{axis(0)}" x2="{axis(0)}" y1="{top}" y2="{bottom:g}"/>')
    for position, (policy, parts_of, mark) in enumerate(rows):
        y = top + step * position + 18
        parts.append(f'<text class="halo" x="{_LEFT}" y="{y - 4:g}">{name(policy)}</text>')
        right = left = 0.0
        for kind, value in parts_of.items():
            if value == 0:
                continue
            low, high = (right, right + value) if value > 0 else (left + value, left)
            right, left = (high, left) if value > 0 else (right, low)
            width = max(0.0, axis(high) - axis(low))
            parts.append(
                f'<rect class="fill {colour(colours[kind])}" x="{axis(low)}" y="{y:g}" '
                f'width="{width:.1f}" height="12"><title>{name(policy)}, {name(kind)}: '
                f"{short(value)}</title></rect>"
            )
        x = axis(mark)
        parts.append(f'<path d="M{x} {y - 2:g}v16" stroke="var(--ink)" stroke-width="2.5"/>')
    return picture(height, parts, label)


def lines(
    series: Sequence[tuple[str, FloatArray]],
    first_period: int,
    colours: Mapping[str, int],
    label: str,
    form: Callable[[float], str] = short,
    *,
    zero: bool = False,
) -> str:
    """Lines over periods, drawn so that the first series lies on top.

    Args:
        series: Policy and its value in each period; gaps where not finite.
        first_period: Period of the first value.
        colours: Number of each policy's colour.
        label: For those who cannot see it.
        form: Writes the numbers of the axis.
        zero: Whether the axis starts at 0.
    """
    height, left = 190.0, 44.0
    values = np.concatenate([x for _, x in series]) if series else np.zeros(1)
    y = Axis.over(values.tolist(), height - 24, 8, zero=zero)
    periods = max((len(x) for _, x in series), default=1)
    x = Axis(first_period, first_period + max(1, periods - 1), left, WIDTH - _RIGHT)
    parts = [
        f'<line class="grid" x1="{left}" x2="{WIDTH - _RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>'
        f'<text class="quiet" x="{left - 5}" y="{y(tick) + 3.5:g}" text-anchor="end">'
        f"{text(form(tick))}</text>"
        for tick in y.ticks()
    ]
    parts += [
        f'<text class="quiet" x="{x(tick)}" y="{height - 8}" text-anchor="middle">'
        f"{int(tick)}</text>"
        for tick in x.ticks(5)
        if tick == int(tick)
    ]
    for policy, row in reversed(series):
        path, pen = [], "M"
        for period, value in enumerate(row.tolist(), first_period):
            if math.isfinite(value):
                path.append(f"{pen}{x(period)} {y(value)}")
                pen = "L"
            else:
                pen = "M"
        parts.append(
            f'<path class="line {colour(colours[policy])}" d="{"".join(path)}">'
            f"<title>{name(policy)}</title></path>"
        )
    return picture(height, parts, label)


def _vertical(axis: Axis, tick: float, top: float, bottom: float) -> str:
    anchor = "middle"
    if axis(tick) > WIDTH - 24:
        anchor = "end"
    elif axis(tick) < 24:
        anchor = "start"
    return (
        f'<line class="grid" x1="{axis(tick)}" x2="{axis(tick)}" y1="{top}" y2="{bottom:g}"/>'
        f'<text class="quiet" x="{axis(tick)}" y="{bottom + 13:g}" text-anchor="{anchor}">'
        f"{short(tick)}</text>"
    )
