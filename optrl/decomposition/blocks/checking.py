"""Whether an oracle's answer makes sense."""

from __future__ import annotations

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.oracle import Response

_TOLERANCE = 1e-6


def nonsense(response: Response, prices: FloatArray, items: int, parts: int) -> str | None:
    """What is wrong with an answer, None where nothing shows.

    Args:
        response: Of anyone's oracle.
        prices: It was asked at, shape (R, P).
        items: Items of the block.
        parts: Its parts.
    """
    if not isinstance(response, Response):
        return f"it answered {type(response).__name__}, not a Response"
    arrays = {"cost": (response.cost, (items,)), "usage": (response.usage, (parts, *prices.shape))}
    if response.bound is not None:
        arrays["bound"] = (response.bound, (items,))
    for name, (values, shape) in arrays.items():
        found = np.shape(values)
        if found != shape:
            return f"its {name} has shape {found}, expected {shape}"
        if not np.isfinite(values).all():
            at = tuple(int(k) for k in np.argwhere(~np.isfinite(values))[0])
            return f"its {name}[{', '.join(map(str, at))}] is {np.asarray(values)[at]}"
    if response.plan is not None:
        for name, part in response.plan.items():
            if len(part) != items or not np.isfinite(part).all():
                return f"its plan's {name!r} has not {items} finite rows, one an item"
    if response.bound is None:
        return None
    bound = float(response.bound.sum())
    value = float(response.cost.sum()) + float((prices * response.usage).sum())
    margin = _TOLERANCE * max(abs(value), float(np.abs(response.cost).sum()), 1.0)
    if bound > value + margin:
        return (
            f"its lower bound {bound:.9g} is above what its own plan costs at these prices, "
            f"{value:.9g}: one of the two is wrong"
        )
    return None
