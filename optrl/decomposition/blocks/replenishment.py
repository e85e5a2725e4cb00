"""Decompose a replenishment problem: blocks, oracles, first prices and the driver in one call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.checkpoint import require_checkpoint
from optrl.decomposition.blocks.choice import Choice, choose
from optrl.decomposition.blocks.driver import run
from optrl.decomposition.blocks.engine import Engine
from optrl.decomposition.blocks.engines.in_process import InProcess
from optrl.decomposition.blocks.errors import NotApplicableError
from optrl.decomposition.blocks.events import FirstPrices, Stopping, Told
from optrl.decomposition.blocks.first_prices import draw, relaxed_prices, sample_size
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.master import Master
from optrl.decomposition.blocks.masters.level_bundle import LevelBundle
from optrl.decomposition.blocks.oracle import Recipe
from optrl.decomposition.blocks.oracles.flow import FlowRecipe, refuse
from optrl.decomposition.blocks.oracles.lots import LotsRecipe
from optrl.decomposition.blocks.oracles.scenario_lp import ScenarioLpRecipe
from optrl.decomposition.blocks.result import Result
from optrl.identity import hash_of

OracleName = Literal["flow", "scenario_lp", "lots"]

PARTS = 64
"""Parts that a problem is cut into where nothing is given, as far as items go."""

_SMALLEST_PROGRAM = 16
_FLOW_BLOCK, _PROGRAM_BLOCK = 1_024, 256
"""Largest blocks: flows are faster the more are asked at once, programs the smaller they are."""

_PROGRAM_COLUMNS = 20_000
"""Columns of a block's program, about, unless a single item has more."""

_SAMPLE_SHARE = 0.3
"""Of the time, at most, for the program of a sample, and again for its decomposition."""

_NESTED, _NESTED_FROM = 2_000, 10_000
"""Items of a sample that is decomposed first, and from how many items on that pays."""


def fitting_oracle(problem: ReplenishmentItems) -> OracleName:
    """``flow`` where every item is a flow without capacities, else ``scenario_lp``."""
    try:
        refuse(problem)
    except NotApplicableError:
        return "scenario_lp"
    return "flow"


def block_size(oracle: OracleName, problem: ReplenishmentItems) -> int:
    """Items of a block where nothing is given."""
    if oracle != "scenario_lp":
        return _FLOW_BLOCK
    largest = max(int(_PROGRAM_COLUMNS / max(problem.columns_per_item, 1.0)), 1)
    size = int(np.clip(-(-len(problem) // PARTS), _SMALLEST_PROGRAM, _PROGRAM_BLOCK))
    return min(size, largest)


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
    """Bound a problem from both sides, with a plan; integers are relaxed but by ``lots``.

    The optimum of the relaxed program lies between the result's bounds. Where nothing is integer
    the plan is a plan of the problem itself. With the oracle ``lots`` the lower bound is one for
    whole lots, and tighter; the averaged plan is not whole, and `whole_plan` gives one that is.

    Args:
        problem: All items.
        oracle: None for `fitting_oracle`.
        master: None for the level bundle.
        engine: None for this process.
        stopping: None for a gap of 0.1 %. Its seconds count from here on, first prices included.
        size: Items of a block; None for `block_size`.
        sample: Items whose program gives the first prices, fewer where they are large (see
            `sample_size`).
        first_prices: Given instead, shape (R, P), as the last of a run a period ago.
        seed: Draws the samples.
        with_plan: See `run`.
        folder: See `run`.
        resume: See `run`.
        told: See `run`.

    Raises:
        NotApplicableError: If the oracle asked for does not apply.
        BlockCheckpointError: If there is nothing to go on from where that is asked for.
        optrl.solver.InfeasibleError: If the sample's program is infeasible.
    """
    began = time.perf_counter()
    stopping = Stopping() if stopping is None else stopping
    chosen = fitting_oracle(problem) if oracle is None else oracle
    if chosen == "flow":
        refuse(problem)
    items = block_size(chosen, problem) if size is None else size
    given = None if first_prices is None else problem.coupling.clipped(first_prices)
    identity = hash_of((problem, chosen, items, given, sample, seed)) if folder else ""
    if resume and folder is not None:
        require_checkpoint(folder)
    if given is None:
        start = _first(problem, chosen, sample, np.random.default_rng(seed), stopping, told)
    else:
        start = start_prices(problem, given)
    if stopping.seconds is not None:
        left = stopping.seconds - (time.perf_counter() - began)
        stopping = replace(stopping, seconds=max(left, 0.0))
    recipes: Sequence[Recipe] = [
        _recipe(chosen, block, _parts(len(block), len(problem)), start[0])
        for block in problem.blocks(items)
    ]
    return run(
        problem.coupling,
        recipes,
        LevelBundle() if master is None else master,
        InProcess() if engine is None else engine,
        stopping,
        start=start,
        with_plan=with_plan,
        folder=folder,
        identity=identity,
        resume=resume,
        told=told,
    )


def whole_plan(
    problem: ReplenishmentItems,
    result: Result,
    *,
    engine: Engine | None = None,
    time_limit: float | None = 60.0,
) -> Choice:
    """A plan in whole lots from what a run with the oracle ``lots`` found.

    Args:
        problem: All items.
        result: Of `decompose` with ``oracle="lots"``.
        engine: None for this process.
        time_limit: Seconds for the integer program over the few items that remain open.

    Raises:
        BlockError: If no choice of answered plans holds the capacities.
    """
    recipes = [_recipe("lots", b, len(b), result.prices) for b in problem.blocks(_FLOW_BLOCK)]
    chosen_by = InProcess() if engine is None else engine
    return choose(result, recipes, chosen_by, time_limit=time_limit)


def _first(
    problem: ReplenishmentItems,
    oracle: OracleName,
    sample: int,
    generator: np.random.Generator,
    stopping: Stopping,
    told: Told | None,
) -> list[FloatArray]:
    """Prices of the first rounds, from samples."""
    began = time.perf_counter()
    seconds = None if stopping.seconds is None else _SAMPLE_SHARE * stopping.seconds
    count = sample_size(problem, sample)
    found = relaxed_prices(draw(problem, count, generator), seconds) if count else None
    if found is None:
        count, found = 0, np.zeros(problem.coupling.shape)
    start = start_prices(problem, problem.coupling.clipped(found))
    if oracle != "scenario_lp" and len(problem) >= _NESTED_FROM:
        count = _NESTED
        drawn = draw(problem, count, generator)
        start = (
            _useful(
                run(
                    drawn.coupling,
                    [
                        _recipe(oracle, b, _parts(len(b), count), found)
                        for b in drawn.blocks(_NESTED)
                    ],
                    LevelBundle(),
                    InProcess(),
                    Stopping(gap=_NESTED_GAP, seconds=seconds, iterations=_NESTED_ROUNDS),
                    start=start,
                    with_plan=False,
                )
            )
            or start
        )
    if told is not None:
        told(FirstPrices(count, time.perf_counter() - began))
    return start


_NESTED_GAP, _NESTED_ROUNDS = 0.001, 30


def _useful(solved: Result) -> list[FloatArray]:
    """Prices whose plans a sample averages, those of its best bound first."""
    ledger, combination = solved.ledger, solved.combination
    if solved.failure is not None or combination is None or ledger.best < 0:
        return []
    weight = combination.weights.mean(axis=1)
    rounds = [k for k in np.argsort(-weight, kind="stable").tolist() if weight[k] > _LITTLE]
    rounds = [ledger.best, *(k for k in rounds if k != ledger.best)]
    return [solved.coupling.dense(ledger.prices[k]) for k in rounds]


_LITTLE = 0.02
"""Weight of a round that is not worth asking all items for."""


def _parts(block: int, items: int) -> int:
    """Parts of a block, in proportion to its share of all items."""
    return int(np.clip(round(PARTS * block / items), 1, block))


def _recipe(oracle: OracleName, block: ReplenishmentItems, parts: int, first: FloatArray) -> Recipe:
    if oracle == "flow":
        return FlowRecipe(block, parts)
    if oracle == "lots":
        return LotsRecipe(block, len(block))
    return ScenarioLpRecipe(block, first, parts)


def start_prices(problem: ReplenishmentItems, first: FloatArray) -> list[FloatArray]:
    """First prices, and dear ones, whose plans use so little that averages become feasible."""
    coupling = problem.coupling
    largest = float(first.max(initial=0.0))
    if largest <= 0:
        return [first]
    return [first, coupling.clipped(np.full(coupling.shape, _DEAR * largest))]


_DEAR = 2.0
