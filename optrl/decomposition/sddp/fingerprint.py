"""A hash of all numbers of a graph: cuts bound one problem only."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from optrl_formulations.linear_program import LinearProgram

from optrl.decomposition.sddp.graph import PolicyGraph


def fingerprint(graph: PolicyGraph) -> str:
    """A hash of everything that cuts depend on."""
    digest = hashlib.sha256()
    known: dict[int, str] = {}

    def add(text: str) -> None:
        digest.update(f"{len(text)}:{text}".encode())

    add(json.dumps([[c, p] for c, p in sorted(graph.first.items())]))
    add(_hash_arrays(graph.initial_state))
    for name, stage in sorted(graph.stages.items()):
        add(json.dumps([name, list(stage.incoming), graph.continuations[name]]))
        for program in stage.programs:
            if id(program) not in known:
                known[id(program)] = _hash_program(program)
            add(known[id(program)])
        for leaving in stage.exits:
            none = np.zeros(0)
            cost = none if leaving.cost is None else leaving.cost
            add(_hash_arrays(leaving.columns, np.array([leaving.probability]), cost))
        for outcome in stage.outcomes:
            add(json.dumps([outcome.program, outcome.probability]))
            for kind in ("data", "cost", "lower", "upper"):
                for block, values in sorted(getattr(outcome, kind).items()):
                    add(f"{kind} {block} {_hash_arrays(np.asarray(values, dtype=float))}")
    return digest.hexdigest()


def _hash_program(p: LinearProgram) -> str:
    data = [a for b in p.data.values() for a in (b.matrix.toarray(), b.cost, b.value)]
    matrix = p.matrix.tocsr()
    return _hash_arrays(
        *(p.cost, np.array([p.offset]), matrix.indptr, matrix.indices, matrix.data),
        *(p.row_lower, p.row_upper, p.column_lower, p.column_upper, *data),
    )


def _hash_arrays(*arrays: np.ndarray[Any, Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.kind}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
