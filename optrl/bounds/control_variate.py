"""A control variate for the gap: what the demand of a path is worth beyond its expectation.

A policy is further from what its path allowed where demand was high: capacities bind, and the year
that was planned for was another. The number

    sum over items and periods of unit cost * (demand - expected demand)

has expectation zero, exactly, for every demand model that knows its mean. Added to the values of a
bound, times a slope that is fixed before the paths are looked at, it leaves their expectation alone
and takes the part of the gap's variance that goes with demand. It is the constant of a penalty
(`optrl.bounds.penalty`). A slope estimated on the same paths would be no longer free of bias.

Source: Glasserman, Monte Carlo Methods in Financial Engineering (2004), section 4.1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.bounds.errors import BoundError
from optrl.bounds.lower_bound import LowerBound
from optrl.bounds.paths import PathSource


def demand_value(source: PathSource, count: int) -> FloatArray:
    """Worth of the demand of the first paths beyond its expectation, shape (count,)."""
    instance = source.instance
    expected = source.model.mean(instance.start, instance.horizon)
    more = [(source.path(k).demand - expected).sum(axis=(1, 2)) for k in range(count)]
    return np.asarray(np.array(more).reshape(count, -1) @ instance.network.unit_cost)


def controlled(bound: LowerBound, source: PathSource, slope: float) -> LowerBound:
    """A sampled bound with the control variate added.

    Args:
        bound: Computed on the first paths of the source.
        source: Of the paths.
        slope: What a policy's gap grows by with the worth of demand; any number that was not
            estimated on these paths is valid.

    Raises:
        BoundError: If the bound was computed on other paths, or on none.
    """
    if not len(bound.sample) or bound.paths != source.name:
        raise BoundError(
            f"the {bound.name} bound was not computed on the paths of {source.name}: control it "
            "with the source that drew its paths"
        )
    return replace(
        bound,
        assumption=f"{bound.assumption}; demand beyond its expectation, times a slope fixed in "
        "advance, is a control variate",
        sample=bound.sample + slope * demand_value(source, len(bound.sample)),
    )
