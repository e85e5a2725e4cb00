"""Decompose a replenishment problem: blocks, oracles, first prices and the driver in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.driver import run
from optrl.decomposition.blocks.engine import Engine
from optrl.decomposition.blocks.engines.in_process import InProcess
from optrl.decomposition.blocks.errors import NotApplicableError
from optrl.decomposition.blocks.events import Stopping, Told
from optrl.decomposition.blocks.first_prices import sampled_prices
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.master import Master
from optrl.decomposition.blocks.masters.level_bundle import LevelBundle
from optrl.decomposition.blocks.oracle import Recipe
from optrl.decomposition.blocks.oracles.flow import FlowRecipe, refuse
from optrl.decomposition.blocks.oracles.scenario_lp import ScenarioLpRecipe
from optrl.decomposition.blocks.result import Result
from optrl.identity import hash_of

OracleName = Literal["flow", "scenario_lp"]

PARTS = 64
"""Parts that a problem is cut into where nothing is given, as far as items go."""

_SMALLEST_PROGRAM = 16
_FLOW_BLOCK, _PROGRAM_BLOCK = 1_024, 256
"""Largest blocks: flows are faster the more are asked at once, programs the smaller they are."""


def fitting_oracle(problem: ReplenishmentItems) -> OracleName:
    """``flow`` where every item is a flow without capacities, else ``scenario_lp``."""
    try:
        refuse(problem)
    except NotApplicableError:
        return "scenario_lp"
    return "flow"


def block_size(oracle: OracleName, items: int) -> int:
    """Items of a block where nothing is given."""
    if oracle == "flow":
        return _FLOW_BLOCK
    return int(np.clip(-(-items // PARTS), _SMALLEST_PROGRAM, _PROGRAM_BLOCK))


def decompose(
    problem: ReplenishmentItems,
    *,
    oracle: OracleName | None = None,
    master: Master | None = None,
    engine: Engine | None = None,
    stopping: Stopping | None = None,
    size: int | None = None,
    sample: int = 200,
    first_prices: FloatArray | None = None,
    seed: int = 0,
    with_plan: bool = True,
    folder: Path | None = None,
    resume: bool = False,
    told: Told | None = None,
) -> Result:
    """Bound a problem from both sides, with a plan; integers are relaxed.

    The optimum of the relaxed program lies between the result's bounds. Where nothing is integer
    the plan is a plan of the problem itself.

    Args:
        problem: All items.
        oracle: None for `fitting_oracle`.
        master: None for the level bundle.
        engine: None for this process.
        stopping: None for a gap of 0.1 %.
        size: Items of a block; None for `block_size`.
        sample: Items whose program gives the first prices.
        first_prices: Given instead, shape (R, P), as the last of a run a period ago.
        seed: Draws the sample.
        with_plan: See `run`.
        folder: See `run`.
        resume: See `run`.
        told: See `run`.

    Raises:
        NotApplicableError: If the oracle asked for does not apply.
        optrl.solver.InfeasibleError: If the sample's program is infeasible.
    """
    chosen = fitting_oracle(problem) if oracle is None else oracle
    if chosen == "flow":
        refuse(problem)
    if first_prices is None:
        first_prices = sampled_prices(problem, sample, np.random.default_rng(seed))
    first_prices = problem.coupling.clipped(first_prices)
    items = block_size(chosen, len(problem)) if size is None else size
    recipes: Sequence[Recipe] = [
        _recipe(chosen, block, _parts(len(block), len(problem)), first_prices)
        for block in problem.blocks(items)
    ]
    return run(
        problem.coupling,
        recipes,
        LevelBundle() if master is None else master,
        InProcess() if engine is None else engine,
        Stopping() if stopping is None else stopping,
        start=start_prices(problem, first_prices),
        with_plan=with_plan,
        folder=folder,
        identity=hash_of((problem, chosen, items, first_prices)) if folder else "",
        resume=resume,
        told=told,
    )


def _parts(block: int, items: int) -> int:
    """Parts of a block, in proportion to its share of all items."""
    return int(np.clip(round(PARTS * block / items), 1, block))


def _recipe(oracle: OracleName, block: ReplenishmentItems, parts: int, first: FloatArray) -> Recipe:
    if oracle == "flow":
        return FlowRecipe(block, parts)
    return ScenarioLpRecipe(block, first, parts)


def start_prices(problem: ReplenishmentItems, first: FloatArray) -> list[FloatArray]:
    """First prices, and dear ones, whose plans use so little that averages become feasible."""
    coupling = problem.coupling
    largest = float(first.max(initial=0.0))
    if largest <= 0:
        return [first]
    return [first, coupling.clipped(np.full(coupling.shape, _DEAR * largest))]


_DEAR = 2.0
