"""From a network read from a file to its network design program."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pyomo.environ as pyo
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network_design import add_network_design

from optrl.solver import compile_model


def design_program(graph: nx.Graph[Any], *, strong_lanes: int | None = None) -> LinearProgram:
    """The program of `add_network_design` over the graph.

    Raises:
        ValueError: See `add_network_design`.
    """
    model = pyo.ConcreteModel()
    model.design = pyo.Block()
    design = add_network_design(model.design, graph, strong_lanes=strong_lanes)
    model.total_cost = pyo.Objective(expr=design.cost)
    return compile_model(model)
