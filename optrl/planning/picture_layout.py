"""Where the picture of a network puts its nodes: on a map, or in layers by echelon."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import BoolArray, FloatArray, IntArray, Network, NodeKind

_KM_PER_DEGREE = 111.2
_NEAR = 0.15
"""Suppliers within this share of the map's width or height beyond its edge stay in place."""
_MARGIN = 0.09
_SPACING = 0.085
"""Between far suppliers on one side, as a share of the map's height."""
_SWEEPS = 4


@dataclass(frozen=True)
class Layout:
    """Places of nodes.

    Attributes:
        place: Shape (V, 2); km on a map, else in [0, 1].
        is_map: Whether places are geographic.
        side: -1 for a far supplier shown at the left edge, 1 at the right, 0 for all others,
            shape (V,).
        distance: Distance of far suppliers from the middle of the map, km, 0 for all others,
            shape (V,).
        layer: Echelon, 0 for suppliers, shape (V,).
    """

    place: FloatArray
    is_map: bool
    side: IntArray
    distance: FloatArray
    layer: IntArray


def lay_out(network: Network) -> Layout:
    """A map where all stocking nodes and customers have latitude and longitude, else layers."""
    degrees = np.array(
        [
            [network.graph.nodes[v].get(key, math.nan) for key in ("longitude", "latitude")]
            for v in network.nodes
        ],
        dtype=float,
    ).reshape(-1, 2)
    known = np.isfinite(degrees).all(axis=1)
    inside = network.kind != NodeKind.SUPPLIER
    layer = echelons(network)
    extent = np.ptp(degrees[inside], axis=0) if known[inside].all() and inside.any() else (0.0,)
    if max(extent) > 0:
        return _map(network, degrees, known, inside, layer)
    v = len(network.nodes)
    return Layout(_layers(network, layer), False, np.zeros(v, dtype=np.int64), np.zeros(v), layer)


def echelons(network: Network) -> IntArray:
    """Fewest lanes from a supplier to each node, shape (V,); customers come last."""
    following: dict[int, list[int]] = {}
    for u, v in zip(network.origin.tolist(), network.destination.tolist(), strict=True):
        following.setdefault(u, []).append(v)
    depth = np.full(len(network.nodes), -1, dtype=np.int64)
    queue = deque(np.flatnonzero(network.kind == NodeKind.SUPPLIER).tolist())
    depth[list(queue)] = 0
    while queue:
        u = queue.popleft()
        for v in following.get(u, ()):
            if depth[v] < 0:
                depth[v] = depth[u] + 1
                queue.append(v)
    depth[depth < 0] = 1  # only stock at the start feeds it
    customers = network.kind == NodeKind.CUSTOMER
    depth[customers] = depth[~customers].max(initial=0) + 1
    return depth


def _map(
    network: Network, degrees: FloatArray, known: BoolArray, inside: BoolArray, layer: IntArray
) -> Layout:
    longitude, latitude = degrees[:, 0].copy(), degrees[:, 1]
    if np.ptp(longitude[inside]) > 180:  # the network lies about the date line
        longitude[longitude < 0] += 360
    middle = float(latitude[inside].mean())
    place = np.column_stack(
        [longitude * _KM_PER_DEGREE * math.cos(math.radians(middle)), latitude * _KM_PER_DEGREE]
    )
    low, high = place[inside].min(axis=0), place[inside].max(axis=0)
    size = np.maximum(high - low, 0.25 * (high - low).max())
    center = (low + high) / 2
    low, high = center - size / 2, center + size / 2
    near = ((place >= low - _NEAR * size) & (place <= high + _NEAR * size)).all(axis=1)
    far = ~near | ~known
    distance = np.zeros(len(place))
    distance[far & known] = np.linalg.norm(place[far & known] - center, axis=1)
    side = np.zeros(len(place), dtype=np.int64)
    side[far] = np.where(place[far, 0] > center[0], 1, -1)
    edge = {-1: min(low[0], place[~far, 0].min()), 1: max(high[0], place[~far, 0].max())}
    for which in (-1, 1):
        members = np.flatnonzero(side == which)
        if not len(members):
            continue
        away = place[members] - center
        # Where the line from the middle crosses the side; without a known place, the middle.
        crossing = away[:, 1] / np.maximum(np.abs(away[:, 0]), 1e-9) * size[0] / 2
        wanted = np.clip(np.nan_to_num(crossing) / size[1], -0.5, 0.5)
        order = np.argsort(wanted, kind="stable")
        height = _spread(wanted[order], _SPACING)
        place[members[order], 0] = edge[which] + which * _MARGIN * size[0]
        place[members[order], 1] = center[1] + height * size[1]
    return Layout(place, True, side, distance, layer)


def _spread(wanted: FloatArray, spacing: float) -> FloatArray:
    """Ascending heights moved apart to at least `spacing`, within -0.5 to 0.5 where they fit."""
    rank = np.arange(len(wanted)) * spacing
    # Isotonic regression by pooling neighbours keeps each as near to its wish as order allows.
    pools: list[tuple[float, int]] = []
    for value in wanted - rank:
        pools.append((float(value), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, m), (b, n) = pools[-2:]
            pools[-2:] = [((a * m + b * n) / (m + n), m + n)]
    start = np.repeat([mean for mean, _ in pools], [count for _, count in pools])
    low, high = -0.5, 0.5 - rank[-1]
    spread: FloatArray = np.clip(start, low, max(low, high)) + rank
    return spread


def _layers(network: Network, layer: IntArray) -> FloatArray:
    """Columns by echelon, ordered within by the mean place of neighbours to avoid crossings."""
    v = len(network.nodes)
    columns = [np.flatnonzero(layer == k) for k in range(int(layer.max(initial=0)) + 1)]
    columns = [column for column in columns if len(column)]
    height = np.zeros(v)
    for column in columns:
        height[column] = _even(len(column))
    u, w = network.origin, network.destination
    between = layer[u] != layer[w]
    u, w = u[between], w[between]
    degree = np.bincount(u, minlength=v) + np.bincount(w, minlength=v)
    for _ in range(_SWEEPS):
        for k, column in enumerate(columns):
            total = np.bincount(u, height[w], v) + np.bincount(w, height[u], v)
            mean = np.divide(total, degree, out=height.copy(), where=degree > 0)
            columns[k] = column[np.argsort(-mean[column], kind="stable")]
            height[columns[k]] = _even(len(column))
    place = np.zeros((v, 2))
    for k, column in enumerate(columns):
        place[column, 0] = k / max(1, len(columns) - 1)
    place[:, 1] = height
    return place


def _even(count: int) -> FloatArray:
    return 1 - (np.arange(count) + 0.5) / count
