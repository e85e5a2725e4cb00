"""Policies by name where they are simulated: as they are, or updating their belief as they go.

``cost_to_go+updated`` is `cost_to_go` whose belief about demand follows what it has seen on its
path (`optrl.evaluation.updated`). Any policy may be named so, where the demand model learns.
"""

from __future__ import annotations

from typing import cast

from optrl.demand.base import DemandModel, LearningDemand, PeriodDependence
from optrl.evaluation.updated import Updated
from optrl.instance import Instance
from optrl.policies import find
from optrl.policies.base import Policy

UPDATED = "+updated"


def find_simulated(name: str) -> type[Policy]:
    """The policy of a name, with or without `UPDATED` behind it.

    Raises:
        optrl.errors.OptrlError: If there is no such policy.
    """
    plain = name.removesuffix(UPDATED)
    kind = find(plain)
    return kind if plain == name else updating(kind)


def learns(model: DemandModel) -> bool:
    """Whether a path's demand says something of its later demand, and the model can tell what."""
    independent = isinstance(model, PeriodDependence) and model.independent_periods
    return isinstance(model, LearningDemand) and not independent


def updating(kind: type[Policy]) -> type[Policy]:
    """The policy that decides as another does, on beliefs that it updates each period."""
    name = kind.name + UPDATED

    def fit(instance: Instance, demand: DemandModel, seed: int = 0) -> Updated:
        return Updated(instance, demand, lambda i, d: kind.fit(i, d, seed=seed), name=name)

    members = {"name": name, "fit": staticmethod(fit), "decide": Updated.decide}
    return cast("type[Policy]", type(f"Updating{kind.__name__}", (), members))
