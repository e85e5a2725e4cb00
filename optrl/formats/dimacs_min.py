"""Minimum-cost flow in the DIMACS format (.min).

    c comment
    p min NODES ARCS
    n NODE SUPPLY                  (negative for demand; nodes not named have none)
    a TAIL HEAD LOWER CAPACITY COST

Source: DIMACS (1991), The first DIMACS international algorithm implementation challenge: problem
    definitions and specifications.
"""

from __future__ import annotations

from pathlib import Path

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


def recognizes(path: Path, head: str) -> bool:
    """A problem line ``p min`` before any node or arc."""
    for line in head.splitlines():
        words = line.split()
        if words and words[0] != "c":
            return words[:2] == ["p", "min"]
    return False


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problem of the file.

    Raises:
        FormatError: If the file does not follow the format or supply cannot meet demand.
    """
    graph = parse(path)

    def program() -> LinearProgram:
        from optrl.formats.design import design_program

        return design_program(graph)

    size = {"nodes": graph.number_of_nodes(), "arcs": graph.number_of_edges()}
    return (Problem(path.stem, size, program),)


def parse(path: Path) -> nx.MultiDiGraph[int]:
    """Read the network, with the attributes of `add_network_design`.

    Raises:
        FormatError: If the file does not follow the format or supply differs from demand.
    """
    graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
    stated: int | None = None
    number = 0
    for number, text in enumerate(read_text(path).splitlines(), start=1):
        words = text.split()
        kind = words[0] if words else "c"
        if kind == "c":
            continue
        expected = {"p": 4, "n": 3, "a": 6}.get(kind)
        if expected is None:
            raise FormatError(
                path, number, "a line starts with c, p, n or a", "Correct or remove it.", text
            )
        if len(words) != expected:
            raise FormatError(
                path, number, f"a line {kind!r} has {expected} words", "Correct the line.", text
            )
        if kind == "p":
            if stated is not None:
                raise FormatError(path, number, "a second problem line", "Remove it.", text)
            graph.add_nodes_from(
                range(1, parse_integer(path, words[2], number, "the number of nodes", low=1) + 1)
            )
            stated = parse_integer(path, words[3], number, "the number of arcs")
        elif stated is None:
            raise FormatError(
                path, number, "the problem line must come first", "Add 'p min NODES ARCS'.", text
            )
        elif kind == "n":
            node = _node(path, graph, words[1], number)
            if "supply" in graph.nodes[node]:
                raise FormatError(
                    path, number, "the node's supply is given twice", "Keep one line.", words[1]
                )
            graph.nodes[node]["supply"] = parse_number(path, words[2], number, "the supply")
        else:
            _add_arc(path, graph, words, number)
    if stated is None:
        raise FormatError(path, number, "there is no problem line", "Add 'p min NODES ARCS'.")
    if graph.number_of_edges() != stated:
        raise FormatError(
            path,
            number,
            f"{stated} arcs are stated on the problem line, {graph.number_of_edges()} follow",
            "Correct the count or complete the file.",
        )
    surplus = sum(attributes.get("supply", 0.0) for _, attributes in graph.nodes(data=True))
    if abs(surplus) > 1e-9:
        raise FormatError(
            path,
            None,
            "supply and demand must sum to 0",
            "Correct the node lines.",
            f"{surplus:g}",
        )
    return graph


def _node(path: Path, graph: nx.MultiDiGraph[int], word: str, line: int) -> int:
    node = parse_integer(path, word, line, "a node number", low=1)
    if node not in graph:
        raise FormatError(
            path,
            line,
            f"nodes are numbered up to {graph.number_of_nodes()}",
            "Correct the number or the problem line.",
            word,
        )
    return node


def _add_arc(path: Path, graph: nx.MultiDiGraph[int], words: list[str], line: int) -> None:
    tail, head = (_node(path, graph, word, line) for word in words[1:3])
    lower = parse_number(path, words[3], line, "the lower bound", low=0)
    capacity = parse_number(path, words[4], line, "the capacity", low=0)
    if lower > capacity:
        raise FormatError(
            path,
            line,
            f"the lower bound {words[3]} exceeds the capacity",
            "Correct the arc.",
            words[4],
        )
    cost = parse_number(path, words[5], line, "the cost")
    graph.add_edge(tail, head, minimum_flow=lower, capacity=capacity, unit_cost=cost)
