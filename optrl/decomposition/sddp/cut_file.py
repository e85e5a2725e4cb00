"""Cuts kept in a file: to go on after a kill, to start from, to decide with.

A safetensors file with a JSON document, written whole or not at all; reading it runs no code.
Cuts bound one problem only, so the file holds a fingerprint of all numbers of the graph, and cuts
of another graph are refused.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from optrl.decomposition.sddp.algorithm import Sddp
from optrl.decomposition.sddp.cuts import CutPool
from optrl.decomposition.sddp.errors import CutFileError
from optrl.decomposition.sddp.fingerprint import fingerprint
from optrl.networks.tensor_file import read_tensor_file, write_tensor_file

_KIND = "optrl sddp cuts"
_ARRAYS = ("intercept", "gradient", "used", "visited")

Trace = list[tuple[int, float, float]]


def save_cuts(sddp: Sddp, path: str | os.PathLike[str], trace: Trace | None = None) -> None:
    """Write cuts, generator and trace.

    Raises:
        OptrlError: If the file cannot be written; what was there before stays.
    """
    pools = sorted(sddp.to_go.pools)
    tensors = {
        f"{number}/{name}": torch.from_numpy(array)
        for number, key in enumerate(pools)
        for name, array in sddp.to_go.pools[key].arrays().items()
    }
    for continuation, mixture in sddp.to_go.mixtures.items():
        number = sddp.to_go.number(continuation)
        tensors[f"mixture/{number}"] = torch.from_numpy(mixture.copy())
    document = {
        "fingerprint": fingerprint(sddp.graph),
        "cuts": sddp.settings.cuts,
        "expectation_weight": sddp.settings.risk.expectation_weight,
        "tail": sddp.settings.risk.tail,
        "pools": [
            {"key": key, "lower": _text(pool.lower), "initial": pool.initial}
            for key, pool in ((key, sddp.to_go.pools[key]) for key in pools)
        ],
        "iteration": sddp.iteration,
        "bound": _text(sddp.bound),
        "generator": sddp.generator.bit_generator.state,
        "trace": trace or [],
    }
    write_tensor_file(path, _KIND, tensors, document)


def load_cuts(sddp: Sddp, path: str | os.PathLike[str]) -> Trace:
    """Put a file's cuts, generator and iteration in place of those of `sddp`; gives its trace.

    Raises:
        CutFileError: If the cuts are of another graph, kind or risk measure.
        optrl.networks.tensor_file.TensorFileError: If the file is missing or damaged.
    """
    tensors, document = read_tensor_file(path, _KIND)
    _check(sddp, document, str(path))
    pools = {}
    try:
        for number, about in enumerate(document["pools"]):
            arrays = {name: tensors[f"{number}/{name}"].numpy() for name in _ARRAYS}
            expected = sddp.to_go.pools[about["key"]].gradient.shape[1]
            if arrays["gradient"].shape != (len(arrays["intercept"]), expected):
                raise CutFileError(f"{path}: cuts of {about['key']!r} have another shape")
            if not all(np.isfinite(array).all() for array in arrays.values()):
                raise CutFileError(f"{path}: cuts of {about['key']!r} are not finite")
            pools[about["key"]] = CutPool.of(arrays, float(about["lower"]), int(about["initial"]))
        mixtures = {
            c: tensors[f"mixture/{sddp.to_go.number(c)}"].numpy() for c in sddp.to_go.mixtures
        }
        trace = [(int(i), float(b), float(s)) for i, b, s in document["trace"]]
        sddp.generator.bit_generator.state = document["generator"]
        sddp.iteration, sddp.bound = int(document["iteration"]), float(document["bound"])
    except (KeyError, TypeError, ValueError) as error:
        raise CutFileError(f"{path} lacks {error}: it is not a whole file of cuts") from error
    if pools.keys() != sddp.to_go.pools.keys():
        raise CutFileError(f"{path}: its costs-to-go are not those of the graph")
    sddp.to_go.pools.update(pools)
    sddp.to_go.mixtures.update(mixtures)
    sddp.refresh()
    return trace


def _check(sddp: Sddp, document: dict[str, Any], path: str) -> None:
    if document.get("fingerprint") != fingerprint(sddp.graph):
        raise CutFileError(
            f"{path} holds cuts of another problem: cuts bound only the numbers they were made "
            "for. Train anew, or load them for the graph they were saved with"
        )
    risk = sddp.settings.risk
    mine = (sddp.settings.cuts, risk.expectation_weight, risk.tail)
    found = tuple(document.get(key) for key in ("cuts", "expectation_weight", "tail"))
    if found != mine:
        raise CutFileError(
            f"{path} holds cuts of (kind, expectation weight, tail) {found}; these settings are "
            f"{mine}: use the settings they were made with"
        )


def _text(value: float) -> str:
    """JSON has no infinity; repr gives the same number back."""
    return repr(float(value))
