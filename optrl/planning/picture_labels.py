"""Labels beside nodes, placed so that they hide each other as little as possible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from optrl_formulations.network import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
    from matplotlib.transforms import Bbox

_NAME_SIZE, _NOTE_SIZE = 10.0, 7.5
_LINE = 1.25
_LONGEST = 60
_LONGEST_BESIDE = 26
_HIDING, _CROSSING = 5.0, 0.02


@dataclass(frozen=True)
class Label:
    """What stands beside a node.

    Attributes:
        text: Name, in bold.
        notes: Smaller lines below.
        note_colour: Of the notes.
        place: Of the node, data coordinates.
        side: -1 or 1 puts it to the left or right; 0 wherever there is room.
    """

    text: str
    notes: tuple[str, ...]
    note_colour: str
    place: tuple[float, float]
    side: int = 0


def place_labels(
    canvas: FigureCanvasAgg, axes: Axes, labels: Sequence[Label], avoid: FloatArray
) -> None:
    """Write labels, those without a choice first, each where it covers least.

    Args:
        canvas: Measures texts.
        axes: Where to write; its limits are final.
        labels: What to write.
        avoid: Points better left free, data coordinates, shape (P, 2).
    """
    from matplotlib.transforms import Bbox

    pixel = axes.figure.dpi / 72
    renderer: RendererAgg = canvas.get_renderer()  # type: ignore[no-untyped-call]  # matplotlib's
    frame = axes.get_window_extent()
    points = np.asarray(axes.transData.transform(avoid))
    taken = []
    for label in labels:
        x, y = axes.transData.transform(label.place)
        taken.append(Bbox.from_bounds(x - 9 * pixel, y - 9 * pixel, 18 * pixel, 18 * pixel))
    for label in sorted(labels, key=lambda label: label.side == 0):  # those without choice first
        x, y = axes.transData.transform(label.place)
        width, height = _size(renderer, label, pixel)
        best: tuple[float, Bbox] | None = None
        for cost, dx, dy in _candidates(label.side, width, height, pixel):
            box = Bbox.from_bounds(x + dx, y + dy - height / 2, width, height)
            hidden = sum(_overlap(box, other) for other in taken)
            outside = 0.0 if label.side else width * height - _overlap(box, frame)
            crossed = ((points > box.min) & (points < box.max)).all(axis=1).sum()
            score = (
                cost + _HIDING * (hidden + outside) / (width * height) + _CROSSING * float(crossed)
            )
            if best is None or score < best[0]:
                best = score, box
        if best is not None:
            _write(axes, label, best[1], pixel, to_left=best[1].x1 < x)
            taken.append(best[1])


def _candidates(
    side: int, width: float, height: float, pixel: float
) -> list[tuple[float, float, float]]:
    """(preference, left edge, middle) of boxes about a node, in pixels from it."""
    gap = 13 * pixel
    right, left = gap, -gap - width
    if side:
        return [(0.0, right if side > 0 else left, 0.0)]
    up = gap + height / 2
    return [
        (0.0, right, 0.0),
        (0.02, left, 0.0),
        (0.04, -width / 2, up),
        (0.04, -width / 2, -up),
        (0.06, right / 2, up),
        (0.06, right / 2, -up),
        (0.06, left + gap / 2, up),
        (0.06, left + gap / 2, -up),
        (0.15, right, up),
        (0.15, right, -up),
        (0.15, left, up),
        (0.15, left, -up),
    ]


def _size(renderer: RendererAgg, label: Label, pixel: float) -> tuple[float, float]:
    from matplotlib.font_manager import FontProperties

    widths = []
    for text, size, weight in (
        (label.text, _NAME_SIZE, "bold"),
        *((note, _NOTE_SIZE, "normal") for note in label.notes),
    ):
        font = FontProperties(size=size, weight=weight)
        measured = renderer.get_text_width_height_descent(_short(text, label), font, ismath=False)  # type: ignore[no-untyped-call]  # matplotlib ships it untyped
        widths.append(float(measured[0]))
    lines = _NAME_SIZE + _NOTE_SIZE * len(label.notes)
    return max(widths), lines * _LINE * pixel


def _write(axes: Axes, label: Label, box: Bbox, pixel: float, *, to_left: bool) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3, foreground="white", alpha=0.9)]
    y = box.y1
    for number, text in enumerate((label.text, *label.notes)):
        size = _NOTE_SIZE if number else _NAME_SIZE
        y -= size * _LINE * pixel
        axes.annotate(
            _short(text, label),
            (box.x1 if to_left else box.x0, y),
            xycoords="figure pixels",
            fontsize=size,
            weight="normal" if number else "bold",
            color=label.note_colour if number else "#1c1c1c",
            horizontalalignment="right" if to_left else "left",
            verticalalignment="bottom",
            path_effects=halo,
            zorder=5,
            annotation_clip=False,
            parse_math=False,
        )


def _short(text: str, label: Label) -> str:
    longest = _LONGEST_BESIDE if label.side else _LONGEST
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _overlap(one: Bbox, other: Bbox) -> float:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(0.0, width) * max(0.0, height))
