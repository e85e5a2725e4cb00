"""What is written into the picture of a plan: names and notes, heading, legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from optrl_formulations.network import FloatArray, NodeKind

from optrl.planning.picture_data import (
    BINDING,
    COLOURS,
    POORLY_SERVED,
    REPLENISHMENT,
    SHORT,
    Binding,
    Flows,
    flow_width,
    poorly_served,
)
from optrl.planning.picture_labels import Label
from optrl.planning.picture_layout import Layout
from optrl.planning.summary import fill_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from optrl.planning.plan import Plan

_LABELS = 30
_CUSTOMERS_NAMED = 12


def labels_of(plan: Plan, layout: Layout, flows: Flows, binding: Binding) -> list[Label]:
    """Names of suppliers and stocking nodes, of few customers too, and what binds there."""
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


def points_to_avoid(plan: Plan, layout: Layout, flows: Flows) -> FloatArray:
    """Points along the wider lanes and at the customers, which labels should leave free."""
    network, place = plan.instance.network, layout.place
    wide = np.flatnonzero(flows.lane > 0.02 * flows.lane.max(initial=0.0))
    steps = np.linspace(0, 1, 30)[:, None, None]
    ends = place[network.origin[wide]], place[network.destination[wide]]
    along = (1 - steps) * ends[0] + steps * ends[1]
    return np.concatenate([along.reshape(-1, 2), place[network.kind == NodeKind.CUSTOMER]])


def write_captions(figure: Figure, axes: Axes, plan: Plan, flows: Flows, binding: Binding) -> None:
    """Write heading and legend."""
    from matplotlib.lines import Line2D

    instance = plan.instance
    last = instance.start + instance.horizon - 1
    rate = fill_rate(plan.tables.service)
    facts = [f"cost {plan.total_cost:,.0f} {instance.money}"]
    facts += [] if rate is None else [f"fill rate {rate:.2%}"]
    for row in binding.budget:
        facts.append(f"{row['resource']} binds in {_count(len(row['periods']), instance.period)}")
    width, total = figure.get_size_inches()
    figure.text(
        0.2 / width,
        1 - 0.2 / total,
        f"{instance.name}: {plan.policy} plan",
        fontsize=16,
        weight="bold",
        va="top",
        parse_math=False,
    )
    span = f"{instance.period}s {instance.start} to {last}"
    figure.text(
        0.2 / width,
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
    if poorly_served(plan):
        label = f"fill rate below {POORLY_SERVED:.0%}"
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
            points = float(flow_width(flow, largest))
            label = f"{flow:,.0f} {instance.quantity}" if flow >= 1 else f"{flow:g}"
            plain = label.replace("$", r"\$")
            handles.append(Line2D([], [], linewidth=points, color=REPLENISHMENT, label=plain))
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.02), ncols=len(handles),
        frameon=False, fontsize=9.5, columnspacing=1.6, handletextpad=0.5,
    )  # fmt: skip


def _count(number: int, period: str) -> str:
    return f"1 {period}" if number == 1 else f"{number} {period}s"
