"""Single-commodity fixed-charge network flow as FCNetLib's GAMS include files.

The files set ``fcost`` and ``vcost`` (fixed and unit cost of an arc, by from, to and copy: parallel
arcs have several copies) and ``demand`` (inflow minus outflow; negative is supply), and then
change them by statements. The statements matter and are obeyed in order; one that is not
known is an error rather than ignored. An arc exists where ``xupp`` makes its flow possible.

Source: Ortega and Wolsey (2003), A branch-and-cut algorithm for the single-commodity,
    uncapacitated, fixed-charge network flow problem, Networks 41, 143-158.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import networkx as nx
from optrl_formulations.linear_program import LinearProgram

from optrl.formats.problem import (
    FormatError,
    OpenParameters,
    Problem,
    parse_number,
    read_text,
)

_Arc = tuple[str, str, str]
_WIDTH = {"fcost": 4, "vcost": 4, "demand": 2}
_TABLE = re.compile(r"parameter(fcost|vcost|demand)\((?:m,n,s|n)\)/", re.IGNORECASE)
_SET = re.compile(r"set([ns])/([a-z]+)(\d+)(?:\*\2(\d+))?/", re.IGNORECASE)
_SCALE = re.compile(r"fcost\(m,n,s\)=([0-9.e+-]+)\*fcost\(m,n,s\)", re.IGNORECASE)


@dataclass
class _Reading:
    """Tables as the statements so far have left them."""

    nodes: list[str] = field(default_factory=list)
    copies: set[str] = field(default_factory=set)
    fcost: dict[_Arc, float] = field(default_factory=dict)
    vcost: dict[_Arc, float] = field(default_factory=dict)
    demand: dict[str, float] = field(default_factory=dict)
    capacity: float = 0.0
    possible: dict[_Arc, float] = field(default_factory=dict)


def recognizes(path: Path, head: str) -> bool:
    """A GAMS parameter named fcost over arcs."""
    return re.search(r"^\s*parameter\s+fcost\s*\(", head, re.IGNORECASE | re.MULTILINE) is not None


def read(path: Path, given: OpenParameters | None = None) -> tuple[Problem, ...]:
    """The problem of the file.

    Raises:
        FormatError: If the file does not follow the format.
    """
    graph = parse(path)

    def program() -> LinearProgram:
        from optrl.formats.design import design_program

        return design_program(graph)

    size = {"nodes": graph.number_of_nodes(), "arcs": graph.number_of_edges()}
    return (Problem(path.stem, size, program),)


def parse(path: Path) -> nx.MultiDiGraph[str]:
    """Read the network, with the attributes of `add_network_design`.

    Raises:
        FormatError: If the file does not follow the format.
    """
    reading = _Reading()
    for line, statement, rows in _statements(path):
        squeezed = re.sub(r"\s+", "", statement)
        table = _TABLE.fullmatch(squeezed)
        if table is not None:
            _fill(path, reading, table[1].lower(), rows)
        elif not _apply(reading, squeezed.lower(), _SET.fullmatch(squeezed)):
            raise FormatError(
                path,
                line,
                "this statement is not one of the format's",
                "Remove it, or extend the reader if it changes the problem.",
                statement.strip(),
            )
    last = read_text(path).count("\n")
    if not reading.possible:
        raise FormatError(path, last, "no arc can carry flow", "Add the xupp statement.")
    surplus = sum(reading.demand.values())
    if abs(surplus) > 1e-9:
        raise FormatError(
            path, None, "demand must sum to 0 over the nodes", "Correct it.", f"{surplus:g}"
        )
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    graph.add_nodes_from((n, {"supply": -reading.demand.get(n, 0.0)}) for n in reading.nodes)
    for (tail, head, copy), capacity in reading.possible.items():
        graph.add_edge(
            tail,
            head,
            key=copy,
            capacity=capacity,
            fixed_cost=reading.fcost.get((tail, head, copy), 0.0),
            unit_cost=reading.vcost.get((tail, head, copy), 0.0),
        )
    return graph


def _statements(path: Path) -> list[tuple[int, str, list[tuple[int, list[str]]]]]:
    """Statements with their first line, and the rows between a table's slashes."""
    result: list[tuple[int, str, list[tuple[int, list[str]]]]] = []
    first, text, rows, inside, depth = 0, "", [], False, 0
    number = 0
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.startswith(("*", "$")) or not line.strip():
            continue
        if inside and line.strip() != "/;":
            rows.append((number, line.replace(",", " ").split()))
            continue
        first = first or number
        text += line
        depth += line.count("(") - line.count(")")
        inside = not inside and line.lstrip().lower().startswith("parameter")
        if line.rstrip().endswith(";") and depth == 0:
            statement = text.rstrip().rstrip(";")
            result.append((first, statement.removesuffix("/") if rows else statement, rows))
            first, text, rows = 0, "", []
    if text:
        raise FormatError(
            path,
            number,
            f"the statement that begins on line {first} does not end",
            "End it with a semicolon.",
            text.strip()[:60],
        )
    return result


def _fill(path: Path, reading: _Reading, table: str, rows: list[tuple[int, list[str]]]) -> None:
    known = set(reading.nodes)
    for line, words in rows:
        if len(words) != _WIDTH[table]:
            raise FormatError(
                path,
                line,
                f"a row of {table} has {_WIDTH[table]} words",
                "Correct the row.",
                " ".join(words),
            )
        nodes = words[:1] if table == "demand" else words[:2]
        for node in nodes:
            if node not in known:
                raise FormatError(
                    path, line, "the node is not in Set n", "Correct it or the set.", node
                )
        value = parse_number(path, words[-1], line, f"the {table}")
        if table == "demand":
            reading.demand[words[0]] = value
            continue
        if words[2] not in reading.copies:
            raise FormatError(
                path, line, "the copy is not in Set s", "Correct it or the set.", words[2]
            )
        costs = reading.fcost if table == "fcost" else reading.vcost
        costs[words[0], words[1], words[2]] = value


def _apply(reading: _Reading, statement: str, members: re.Match[str] | None) -> bool:
    """Obey one statement, given without blanks and in lower case; False if it is not known."""
    if members is not None:
        low, high = int(members[3]), int(members[4] or members[3])
        names = [f"{members[2]}{k}" for k in range(low, high + 1)]
        if members[1].lower() == "n":
            reading.nodes = names
        else:
            reading.copies = set(names)
        return True
    scale = _SCALE.fullmatch(statement)
    if scale is not None:
        reading.fcost = {arc: float(scale[1]) * cost for arc, cost in reading.fcost.items()}
        return True
    match statement:
        case "demand(n)=-demand(n)":
            reading.demand = {n: -d for n, d in reading.demand.items()}
        case "u=-sum(n$(demand(n)<0),demand(n))":
            reading.capacity = -sum(d for d in reading.demand.values() if d < 0)
        case "xupp(m,n,s)$fcost(m,n,s)=u":
            reading.possible = {arc: reading.capacity for arc, c in reading.fcost.items() if c != 0}
        case "xupp(m,n,s)$(fcost(m,n,s)orvcost(m,n,s))=u":
            arcs = dict.fromkeys((*reading.fcost, *reading.vcost))
            reading.possible = {
                arc: reading.capacity
                for arc in arcs
                if reading.fcost.get(arc, 0.0) != 0 or reading.vcost.get(arc, 0.0) != 0
            }
        case "vcost(m,n,s)=0":
            reading.vcost = {}
        case "loop((m,n,s)$(fcost(m,n,s)<0),fcost(m,n,s)=0;vcost(m,n,s)=0;)":
            for arc in [arc for arc, cost in reading.fcost.items() if cost < 0]:
                reading.fcost[arc] = reading.vcost[arc] = 0.0
        case "yupp('n1','n1','a1')=0":
            pass  # declares the symbol; no file has an arc from n1 to itself
        case _:
            return False
    return True
