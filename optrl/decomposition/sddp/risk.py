"""Risk measures over what may follow, nested from stage to stage.

    mix:  weight * E[Z] + (1 - weight) * AVaR_tail[Z]

AVaR_tail is the mean of the worst `tail` share of cost (conditional value at risk). Both extremes
are coherent, at least the expectation, and the largest expectation over a set of probabilities;
the weights of the worst of them turn values and slopes of what follows into one cut.

Source: Rockafellar & Uryasev (2000), Journal of Risk 2(3), equation (5) (as a linear program);
Philpott & de Matos (2012), European Journal of Operational Research 218(2) (cuts by changed
probabilities); Shapiro (2011), European Journal of Operational Research 209(1) (nesting).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.sddp.errors import SddpError


@dataclass(frozen=True)
class RiskMeasure:
    """A mix of expectation and average value at risk; the default is the expectation.

    Attributes:
        expectation_weight: Weight of the expectation, from 0 to 1.
        tail: Share of the worst outcomes that the average value at risk is the mean of, in (0, 1].
    """

    expectation_weight: float = 1.0
    tail: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.expectation_weight <= 1 and 0 < self.tail <= 1):
            raise SddpError(
                f"risk measure with expectation weight {self.expectation_weight} and tail "
                f"{self.tail}: the weight must lie in [0, 1] and the tail in (0, 1]"
            )

    @classmethod
    def average_value_at_risk(cls, tail: float) -> RiskMeasure:
        """The mean of the worst `tail` share alone."""
        return cls(0.0, tail)

    @property
    def is_neutral(self) -> bool:
        """Whether it is the expectation."""
        return self.expectation_weight == 1.0 or self.tail == 1.0

    def weights(self, values: FloatArray, probability: FloatArray) -> FloatArray:
        """The probabilities under which the expectation of `values` is their risk, shape (n,)."""
        if self.is_neutral:
            return probability
        order = np.argsort(-values, kind="stable")
        before = np.cumsum(probability[order]) - probability[order]
        share = np.clip(self.tail - before, 0.0, probability[order]) / self.tail
        worst = np.empty_like(probability)
        worst[order] = share
        mixed: FloatArray = (
            self.expectation_weight * probability + (1 - self.expectation_weight) * worst
        )
        return mixed

    def __call__(self, values: FloatArray, probability: FloatArray) -> float:
        """The risk of values with probabilities."""
        return float(self.weights(values, probability) @ values)
