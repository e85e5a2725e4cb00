"""Guaranteed-service safety stock networks as comma-separated text.

    stage_id,lead_time,max_s_time,cost_rate,risk_pool,ext_demand_mean,ext_demand_std,
    ext_demand_thres,up_stages

``cost_rate`` is the cost that the stage adds to a unit, an empty ``max_s_time`` leaves the
service time free, ``risk_pool`` is the exponent of pooling, ``ext_demand_thres`` the safety
factor, and pairs of supplier stage and quantity follow in the last columns.

The files state no holding rate, which only scales the objective. It is taken from, in this order:
the parameter given; the field ``rate`` of the entry of the file's stem in a ``known_values.json``
beside it; 1, so that the objective is the value of the safety stock.

Source: the networks of Graves and Willems (2000, 2003) as published with the Stochastic Network
    Control project.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import networkx as nx
from optrl_formulations.linear_program import LinearProgram

from optrl.formats.problem import (
    FormatError,
    OpenParameters,
    Problem,
    parse_integer,
    parse_number,
    read_text,
)

_COLUMNS = (
    "stage_id",
    "lead_time",
    "max_s_time",
    "cost_rate",
    "risk_pool",
    "ext_demand_mean",
    "ext_demand_std",
    "ext_demand_thres",
    "up_stages",
)
_SIDECAR = "known_values.json"


def recognizes(path: Path, head: str) -> bool:
    """The header of the table."""
    return head.lstrip("\ufeff").startswith(",".join(_COLUMNS[:3]))


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problem of the file.

    Raises:
        FormatError: If the file does not follow the format.
    """
    graph = parse(path)
    rate, notes = _holding_rate(path, given)

    def program() -> LinearProgram:
        import pyomo.environ as pyo
        from optrl_formulations.safety_stock import add_safety_stock

        from optrl.solver import compile_model

        model = pyo.ConcreteModel()
        model.stages = pyo.Block()
        stock = add_safety_stock(model.stages, graph, holding_rate=rate)
        model.total_cost = pyo.Objective(expr=stock.cost)
        return compile_model(model)

    size = {"stages": graph.number_of_nodes(), "arcs": graph.number_of_edges()}
    return (Problem(path.stem, size, program, {"holding_rate": rate}, notes),)


def parse(path: Path) -> nx.DiGraph[str]:
    """Read the network, with the attributes of `add_safety_stock`.

    Raises:
        FormatError: If the file does not follow the format.
    """
    lines = read_text(path).lstrip("\ufeff").splitlines()
    header = tuple(lines[0].strip().split(",")) if lines else ()
    if header != _COLUMNS:
        raise FormatError(
            path,
            1,
            f"the columns must be {', '.join(_COLUMNS)}",
            "Correct the header.",
            ",".join(header),
        )
    graph: nx.DiGraph[str] = nx.DiGraph()
    drawn: list[tuple[int, str, str, float]] = []
    for number, row in enumerate(csv.reader(lines[1:]), start=2):
        words = [word.strip() for word in row]
        if not any(words):
            continue
        stage = words[0]
        if not stage or stage in graph:
            problem = "the stage is given twice" if stage else "the stage has no name"
            raise FormatError(path, number, problem, "Name every stage once.", stage)
        words += [""] * (len(_COLUMNS) - 1 - len(words))
        graph.add_node(stage, **_stage(path, number, words))
        suppliers = [word for word in words[8:] if word]
        if len(suppliers) % 2:
            raise FormatError(
                path,
                number,
                "up_stages must be pairs of stage and quantity",
                "Complete the last pair.",
                ",".join(suppliers),
            )
        for supplier, quantity in zip(suppliers[::2], suppliers[1::2], strict=True):
            units = parse_number(path, quantity, number, f"the quantity of {supplier}", low=0)
            drawn.append((number, supplier, stage, units))
    for number, supplier, stage, units in drawn:
        if supplier not in graph:
            raise FormatError(
                path, number, "the supplier is no stage", "Add its row or correct it.", supplier
            )
        graph.add_edge(supplier, stage, quantity=units)
    if not nx.is_directed_acyclic_graph(graph):
        cycle = " -> ".join(arc[0] for arc in nx.find_cycle(graph))
        raise FormatError(path, None, "stages supply each other in a cycle", "Break it.", cycle)
    for stage, attributes in graph.nodes(data=True):
        if not graph.out_degree(stage) and "demand_standard_deviation" not in attributes:
            raise FormatError(
                path,
                None,
                "the stage supplies no other and has no external demand",
                "Give ext_demand_std and ext_demand_thres, or remove it.",
                stage,
            )
    return graph


def _stage(path: Path, line: int, words: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "lead_time": parse_integer(path, words[1], line, "lead_time"),
        "added_cost": parse_number(path, words[3], line, "cost_rate", low=0),
    }
    if words[2]:
        result["maximum_service_time"] = parse_integer(path, words[2], line, "max_s_time")
    if words[4]:
        result["risk_pooling"] = parse_number(path, words[4], line, "risk_pool", low=1)
    if words[6]:
        result["demand_standard_deviation"] = parse_number(
            path, words[6], line, "ext_demand_std", low=0
        )
        result["safety_factor"] = parse_number(path, words[7], line, "ext_demand_thres", low=0)
    return result


def _holding_rate(path: Path, given: OpenParameters | None) -> tuple[float, tuple[str, ...]]:
    if given is not None and given.holding_rate is not None:
        return parse_number(path, str(given.holding_rate), 1, "the holding rate", low=0), ()
    sidecar = path.parent / _SIDECAR
    if sidecar.is_file():
        try:
            entry = json.loads(read_text(sidecar)).get(path.stem, {})
        except (json.JSONDecodeError, AttributeError) as error:
            raise FormatError(
                sidecar, None, "is no JSON object", "Correct it, or give the holding rate."
            ) from error
        if isinstance(entry, dict) and "rate" in entry:
            rate = parse_number(sidecar, str(entry["rate"]), 1, f"the rate of {path.stem}", low=0)
            return rate, (f"holding rate {rate:g} from {_SIDECAR} beside the file",)
    return 1.0, ("no holding rate given: the objective is the value of the safety stock",)
