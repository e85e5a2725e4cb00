"""Demand models by name: found by walking the package, fitted to an instance."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from typing import cast

import optrl.demand
from optrl.demand.base import DemandModel, FittedDemand
from optrl.errors import OptrlError
from optrl.instance import Instance


class UnknownDemandFamilyError(OptrlError):
    """No demand model has that name."""


@cache
def demand_families() -> dict[str, type[FittedDemand]]:
    """Every demand model of this package by its name: a class with `name` and `fit`."""
    found: dict[str, type[FittedDemand]] = {}
    for module in pkgutil.iter_modules(optrl.demand.__path__):
        loaded = importlib.import_module(f"optrl.demand.{module.name}")
        for _, kind in inspect.getmembers(loaded, inspect.isclass):
            own = kind.__module__ == loaded.__name__
            if own and isinstance(getattr(kind, "name", None), str) and hasattr(kind, "fit"):
                family = cast("type[FittedDemand]", kind)
                found[family.name] = family
    return found


def fit(instance: Instance, family: str | None = None) -> DemandModel:
    """Fit a demand model, looking at no period from `Instance.start` on (replay excepted).

    Args:
        instance: The instance; its forecast is used where given, else its history.
        family: Name of the model; the instance's `demand_family` when None.

    Raises:
        OptrlError: If there is no such family, or forecast and history do not hold what it needs.
    """
    name = family or instance.demand_family
    families = demand_families()
    if name not in families:
        raise UnknownDemandFamilyError(
            f"demand family {name!r} is unknown: choose one of {', '.join(sorted(families))}"
        )
    return families[name].fit(instance)
