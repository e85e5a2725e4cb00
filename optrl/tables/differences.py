"""Names what differs between two instances."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import networkx as nx
import numpy as np

from optrl.instance import Instance


def differences(one: Instance, other: Instance) -> tuple[str, ...]:
    """Paths of the values that differ, for example ``network.lane_cost``; empty if none does.

    Arrays are compared exactly, graphs by names, order, node kinds and lead times. Arrays without
    entries are equal if their last axes agree.
    """
    return tuple(_compare("", one, other))


def _compare(path: str, one: Any, other: Any) -> list[str]:  # values of every field type
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        if one is None or other is None:
            return [path]
        if one.size == 0 and other.size == 0:
            return [] if one.shape[-1:] == other.shape[-1:] else [path]
        return [] if np.array_equal(one, other) else [path]
    if isinstance(one, nx.DiGraph):
        return [] if _graph(one) == _graph(other) else [path]
    if is_dataclass(one) and type(one) is type(other):
        return [
            found
            for item in fields(one)
            for found in _compare(
                f"{path}.{item.name}".lstrip("."),
                getattr(one, item.name),
                getattr(other, item.name),
            )
        ]
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for k, (a, b) in pairs for found in _compare(f"{path}[{k}]", a, b)]
    return [] if one == other else [path]


def _graph(graph: nx.DiGraph[str]) -> tuple[object, ...]:
    return list(graph.nodes(data="kind")), list(graph.edges(data="lead_time"))
