"""A picture of the network and what a plan moves through it.

Lanes are as wide and nodes as large as their flow over the horizon asks; what binds is red.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from optrl_formulations.network import FloatArray, NodeKind

from optrl.planning.picture_labels import Label, place_labels
from optrl.planning.picture_layout import Layout, lay_out
from optrl.planning.summary import binding_resources, fill_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optrl.planning.plan import Plan

COLOURS = {
    NodeKind.SUPPLIER: "#b5651d",
    NodeKind.STOCKING: "#1f4e79",
    NodeKind.CUSTOMER: "#6aa6c8",
}
REPLENISHMENT, SERVING, UNUSED = "#33475b", "#9dbdd3", "#d5dbe1"
BINDING, SHORT = "#c0262d", "#f0a030"

_WIDEST, _THINNEST = 8.0, 0.25
_LARGEST, _SMALLEST = 900.0, 14.0
_POORLY_SERVED = 0.95
_LABELS = 30
_CUSTOMERS_NAMED = 12
_ROOM, _LABEL_ROOM = 0.07, 0.25
_WIDTH, _HEAD, _FOOT = 13.0, 0.85, 0.55
"""Inches."""
_ARROWS = 300
_DOTS_PER_INCH = 120


@dataclass(frozen=True)
class Flows:
    """What a plan moves over the horizon, in item units.

    Attributes:
        lane: Shape (A,).
        node: Released by suppliers and stocking nodes (own sales included), brought to
            customers, shape (V,).
    """

    lane: FloatArray
    node: FloatArray


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
    binding = _binding(plan)
    _lanes(axes, plan, layout, flows, binding)
    _nodes(axes, plan, layout, flows, binding)
    place_labels(
        canvas, axes, _labels(plan, layout, flows, binding), _wide_lanes(plan, layout, flows)
    )
    _captions(figure, axes, plan, flows, binding)
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


def plan_flows(plan: Plan) -> Flows:
    """Total flows of a plan by lane and node."""
    network, tables = plan.instance.network, plan.tables
    lanes = pl.DataFrame(
        {
            "origin": pl.Series([u for u, _ in network.lanes], dtype=pl.String),
            "destination": pl.Series([v for _, v in network.lanes], dtype=pl.String),
        }
    )
    moved = (
        pl.concat([tables.orders, tables.serving])
        .group_by("origin", "destination")
        .agg(pl.col("quantity").sum())
    )
    joined = lanes.join(
        moved, on=["origin", "destination"], how="left", maintain_order="left"
    ).fill_null(0.0)
    lane = joined["quantity"].to_numpy()
    v = len(network.nodes)
    leaving = np.bincount(network.origin, lane, v)
    entering = np.bincount(network.destination, lane, v)
    own = dict(tables.service.group_by("node").agg(pl.col("served").sum()).iter_rows())
    sold = np.array([own.get(name, 0.0) for name in network.nodes])
    is_customer = network.kind == NodeKind.CUSTOMER
    return Flows(lane, np.where(is_customer, entering, leaving + sold))


@dataclass(frozen=True)
class _Binding:
    """Rows of `binding_resources` by where they bind."""

    at_node: dict[int, list[tuple[str, dict[str, Any]]]]
    on_lane: dict[int, dict[str, Any]]
    budget: list[dict[str, Any]]


def _binding(plan: Plan) -> _Binding:
    resources = {r.name: r for r in plan.instance.network.resources}
    found = _Binding({}, {}, [])
    for row in binding_resources(plan.tables.prices):
        resource = resources[row["resource"]]
        if resource.node is not None:
            found.at_node.setdefault(resource.node, []).append((resource.kind, row))
        elif resource.lane is not None:
            found.on_lane[resource.lane] = row
        else:
            found.budget.append(row)
    return found


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


def _width(flow: Any, largest: float) -> Any:
    """Points; as the root of the flow, so that small flows still show."""
    return np.maximum(_THINNEST, _WIDEST * np.sqrt(np.asarray(flow) / max(largest, 1e-12)))


def _area(flow: FloatArray, largest: float) -> FloatArray:
    """Square points."""
    return np.maximum(_SMALLEST, _LARGEST * flow / max(largest, 1e-12))


def _lanes(axes: Axes, plan: Plan, layout: Layout, flows: Flows, binding: _Binding) -> None:
    from matplotlib.collections import LineCollection

    network, place = plan.instance.network, layout.place
    width = _width(flows.lane, flows.lane.max(initial=0.0))
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


def _nodes(axes: Axes, plan: Plan, layout: Layout, flows: Flows, binding: _Binding) -> None:
    network, place = plan.instance.network, layout.place
    poor = _poorly_served(plan)
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


def _poorly_served(plan: Plan) -> set[int]:
    index = plan.instance.network.node_index
    met = plan.tables.service.group_by("node").agg(
        pl.col("demand").sum(), late=pl.min_horizontal("demand", "unmet").sum()
    )
    poor = met.filter(pl.col("late") > (1 - _POORLY_SERVED) * pl.col("demand"))
    return {index[node] for node in poor["node"]}


def _labels(plan: Plan, layout: Layout, flows: Flows, binding: _Binding) -> list[Label]:
    network, period, money = plan.instance.network, plan.instance.period, plan.instance.money
    is_customer = network.kind == NodeKind.CUSTOMER
    named = np.flatnonzero(~is_customer | (is_customer.sum() <= _CUSTOMERS_NAMED))
    named = named[np.argsort(-flows.node[named], kind="stable")][:_LABELS]
    labels = []
    for v in named.tolist():
        notes = []
        for kind, row in binding.at_node.get(v, ()):
            note = f"{kind}: {_count(len(row['periods']), period)}"
            if row["largest_price"] is not None:
                note += f", {row['largest_price']:,.2g} {money}"
            notes.append(note)
        if layout.distance[v] > 0:
            notes.append(f"{layout.distance[v]:,.0f} km away")
        labels.append(
            Label(
                text=network.nodes[v],
                notes=tuple(notes),
                note_colour=BINDING if v in binding.at_node else "#666666",
                place=(float(layout.place[v, 0]), float(layout.place[v, 1])),
                side=int(layout.side[v]),
            )
        )
    return labels


def _wide_lanes(plan: Plan, layout: Layout, flows: Flows) -> FloatArray:
    """Points along the wider lanes and at the customers, which labels should leave free."""
    network, place = plan.instance.network, layout.place
    wide = np.flatnonzero(flows.lane > 0.02 * flows.lane.max(initial=0.0))
    steps = np.linspace(0, 1, 30)[:, None, None]
    ends = place[network.origin[wide]], place[network.destination[wide]]
    along = (1 - steps) * ends[0] + steps * ends[1]
    return np.concatenate([along.reshape(-1, 2), place[network.kind == NodeKind.CUSTOMER]])


def _captions(figure: Figure, axes: Axes, plan: Plan, flows: Flows, binding: _Binding) -> None:
    from matplotlib.lines import Line2D

    instance = plan.instance
    last = instance.start + instance.horizon - 1
    rate = fill_rate(plan.tables.service)
    facts = [f"cost {plan.total_cost:,.0f} {instance.money}"]
    facts += [] if rate is None else [f"fill rate {rate:.2%}"]
    for row in binding.budget:
        facts.append(f"{row['resource']} binds in {_count(len(row['periods']), instance.period)}")
    total = figure.get_figheight()
    figure.text(
        0.2 / _WIDTH,
        1 - 0.2 / total,
        f"{instance.name}: {plan.policy} plan",
        fontsize=16,
        weight="bold",
        va="top",
        parse_math=False,
    )
    span = f"{instance.period}s {instance.start} to {last}"
    figure.text(
        0.2 / _WIDTH,
        1 - 0.55 / total,
        "   ".join([span, *facts]),
        fontsize=11,
        color="#444444",
        va="top",
        parse_math=False,
    )

    def dot(kind: NodeKind, marker: str, label: str, colour: str | None = None) -> Line2D:
        return Line2D(
            [], [], marker=marker, linestyle="", color=colour or COLOURS[kind], label=label,
            markersize=8 if kind != NodeKind.CUSTOMER else 6,
        )  # fmt: skip

    handles = [
        dot(NodeKind.SUPPLIER, "s", "supplier"),
        dot(NodeKind.STOCKING, "o", "stocking node"),
        dot(NodeKind.CUSTOMER, "o", "customer"),
    ]
    if _poorly_served(plan):
        label = f"fill rate below {_POORLY_SERVED:.0%}"
        handles.append(dot(NodeKind.CUSTOMER, "o", label, SHORT))
    if binding.at_node or binding.on_lane:
        said = f"binds: {instance.period}s"
        if plan.program is not None:
            said += ", most that one more unit saves"
        ring = Line2D(
            [], [], marker="o", linestyle="", markerfacecolor="white", color=BINDING, markersize=9,
            markeredgewidth=2.2, label=said,
        )  # fmt: skip
        handles.append(ring)
    largest = float(flows.lane.max(initial=0.0))
    if largest > 0:
        top = 10.0 ** np.floor(np.log10(largest))
        for flow in (top, top / 10):
            width = float(_width(flow, largest))
            label = f"{flow:,.0f} {instance.quantity}" if flow >= 1 else f"{flow:g}"
            plain = label.replace("$", r"\$")
            handles.append(Line2D([], [], linewidth=width, color=REPLENISHMENT, label=plain))
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=len(handles),
        frameon=False, fontsize=9.5, columnspacing=1.6, handletextpad=0.5,
    )  # fmt: skip


def _count(number: int, period: str) -> str:
    return f"1 {period}" if number == 1 else f"{number} {period}s"
