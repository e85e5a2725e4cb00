"""A certificate: how far from optimal a policy can be, at a stated confidence.

The cost of a policy is estimated by simulation; several bounds may lie below it, some proved, some
estimated. What is said holds jointly: with probability `confidence` the policy's expected cost is
at most `upper`, the cost of every policy at least `lower`, and their difference at most `gap`.

**No cheating by choice.** Each estimated statement fails with some probability, and picking the
best of several picks the luckiest. The error 1 - confidence is therefore split evenly over all
estimated statements that were looked at (the upper bound, each estimated bound, each paired gap):
by the union bound all hold at once, whatever their dependence, so that the best may be picked.

**Paired gaps.** Where a bound was computed on the paths that the policy met, the difference is
taken path by path, which removes what both have in common. Else the gap is upper less lower. Where
the bound is proved and its number on each path known too (`optrl.bounds.fluid`), the policy's cost
is the bound plus the mean difference: a control variate, and often far more exact than the mean.

**Faults.** The expectation of a bound cannot exceed that of a cost. Where a paired difference is
proved negative at the same share of error, or the limit above a cost lies below the limit under a
bound, one of the two numbers is wrong, and `BoundFaultError` says which two. A sound bound that a
policy reaches is accused with that probability too, and more often where few paths all miss a rare
event, such as an order that never arrives.

The statements rest on means over paths being about normal (Student's t).

Source: Bonferroni's inequality; common random numbers: Law, Simulation Modeling and Analysis,
5th ed., section 11.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.bounds.errors import BoundError, BoundFaultError
from optrl.bounds.lower_bound import LowerBound, one_sided, standard_error

_ROUNDING = 1e-6
"""Of costs, relative: what solvers' tolerances and single precision bring."""


@dataclass(frozen=True)
class Upper:
    """Costs of a policy on paths.

    Attributes:
        policy: Its name.
        cost: Discounted cost less terminal value by scenario, shape (S,).
        paths: Names the paths, as in `LowerBound.paths`.
    """

    policy: str
    cost: FloatArray
    paths: str = ""


@dataclass(frozen=True)
class Certificate:
    """See the module's docstring.

    Attributes:
        policy: Name of the policy.
        cost: Estimated expected cost; by control variate where the bound is proved and paired and
            that is the more exact.
        upper: Its upper confidence limit.
        bound: The bound that gives the smallest gap.
        lower: Lower confidence limit of that bound.
        gap: Upper confidence limit of the policy's cost less the optimal cost.
        estimated_gap: Estimate of the same.
        paired: Whether the gap was taken path by path.
        confidence: Of all of this together.
        considered: Names of all bounds looked at.
        paths: Number of paths that the policy was simulated on.
    """

    policy: str
    cost: float
    upper: float
    bound: LowerBound
    lower: float
    gap: float
    estimated_gap: float
    paired: bool
    confidence: float
    considered: tuple[str, ...]
    paths: int

    @property
    def relative_gap(self) -> float:
        """The gap as a share of the lower limit; infinite where that is not positive."""
        return self.gap / self.lower if self.lower > 0 else float("inf")

    @property
    def estimated_relative_gap(self) -> float:
        """The estimated gap as a share of the estimated bound."""
        return self.estimated_gap / self.bound.mean if self.bound.mean > 0 else float("inf")

    def summary(self) -> dict[str, Any]:
        """Ready for JSON; what is infinite is None."""

        def number(x: float) -> float | None:
            return x if np.isfinite(x) else None

        return {
            "policy": self.policy,
            "cost": self.cost,
            "upper_bound": number(self.upper),
            "lower_bound": number(self.lower),
            "estimated_lower_bound": self.bound.mean,
            "bound": self.bound.name,
            "proved": self.bound.proved,
            "gap": number(self.gap),
            "relative_gap": number(self.relative_gap),
            "estimated_relative_gap": number(self.estimated_relative_gap),
            "paired": self.paired,
            "confidence": self.confidence,
            "paths": self.paths,
            "assumption": self.bound.assumption,
            "conditions": [c.needs for c in self.bound.conditions],
            "considered": list(self.considered),
        }


def certify(upper: Upper, bounds: Sequence[LowerBound], *, confidence: float = 0.95) -> Certificate:
    """The certificate of a policy.

    Args:
        upper: Its costs.
        bounds: At least one; the one with the smallest gap is picked.
        confidence: Of everything that the certificate says, together.

    Raises:
        BoundFaultError: If a bound is proved, statistically, to lie above the cost.
        BoundError: If there is no bound or no cost.
    """
    if not bounds:
        raise BoundError(
            f"no bound was given for {upper.policy!r}; perfect information needs least"
        )
    if not len(upper.cost) or not np.isfinite(upper.cost).all():
        raise BoundError(f"the costs of {upper.policy!r} must be numbers, at least one")
    if not 0 < confidence < 1:
        raise BoundError(f"confidence is {confidence}; it must lie between 0 and 1, such as 0.95")
    paired = [bool(b.paths) and b.paths == upper.paths for b in bounds]
    statements = 1 + sum(not b.proved for b in bounds) + sum(paired)
    error = (1 - confidence) / statements
    cost = float(upper.cost.mean())
    spread = one_sided(standard_error(upper.cost), len(upper.cost), error)
    best: Certificate | None = None
    for bound, together in zip(bounds, paired, strict=True):
        _refuse_fault(upper, bound, together, error)
        low, expected, high = bound.low(error), cost, cost + spread
        estimate, gap = cost - bound.mean, high - low
        if together:
            difference = _difference(upper, bound)
            estimate = float(difference.mean())
            width = one_sided(standard_error(difference), len(difference), error)
            gap = min(gap, estimate + width)
            if bound.proved:
                # Both statements hold at once, and the second needs no sample of the bound.
                high = min(high, bound.mean + estimate + width)
                expected = min(bound.mean + estimate if width < spread else cost, high)
        if high < low - _ROUNDING * max(1.0, abs(low)):
            raise _fault(upper, bound, low - high)
        found = Certificate(
            policy=upper.policy,
            cost=expected,
            upper=high,
            bound=bound,
            lower=low,
            gap=max(gap, 0.0),
            estimated_gap=estimate,
            paired=together,
            confidence=confidence,
            considered=tuple(b.name for b in bounds),
            paths=len(upper.cost),
        )
        if best is None or _key(found) < _key(best):
            best = found
    assert best is not None
    return best


def _key(certificate: Certificate) -> tuple[float, float]:
    """Smallest gap first; where none is known, the highest bound."""
    return certificate.gap, -certificate.bound.mean


def _difference(upper: Upper, bound: LowerBound) -> FloatArray:
    common = min(len(upper.cost), len(bound.sample))
    return np.asarray(upper.cost[:common] - bound.sample[:common])


def _refuse_fault(upper: Upper, bound: LowerBound, together: bool, error: float) -> None:
    """Costs below what no policy can cost."""
    scale = _ROUNDING * max(1.0, abs(bound.mean))
    if together:
        difference = _difference(upper, bound)
        highest = float(difference.mean()) + one_sided(
            standard_error(difference), len(difference), error
        )
    else:
        spreads = np.array([standard_error(upper.cost), bound.standard_error])
        count = min([len(x) for x in (upper.cost, bound.sample) if len(x)])
        highest = float(upper.cost.mean()) - bound.mean
        highest += one_sided(float(np.hypot(*spreads)), count, error)
    if highest < -scale:
        raise _fault(upper, bound, -highest)


def _fault(upper: Upper, bound: LowerBound, below: float) -> BoundFaultError:
    return BoundFaultError(
        f"the {bound.name} bound is {bound.mean:.8g}, and policy {upper.policy!r} was simulated to "
        f"cost {float(upper.cost.mean()):.8g}: even with the sampling error of both, the cost lies "
        f"{below:.4g} below what no policy can cost. Either the bound does not apply (other "
        "demand, arrivals, horizon or costs than simulated), or one of the two programs is wrong, "
        "or chance made these paths cheap, which more paths rule out. The bound assumes: "
        f"{bound.assumption}"
    )
