"""Inventory planning across a fulfilment network.

    import optrl

    instance = optrl.load("examples/iowa/instance")
    plan = optrl.plan(instance)
    plan.tables.orders

The public names are imported when they are first used, so that ``import optrl`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from optrl._version import __version__

if TYPE_CHECKING:
    from optrl.comparison.compare import compare
    from optrl.comparison.contender import Trained
    from optrl.comparison.result import Comparison
    from optrl.demand.fit import fit as fit_demand
    from optrl.errors import InstanceError, OptrlError
    from optrl.formats import solve_file
    from optrl.instance import Instance
    from optrl.learning.folder import load_policy
    from optrl.learning.training import train
    from optrl.planning.output import write_plan
    from optrl.planning.plan import Plan, plan
    from optrl.planning.verification import verify
    from optrl.simulation.kpis import Indicators
    from optrl.simulation.rollout import simulate
    from optrl.tables import check, from_graph, load, save
else:
    _PLACES = {
        "Comparison": ("optrl.comparison.result", "Comparison"),
        "Indicators": ("optrl.simulation.kpis", "Indicators"),
        "Instance": ("optrl.instance", "Instance"),
        "InstanceError": ("optrl.errors", "InstanceError"),
        "OptrlError": ("optrl.errors", "OptrlError"),
        "Plan": ("optrl.planning.plan", "Plan"),
        "Trained": ("optrl.comparison.contender", "Trained"),
        "check": ("optrl.tables", "check"),
        "compare": ("optrl.comparison.compare", "compare"),
        "fit_demand": ("optrl.demand.fit", "fit"),
        "from_graph": ("optrl.tables", "from_graph"),
        "load": ("optrl.tables", "load"),
        "load_policy": ("optrl.learning.folder", "load_policy"),
        "plan": ("optrl.planning.plan", "plan"),
        "save": ("optrl.tables", "save"),
        "simulate": ("optrl.simulation.rollout", "simulate"),
        "solve_file": ("optrl.formats", "solve_file"),
        "train": ("optrl.learning.training", "train"),
        "verify": ("optrl.planning.verification", "verify"),
        "write_plan": ("optrl.planning.output", "write_plan"),
    }

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, attribute = _PLACES[name]
        return getattr(import_module(module), attribute)

    def __dir__() -> list[str]:
        return sorted({*globals(), *_PLACES})


__all__ = [
    "Comparison",
    "Indicators",
    "Instance",
    "InstanceError",
    "OptrlError",
    "Plan",
    "Trained",
    "__version__",
    "check",
    "compare",
    "fit_demand",
    "from_graph",
    "load",
    "load_policy",
    "plan",
    "save",
    "simulate",
    "solve_file",
    "train",
    "verify",
    "write_plan",
]
