"""Small networks whose right decisions can be computed by hand."""

from collections.abc import Callable, Mapping, Sequence

import networkx as nx
import numpy as np
import pytest
from optrl_formulations.network import Network, NodeKind

from optrl.instance import DemandTable, Instance

BuildInstance = Callable[..., Instance]


def build(
    nodes: Mapping[str, str],
    lanes: Mapping[tuple[str, str], int],
    demand_at: Sequence[str],
    *,
    items: int = 1,
    unmet: str = "lost",
    holding: Mapping[str, float] | None = None,
    shortage: float = 9.0,
    on_hand: Mapping[str, float] | None = None,
    due: Mapping[str, Sequence[float]] | None = None,
    backlog: Mapping[str, float] | None = None,
    demand: float = 5.0,
    horizon: int = 4,
    **coefficients: object,
) -> Instance:
    """An instance of given lanes and lead times; everything else costs nothing.

    Lanes must be listed by origin, in the order of `nodes`, as the graph lists them.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    for name, kind in nodes.items():
        graph.add_node(name, kind=kind)
    for (u, v), lead in lanes.items():
        graph.add_edge(u, v, lead_time=lead)
    assert list(graph.edges) == list(lanes)
    n, v, a = items, len(nodes), len(lanes)
    names = list(nodes)

    def by_node(values: Mapping[str, float] | None) -> np.ndarray:
        row = np.array([(values or {}).get(name, 0.0) for name in names])
        return np.tile(row, (n, 1))

    zero, free = np.zeros((n, a)), np.zeros((n, v))
    arrays: dict[str, object] = {
        **dict.fromkeys(("unit_cost", "volume", "weight", "time"), np.zeros(n)),
        "allowed": np.ones((n, a), dtype=bool),
        **dict.fromkeys(("lane_cost", "fixed_cost", "lot_size", "minimum_quantity"), zero),
        "maximum_quantity": np.full((n, a), np.inf),
        "setup_time": zero,
        "joint_fixed_cost": np.zeros(a),
        "review_period": np.ones(a, dtype=np.int64),
        "review_offset": np.zeros(a, dtype=np.int64),
        "holding_cost": by_node(holding),
        "shortage_cost": np.full((n, v), shortage),
        **dict.fromkeys(("terminal_value", "service_level"), free),
        "supply_capacity": np.full((n, v), np.inf),
    }
    arrivals = coefficients.pop("arrivals", ())
    network = Network(
        graph=graph, items=tuple(map(str, range(n))), unmet=unmet, **arrays | coefficients
    )
    assert NodeKind.SUPPLIER in network.kind
    pipeline = np.zeros((n, v, max([len(x) for x in (due or {}).values()], default=0)))
    for name, values in (due or {}).items():
        pipeline[:, names.index(name), : len(values)] = values
    where = np.array(sorted(names.index(x) for x in demand_at))
    return Instance(
        name="small",
        period="week",
        periods_per_year=52,
        money="EUR",
        quantity="units",
        network=network,
        start=0,
        horizon=horizon,
        on_hand=by_node(on_hand),
        due=pipeline,
        backlog=by_node(backlog),
        demand=DemandTable(where, 0, np.full((n, len(where), horizon), demand)),
        arrivals=arrivals,
    )


@pytest.fixture(scope="session")
def build_instance() -> BuildInstance:
    """Builds an instance from node kinds, lead times and demand nodes."""
    return build
