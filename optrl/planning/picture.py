"""A picture of the network and what a plan moves through it.

Lanes are as wide and nodes as large as their flow over the horizon asks; what binds is red.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from optrl_formulations.network import FloatArray, NodeKind

from optrl.planning.picture_captions import labels_of, points_to_avoid, write_captions
from optrl.planning.picture_data import (
    BINDING,
    COLOURS,
    REPLENISHMENT,
    SERVING,
    SHORT,
    UNUSED,
    Binding,
    Flows,
    binding_of,
    flow_width,
    plan_flows,
    poorly_served,
)
from optrl.planning.picture_labels import place_labels
from optrl.planning.picture_layout import Layout, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optrl.planning.plan import Plan

_LARGEST, _SMALLEST = 900.0, 14.0
_ROOM, _LABEL_ROOM = 0.07, 0.25
_WIDTH, _HEAD, _FOOT = 13.0, 0.85, 0.55
"""Inches."""
_ARROWS = 300
_DOTS_PER_INCH = 120


def network_picture(plan: Plan) -> bytes:
    """Draw a plan's network as PNG."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a box stands for what the font lacks
        return _png(_figure(plan))


def _figure(plan: Plan) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layout, flows = lay_out(plan.instance.network), plan_flows(plan)
    low, high = _limits(layout)
    height = _WIDTH * (high[1] - low[1]) / (high[0] - low[0]) if layout.is_map else 0.5 * _WIDTH
    height = min(max(height, 0.3 * _WIDTH), 0.9 * _WIDTH)
    total = height + _HEAD + _FOOT
    figure = Figure(figsize=(_WIDTH, total), dpi=_DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, _FOOT / total, 1.0, height / total))
    axes.set_axis_off()
    if layout.is_map:
        axes.set_aspect("equal", adjustable="box")
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.apply_aspect()
    binding = binding_of(plan)
    _lanes(axes, plan, layout, flows, binding)
    _nodes(axes, plan, layout, flows, binding)
    place_labels(
        canvas, axes, labels_of(plan, layout, flows, binding), points_to_avoid(plan, layout, flows)
    )
    write_captions(figure, axes, plan, flows, binding)
    return figure


def _png(figure: Figure) -> bytes:
    """The figure with 256 colours, a third of the size."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", facecolor="white")
    with Image.open(full) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(small, format="png", optimize=True)
    return small.getvalue()


def _limits(layout: Layout) -> tuple[FloatArray, FloatArray]:
    """Lower left and upper right corner of what is shown, with room for labels."""
    if not len(layout.place):
        return np.zeros(2), np.ones(2)
    low, high = layout.place.min(axis=0), layout.place.max(axis=0)
    size = np.maximum(high - low, 1e-3)
    # Labels of far suppliers stand beside the map.
    left = _LABEL_ROOM if (layout.side < 0).any() else _ROOM
    right = _LABEL_ROOM if (layout.side > 0).any() else _ROOM
    return low - np.array([left, _ROOM]) * size, high + np.array([right, _ROOM]) * size


def _area(flow: FloatArray, largest: float) -> FloatArray:
    """Square points."""
    return np.maximum(_SMALLEST, _LARGEST * flow / max(largest, 1e-12))


def _lanes(axes: Axes, plan: Plan, layout: Layout, flows: Flows, binding: Binding) -> None:
    from matplotlib.collections import LineCollection

    network, place = plan.instance.network, layout.place
    width = flow_width(flows.lane, flows.lane.max(initial=0.0))
    ends = np.stack([place[network.origin], place[network.destination]], axis=1)
    used = flows.lane > 0
    arrows = network.replenishment_lanes
    if len(arrows) > _ARROWS:
        arrows = np.zeros(0, dtype=np.int64)
    is_arrow = np.isin(np.arange(len(network.lanes)), arrows)
    to_customer = network.kind[network.destination] == NodeKind.CUSTOMER
    for chosen, colour, order in (
        (~used & ~to_customer, UNUSED, 1.0),
        (used & to_customer, SERVING, 1.2),
        (used & ~to_customer & ~is_arrow, REPLENISHMENT, 1.4),
    ):
        widths = np.where(used[chosen], width[chosen], 0.8)
        axes.add_collection(
            LineCollection(
                list(ends[chosen]), linewidths=widths.tolist(), colors=colour, zorder=order,
                alpha=0.75,
            )
        )  # fmt: skip
    pairs = set(network.lanes)
    for lane in np.flatnonzero(is_arrow & used):
        u, v = network.lanes[lane]
        lateral = layout.layer[network.origin[lane]] == layout.layer[network.destination[lane]]
        bend = 0.25 if lateral and not layout.is_map else 0.12 if (v, u) in pairs else 0.0
        colour = BINDING if lane in binding.on_lane else REPLENISHMENT
        _arrow(axes, ends[lane], float(width[lane]), bend, colour)


def _arrow(axes: Axes, ends: FloatArray, width: float, bend: float, colour: str) -> None:
    from matplotlib.patches import FancyArrowPatch

    axes.add_patch(
        FancyArrowPatch(
            (float(ends[0, 0]), float(ends[0, 1])),
            (float(ends[1, 0]), float(ends[1, 1])),
            connectionstyle=f"arc3,rad={bend}",
            arrowstyle=f"-|>,head_length={3 + 0.5 * width},head_width={1.5 + 0.45 * width}",
            linewidth=width,
            color=colour,
            alpha=0.7,
            shrinkA=4,
            shrinkB=9,
            zorder=1.6,
            joinstyle="miter",
            capstyle="butt",
        )
    )


def _nodes(axes: Axes, plan: Plan, layout: Layout, flows: Flows, binding: Binding) -> None:
    network, place = plan.instance.network, layout.place
    poor = poorly_served(plan)
    for kind, marker, order in (
        (NodeKind.CUSTOMER, "o", 2.0),
        (NodeKind.STOCKING, "o", 3.0),
        (NodeKind.SUPPLIER, "s", 3.0),
    ):
        chosen = np.flatnonzero(network.kind == kind)
        if not len(chosen):
            continue
        stocking = flows.node[network.kind == NodeKind.STOCKING].max(initial=0.0)
        largest = flows.node.max(initial=0.0) if kind != NodeKind.CUSTOMER else stocking
        area = _area(flows.node[chosen], largest)
        if kind == NodeKind.SUPPLIER:
            area = np.clip(area, 40, 160)
        axes.scatter(
            place[chosen, 0],
            place[chosen, 1],
            s=area,
            c=[SHORT if v in poor else COLOURS[kind] for v in chosen.tolist()],
            marker=marker,
            edgecolors=[BINDING if v in binding.at_node else "white" for v in chosen.tolist()],
            linewidths=[2.2 if v in binding.at_node else 0.6 for v in chosen.tolist()],
            zorder=order,
        )
