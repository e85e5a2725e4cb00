"""Capacitated warehouse location in the text format of OR-Library (cap41, ..., capa, capb, capc).

    number of warehouses, number of customers
    per warehouse: capacity, opening cost
    per customer: demand, then the cost of serving ALL of it from each warehouse

A customer may be served by several warehouses. capa, capb and capc hold the word ``capacity``
in place of numbers: it stands for each of four published values, each a problem of its own,
unless a capacity is given.

Source: Beasley (1988), An algorithm for solving large capacitated warehouse location problems,
    European Journal of Operational Research 33, 314-325.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import networkx as nx
import numpy as np
from optrl_formulations.linear_program import LinearProgram
from optrl_formulations.network import FloatArray

from optrl.formats.problem import (
    FormatError,
    OpenParameters,
    Problem,
    Tokens,
    parse_number,
    read_text,
)

_PUBLISHED_CAPACITIES = {
    "capa": (8000.0, 10000.0, 12000.0, 14000.0),
    "capb": (5000.0, 6000.0, 7000.0, 8000.0),
    "capc": (5000.0, 5750.0, 6500.0, 7250.0),
}


# With 100 warehouses the rows of the other lanes double the time and leave the relaxation as it is.
_STRONG_LANES = 30


@dataclass(frozen=True)
class WarehouseLocation:
    """Warehouse location, W warehouses and C customers.

    Attributes:
        capacity: Shape (W,), NaN where the file leaves it open.
        opening_cost: Shape (W,).
        demand: Shape (C,).
        serving_cost: Of all of a customer's demand, shape (W, C).
    """

    capacity: FloatArray
    opening_cost: FloatArray
    demand: FloatArray
    serving_cost: FloatArray

    def graph(self) -> nx.DiGraph[tuple[str, int]]:
        """The network design network: warehouses that may open, lanes to all customers."""
        graph: nx.DiGraph[tuple[str, int]] = nx.DiGraph()
        total = float(self.demand.sum())
        for i, (capacity, cost) in enumerate(zip(self.capacity, self.opening_cost, strict=True)):
            graph.add_node(
                ("warehouse", i),
                capacity=float(capacity),
                opening_cost=float(cost),
                supply_capacity=total,
            )
        unit_cost = self.serving_cost / self.demand
        for j, demand in enumerate(self.demand):
            graph.add_node(("customer", j), supply=-float(demand))
        for i in range(len(self.capacity)):
            for j in range(len(self.demand)):
                graph.add_edge(("warehouse", i), ("customer", j), unit_cost=float(unit_cost[i, j]))
        return graph

    def program(self) -> LinearProgram:
        """The mixed-integer program."""
        from optrl.formats.design import design_program

        return design_program(self.graph(), strong_lanes=_STRONG_LANES)


def recognizes(path: Path, head: str) -> bool:
    """Two counts on the first line, then lines of a capacity and a cost."""
    lines = [line.split() for line in head.splitlines()[:3] if line.strip()]
    if len(lines) < 2 or len(lines[0]) != 2 or len(lines[1]) != 2:
        return False
    capacity, cost = lines[1]
    return (
        all(word.isdigit() for word in lines[0])
        and (capacity == "capacity" or _is_number(capacity))
        and _is_number(cost)
    )


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """One problem, or one for each published capacity where the file leaves it open.

    Raises:
        FormatError: If the file does not follow the format, or leaves the capacity open and none
            is given or published.
    """
    location = parse(path)
    size = {"warehouses": len(location.capacity), "customers": len(location.demand)}
    asked = given.capacity if given is not None else None
    left_open = np.isnan(location.capacity)
    if not left_open.any():
        if asked is not None:
            raise FormatError(
                path, None, "the file states its capacities", "Leave out the capacity."
            )
        return (Problem(path.stem, size, location.program),)
    capacities = (asked,) if asked is not None else _PUBLISHED_CAPACITIES.get(path.stem)
    if capacities is None:
        raise FormatError(
            path,
            2,
            "the capacity is left open and no values are published for this name",
            "Give a capacity.",
            "capacity",
        )
    problems = []
    for value in capacities:
        if not (math.isfinite(value) and value > 0):
            raise FormatError(
                path, None, "the capacity must be positive", "Give another.", f"{value}"
            )
        filled = replace(location, capacity=np.where(left_open, value, location.capacity))
        problems.append(
            Problem(f"{path.stem}_{value:g}", size, filled.program, {"capacity": value})
        )
    return tuple(problems)


def parse(path: Path) -> WarehouseLocation:
    """Read the numbers.

    Raises:
        FormatError: If the file does not follow the format.
    """
    tokens = Tokens(path, read_text(path))
    warehouses = tokens.integer("the number of warehouses", low=1)
    customers = tokens.integer("the number of customers", low=1)
    capacity, opening_cost = np.zeros(warehouses), np.zeros(warehouses)
    for i in range(warehouses):
        what = f"the capacity of warehouse {i + 1}"
        word = tokens.word(what)
        if word == "capacity":
            capacity[i] = np.nan
        else:
            capacity[i] = parse_number(path, word, tokens.line, what, low=0)
        opening_cost[i] = tokens.number(f"the opening cost of warehouse {i + 1}", low=0)
    demand, serving_cost = np.zeros(customers), np.zeros((warehouses, customers))
    for j in range(customers):
        demand[j] = tokens.number(f"the demand of customer {j + 1}", low=0)
        if demand[j] == 0:
            raise FormatError(
                path,
                tokens.line,
                f"customer {j + 1} has no demand, so that serving it has no unit cost",
                "Remove the customer.",
                "0",
            )
        for i in range(warehouses):
            serving_cost[i, j] = tokens.number(
                f"the cost of serving customer {j + 1} from warehouse {i + 1}", low=0
            )
    if not tokens.done():
        word = tokens.word("")
        raise FormatError(
            path,
            tokens.line,
            f"text follows the last of {customers} customers",
            "Correct the counts on the first line or remove it.",
            word,
        )
    return WarehouseLocation(capacity, opening_cost, demand, serving_cost)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
