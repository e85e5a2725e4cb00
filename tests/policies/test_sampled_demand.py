"""What policies sample is not the demand they are judged on, even where the seed is the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

from optrl.demand.base import DemandModel
from optrl.demand.discrete import Discrete
from optrl.demand.poisson import Poisson
from optrl.policies import find
from optrl.simulation.rollout import simulate
from optrl.testbeds import find_bed

SEED, PERIODS = 7, 12


@dataclass(frozen=True)
class _Told(Poisson):
    """Poisson demand that tells which generators it was drawn from."""

    seen: list[int] = field(default_factory=list)

    def sample(self, scenarios: int, first: int, periods: int, generator: Any) -> Any:
        self.seen.append(_state(generator))
        return super().sample(scenarios, first, periods, generator)


@dataclass(frozen=True)
class _ToldDiscrete(Discrete):
    """Discrete demand that tells which generators it was drawn from."""

    seen: list[int] = field(default_factory=list)

    def sample(self, scenarios: int, first: int, periods: int, generator: Any) -> Any:
        self.seen.append(_state(generator))
        return super().sample(scenarios, first, periods, generator)


def _state(generator: np.random.Generator) -> int:
    return int(generator.bit_generator.state["state"]["state"])


@pytest.mark.parametrize(
    ("bed_name", "policy"),
    [
        *(
            ("dual-sourcing/l2-ce105", name)
            for name in ("capped_dual_index", "dual_index", "single_index", "tailored_base_surge")
        ),
        *(
            ("lost-sales/poisson-p4-L2", name)
            for name in ("multi_stage", "myopic", "projected_inventory_level", "two_stage")
        ),
    ],
)
def test_policies_do_not_sample_the_demand_that_they_meet(bed_name: str, policy: str) -> None:
    """No generator of fit or decisions is one that the seed, alone or with a number, gives.

    Those draw the scenarios of simulations, comparisons and trainings: levels fitted on them, or
    plans that see them, would look better than they are.
    """
    bed = find_bed(bed_name)
    instance = replace(bed.instance, horizon=PERIODS)
    told: DemandModel
    if isinstance(bed.demand, Poisson):
        told = _Told(**vars(bed.demand))
    else:
        assert isinstance(bed.demand, Discrete)
        told = _ToldDiscrete(**vars(bed.demand))
    fitted = find(policy).fit(instance, told, seed=SEED)
    path = bed.demand.sample(2, instance.start, PERIODS, np.random.default_rng(SEED))
    simulate(instance, fitted, path, seed=SEED, dtype=torch.float64)
    judged_on = [np.random.default_rng(SEED)]
    judged_on += [np.random.default_rng([SEED, k]) for k in range(256)]
    assert told.seen
    assert not {_state(each) for each in judged_on} & set(told.seen)
