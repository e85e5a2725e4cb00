"""The network map: flows as widths, stock and demand as sizes, service and bottlenecks as colours.

Very large networks show their largest lanes and nodes; the caption says how many are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray, IntArray, Network, NodeKind

from optrl.comparison.measurement import Breakdown
from optrl.report.layout import place
from optrl.report.svg import percent, picture, short, text

_WIDTH = 440.0
_MOST_NODES = 300
_MOST_LANES = 500
_MOST_LABELS = 24

# Places of a label about its node: shift right and down, and share of its width left of there.
_PLACES = (
    (11.0, 4.0, 0.0),
    (-11.0, 4.0, 1.0),
    (0.0, -13.0, 0.5),
    (0.0, 20.0, 0.5),
    (6.0, -12.0, 1.0),
    (-6.0, -12.0, 0.0),
    (0.0, -24.0, 0.5),
    (6.0, -24.0, 1.0),
    (6.0, -35.0, 1.0),
    (6.0, -46.0, 1.0),
)

BINDS = 0.1
"""Share of periods at capacity from which a node is marked as a bottleneck."""


@dataclass(frozen=True)
class Strain:
    """How hard the resources at a node, and on lanes, are used.

    Attributes:
        node: Largest share of periods at capacity of any resource of the node, shape (V,).
        lane: The same of any resource of the lane, shape (A,).
        reason: Names of the resources that bind, by node index.
    """

    node: FloatArray
    lane: FloatArray
    reason: dict[int, str]

    @classmethod
    def of(cls, network: Network, share: FloatArray) -> Strain:
        """From the share of periods in which each resource binds, shape (R,)."""
        node, lane = np.zeros(len(network.nodes)), np.zeros(len(network.lanes))
        reason: dict[int, str] = {}
        for resource, value in zip(network.resources, share.tolist(), strict=True):
            if resource.node is not None:
                if value >= BINDS and value > node[resource.node]:
                    reason[resource.node] = f"{resource.name} full in {percent(value)} of periods"
                node[resource.node] = max(node[resource.node], value)
            if resource.lane is not None:
                lane[resource.lane] = max(lane[resource.lane], value)
        return cls(node, lane, reason)


def network_map(network: Network, found: Breakdown, strain: Strain, unit: str) -> tuple[str, str]:
    """Draw the map.

    Args:
        network: The network.
        found: Mean flows, stock, demand and shortage.
        strain: Where resources bind.
        unit: Of quantity, a period.

    Returns:
        The drawing and what it leaves out, empty where nothing.
    """
    points, height = place(network, _WIDTH)
    nodes = _largest(found.stock + found.demand + _through(network, found.flow), _MOST_NODES)
    nodes = np.union1d(nodes, np.flatnonzero(network.kind != NodeKind.CUSTOMER)[:_MOST_NODES])
    shown = np.zeros(len(network.nodes), dtype=bool)
    shown[nodes] = True
    lanes = np.flatnonzero((found.flow > 0) & shown[network.origin] & shown[network.destination])
    used = int((found.flow > 0).sum())
    lanes = lanes[_largest(found.flow[lanes], _MOST_LANES)]
    parts = [_lane(network, found, strain, points, int(a), unit) for a in _thin_first(found, lanes)]
    order = np.argsort(-network.kind[nodes], kind="stable")
    parts += [_node(network, found, strain, points, int(v), unit) for v in nodes[order]]
    parts += _labels(network, points, nodes, height)
    left_out = []
    if len(nodes) < len(network.nodes):
        left_out.append(f"{len(network.nodes) - len(nodes):,} smaller nodes")
    if len(lanes) < used:
        left_out.append(f"{used - len(lanes):,} smaller lanes")
    drawing = picture(height, parts, "Map of the network with flows and bottlenecks", _WIDTH)
    return drawing, f"Not drawn: {' and '.join(left_out)}." if left_out else ""


def map_key(unmet: str) -> str:
    """What the marks of a map mean."""
    late = "lost" if unmet == "lost" else "waiting"
    marks = (
        ('<path d="M0 6h26" stroke="var(--accent)" stroke-width="4"/>', 26, "replenishment"),
        ('<path d="M0 6h26" stroke="var(--quiet)" stroke-width="1.2"/>', 26, "serving customers"),
        ('<rect x="1" y="1" width="10" height="10" fill="var(--accent)"/>', 12, "stock"),
        ('<path d="M6 0l6 11h-12z" fill="var(--quiet)"/>', 12, "supplier"),
        ('<circle cx="6" cy="6" r="5" fill="var(--good)"/>', 12, f"at most 2 % {late}"),
        ('<circle cx="6" cy="6" r="5" fill="var(--warn)"/>', 12, "2 to 10 %"),
        ('<circle cx="6" cy="6" r="5" fill="var(--bad)"/>', 12, "more than 10 %"),
        (
            '<rect x="2" y="2" width="8" height="8" fill="none" stroke="var(--bad)" '
            'stroke-width="3"/>',
            12,
            "bottleneck: a resource is full in 10 % of periods or more",
        ),
    )
    entries = (
        f'<span><svg width="{width}" height="12" viewBox="0 0 {width} 12" '
        f'style="display:inline-block;vertical-align:-1px;margin-right:.35em">{mark}</svg>'
        f"{meaning}</span>"
        for mark, width, meaning in marks
    )
    return f'<div class="legend">{"".join(entries)}</div>'


def _largest(values: FloatArray, most: int) -> IntArray:
    """Positions of the largest values, ascending."""
    return np.sort(np.argsort(-values, kind="stable")[:most])


def _through(network: Network, flow: FloatArray) -> FloatArray:
    total = np.zeros(len(network.nodes))
    np.add.at(total, network.origin, flow)
    return total


def _thin_first(found: Breakdown, lanes: IntArray) -> IntArray:
    return lanes[np.argsort(found.flow[lanes], kind="stable")]


def _lane(
    network: Network, found: Breakdown, strain: Strain, points: FloatArray, lane: int, unit: str
) -> str:
    serving = network.kind[network.destination[lane]] == NodeKind.CUSTOMER
    alike = network.serving_lanes if serving else network.replenishment_lanes
    share = found.flow[lane] / found.flow[alike].max()
    width = (0.3 + 1.7 * share**0.5) if serving else (0.8 + 7.0 * share**0.5)
    full = strain.lane[lane] >= BINDS
    stroke = "--bad" if full else "--quiet" if serving else "--accent"
    (x0, y0), (x1, y1) = points[network.origin[lane]], points[network.destination[lane]]
    # Bent to the right of its way, so that lanes there and back do not cover each other.
    bend = 0.0 if serving else 0.12
    cx, cy = (x0 + x1) / 2 - bend * (y1 - y0), (y0 + y1) / 2 + bend * (x1 - x0)
    u, v = network.lanes[lane]
    note = f"; full in {percent(strain.lane[lane])} of periods" if full else ""
    return (
        f'<path d="M{x0:.1f} {y0:.1f}Q{cx:.1f} {cy:.1f} {x1:.1f} {y1:.1f}" fill="none" '
        f'stroke="var({stroke})" stroke-width="{width:.1f}" stroke-opacity="0.55" '
        f'stroke-linecap="round"><title>{text(u)} to {text(v)}: {short(found.flow[lane])} '
        f"{text(unit)}{text(note)}</title></path>"
    )


def _node(
    network: Network, found: Breakdown, strain: Strain, points: FloatArray, node: int, unit: str
) -> str:
    x, y = points[node]
    title = text(network.nodes[node])
    demand, short_there = found.demand[node], found.short[node]
    missed = min(1.0, short_there / demand) if demand > 0 else 0.0
    if demand > 0:
        title += f"; demand {short(demand)} {text(unit)}, {percent(missed)} short"
    tone = "--good" if missed <= 0.02 else "--warn" if missed <= 0.1 else "--bad"
    kind = network.kind[node]
    if kind == NodeKind.SUPPLIER:
        mark = f'<path d="M{x:.1f} {y - 6:.1f}l6 11h-12z" fill="var(--quiet)"/>'
    elif kind == NodeKind.CUSTOMER:
        size = 2.0 + 5.0 * (demand / max(found.demand.max(), 1e-9)) ** 0.5
        mark = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" fill="var({tone})"/>'
    else:
        title += f"; stock {short(found.stock[node])}"
        side = 9.0 + 11.0 * (found.stock[node] / max(found.stock.max(), 1e-9)) ** 0.5
        ring = ""
        if strain.node[node] >= BINDS:
            ring = ' stroke="var(--bad)" stroke-width="3"'
            title += f"; {text(strain.reason[node])}"
        mark = (
            f'<rect x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side:.1f}" '
            f'height="{side:.1f}" rx="1.5" fill="var(--accent)"{ring}/>'
        )
        if demand > 0:
            mark += (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="var({tone})" '
                'stroke="var(--page)" stroke-width="1.5"/>'
            )
    return f"<g>{mark}<title>{title}</title></g>"


def _labels(network: Network, points: FloatArray, nodes: IntArray, height: float) -> list[str]:
    """Names of suppliers and stocking nodes, of customers too where there are few.

    Names that would cover others are left out: every mark says its name when pointed at.
    """
    named = nodes[network.kind[nodes] != NodeKind.CUSTOMER]
    if len(nodes) <= _MOST_LABELS:
        named = nodes
    if len(named) > _MOST_LABELS:
        named = named[network.kind[named] == NodeKind.STOCKING][:_MOST_LABELS]
    taken = [(x - 5.0, y - 5.0, x + 5.0, y + 5.0) for x, y in points[named].tolist()]
    result = []
    for v in named[np.argsort(-network.kind[named] % 2, kind="stable")].tolist():
        x, y = points[v]
        wide = 5.6 * len(network.nodes[v])
        for dx, dy, share in _PLACES:
            low = x + dx - share * wide
            box = (low, y + dy - 8.0, low + wide, y + dy + 2.0)
            free = not any(_overlap(box, other) for other in taken)
            if free and low > 0 and low + wide < _WIDTH and box[1] > 0 and box[3] < height:
                taken.append(box)
                anchor = {0.0: "start", 0.5: "middle", 1.0: "end"}[share]
                result.append(
                    f'<text class="halo" x="{x + dx:.1f}" y="{y + dy:.1f}" '
                    f'text-anchor="{anchor}">{text(network.nodes[v])}</text>'
                )
                break
    return result


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
