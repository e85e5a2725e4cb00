"""Where nodes lie on the network map: by their coordinates, or in layers."""

from __future__ import annotations

import math
from typing import Any

import networkx as nx
import numpy as np
from optrl_formulations.network import FloatArray, Network, NodeKind

_MARGIN = 26.0
_APART = 24.0


def place(network: Network, width: float) -> tuple[FloatArray, float]:
    """Coordinates (x, y) of each node, shape (V, 2), and the height of the map.

    Nodes with `latitude` and `longitude` are projected; suppliers far from all others are drawn
    on the map's edge in their direction. Without coordinates suppliers stand left, customers
    right, stocking nodes between by their longest way from a supplier.
    """
    attributes: list[dict[str, Any]] = [network.graph.nodes[v] for v in network.nodes]
    if all(_is_place(each) for each in attributes):
        where = np.array([[float(a["longitude"]), float(a["latitude"])] for a in attributes])
        own = where[network.kind != NodeKind.SUPPLIER]
        if len(own) and np.ptp(own, axis=0).max() > 0:
            return _project(network, where, own, width)
    return _layers(network, width)


def _is_place(attributes: dict[str, Any]) -> bool:
    try:
        found = [float(attributes[name]) for name in ("latitude", "longitude")]
    except (KeyError, TypeError, ValueError):
        return False
    return all(math.isfinite(x) for x in found)


def _project(
    network: Network, where: FloatArray, own: FloatArray, width: float
) -> tuple[FloatArray, float]:
    squeeze = math.cos(math.radians(float(own[:, 1].mean())))
    plane = where * np.array([squeeze, -1.0])
    low = plane[network.kind != NodeKind.SUPPLIER].min(axis=0)
    span = plane[network.kind != NodeKind.SUPPLIER].max(axis=0) - low
    scale = (width - 2 * _MARGIN) / max(span[0], span[1] / 1.1)
    height = float(span[1] * scale + 2 * _MARGIN)
    indent = (width - span[0] * scale) / 2
    points = (plane - low) * scale + np.array([indent, _MARGIN])
    inner_low, inner_high = np.full(2, 9.0), np.array([width - 9.0, height - 9.0])
    outside = ((points < inner_low) | (points > inner_high)).any(axis=1)
    centre = np.array([width / 2, height / 2])
    for v in np.flatnonzero(outside):
        away = points[v] - centre
        with np.errstate(divide="ignore"):
            reach = np.where(away > 0, inner_high - centre, inner_low - centre) / away
        points[v] = centre + away * np.abs(reach).min()
    return _spread(points, outside, inner_low, inner_high), height


def _spread(
    points: FloatArray, outside: np.ndarray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Move nodes on the frame apart along it."""
    size = high - low
    around = 2 * float(size.sum())

    def along(point: FloatArray) -> float:
        x, y = point - low
        if y <= 0.5:
            return float(x)
        if x >= size[0] - 0.5:
            return float(size[0] + y)
        if y >= size[1] - 0.5:
            return float(size[0] + size[1] + size[0] - x)
        return float(around - y)

    def at(s: float) -> tuple[float, float]:
        s %= around
        wide, tall = float(size[0]), float(size[1])
        x, y = 0.0, around - s
        if s <= wide:
            x, y = s, 0.0
        elif s <= wide + tall:
            x, y = wide, s - wide
        elif s <= 2 * wide + tall:
            x, y = 2 * wide + tall - s, tall
        return float(low[0]) + x, float(low[1]) + y

    members = sorted(np.flatnonzero(outside).tolist(), key=lambda v: (along(points[v]), v))
    if not members:
        return points
    gap = min(_APART, around / len(members))
    wanted = np.array([along(points[v]) for v in members])
    # Least squares under a smallest distance: pool neighbours that are too close.
    offset = np.arange(len(members)) * gap
    groups: list[list[float]] = []
    for value in wanted - offset:
        groups.append([float(value)])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    fitted = np.concatenate([np.full(len(g), np.mean(g)) for g in groups]) + offset
    for v, s in zip(members, fitted, strict=True):
        points[v] = at(float(s))
    return points


def _layers(network: Network, width: float) -> tuple[FloatArray, float]:
    depth = _depth(network)
    columns = sorted(set(depth))
    tallest = max(depth.count(d) for d in columns)
    height = min(520.0, max(160.0, 34.0 * tallest + 2 * _MARGIN))
    points = np.zeros((len(depth), 2))
    left, right = 14.0, width - 14.0
    for position, column in enumerate(columns):
        members = [v for v, d in enumerate(depth) if d == column]
        x = left + (right - left) * position / max(1, len(columns) - 1)
        for row, v in enumerate(members):
            y = _MARGIN + (height - 2 * _MARGIN) * (row + 0.5) / len(members)
            points[v] = x, y
    return points, height


def _depth(network: Network) -> list[int]:
    """Column of each node: longest way from a supplier, cycles counted as one step."""
    groups: nx.DiGraph[int] = nx.condensation(network.graph)
    member: dict[str, int] = groups.graph["mapping"]
    level: dict[int, int] = {}
    for group in nx.topological_sort(groups):
        level[group] = max((level[p] + 1 for p in groups.predecessors(group)), default=0)
    last = max(level.values(), default=0)
    result = []
    for v, node in enumerate(network.nodes):
        kind = network.kind[v]
        if kind == NodeKind.SUPPLIER:
            result.append(0)
        elif kind == NodeKind.CUSTOMER:
            result.append(last)
        else:
            result.append(max(1, level[member[node]]) if last else 0)
    return result
