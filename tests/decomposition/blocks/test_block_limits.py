"""Time limits hold down to the solver, a plan is kept time for, and few large items end."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.driver import run
from optrl.decomposition.blocks.engine import Engine
from optrl.decomposition.blocks.engines.in_process import InProcess
from optrl.decomposition.blocks.engines.process_pool import ProcessPool
from optrl.decomposition.blocks.errors import BlockCheckpointError, OutOfTimeError
from optrl.decomposition.blocks.events import Event, FirstPrices, Stopping
from optrl.decomposition.blocks.first_prices import sample_size
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.masters.level_bundle import LevelBundle
from optrl.decomposition.blocks.oracle import Oracle, Response
from optrl.decomposition.blocks.oracles.scenario_lp import ScenarioLpRecipe
from optrl.decomposition.blocks.replenishment import block_size, decompose
from optrl.testing import random_instance

WORTH = np.array([[5.0, 4.0, 3.0, 2.0, 1.0], [2.0, 4.0, 1.0, 3.0, 5.0]])


@dataclass
class Shopper:
    """Buys what saves more than its price; slow, or failing at prices not asked at before."""

    row: int
    seconds: float = 0.0
    fails_after: int | None = None
    items: Sequence[str] = ("shopper",)
    parts: int = 1

    def __post_init__(self) -> None:
        self.seen: list[FloatArray] = []

    def build(self) -> Oracle:
        """It is its own oracle."""
        return self

    def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
        """See `Oracle`."""
        time.sleep(self.seconds)
        if not any(np.array_equal(prices, earlier) for earlier in self.seen):
            if self.fails_after is not None and len(self.seen) >= self.fails_after:
                raise RuntimeError("out of paper")
            self.seen.append(prices)
        worth = WORTH[self.row]
        buys = (worth > prices[0]).astype(float)
        cost = np.array([-(worth @ buys)])
        usage = buys[None, None, :]
        bought = {"buys": buys[None, :]} if plan else None
        return Response(cost + prices[0] @ buys, cost, usage, bought)


def shelf() -> Coupling:
    """Room for three halves of each of five things."""
    columns = tuple("abcde")
    return Coupling(("shelf",), columns, np.full((1, 5), 1.5), np.full((1, 5), np.inf))


START = [np.zeros((1, 5)), np.full((1, 5), 9.0)]


def problem(items: int = 6) -> ReplenishmentItems:
    """A small replenishment problem."""
    instance = random_instance(np.random.default_rng(5), items=items, horizon=4)
    demand = instance.demand.between(instance.start, instance.start + instance.horizon)
    return ReplenishmentItems.of(instance, demand)


def test_time_is_kept_back_for_the_plan() -> None:
    """Slow oracles: the run ends within its limit, and with the plan that its bound is about."""
    recipes = [Shopper(k, seconds=0.04) for k in range(2)]
    stopping = Stopping(gap=None, seconds=1.5)
    began = time.perf_counter()
    master = LevelBundle(share=0.01)
    result = run(shelf(), recipes, master, InProcess(), stopping, start=START)
    assert time.perf_counter() - began < 2.5
    assert result.stopped in {"seconds", "stalled"}
    assert result.plan is not None
    assert math.isfinite(result.upper)
    assert (result.plan["buys"].sum(axis=0) <= 1.5 + 1e-6).all()


def test_a_failure_leaves_the_best_plan_so_far() -> None:
    """An oracle that fails at new prices answers for the plan at those it had."""
    recipes = [Shopper(0), Shopper(1, fails_after=3)]
    result = run(shelf(), recipes, LevelBundle(), InProcess(), Stopping(gap=1e-9), start=START)
    assert result.stopped == "failed"
    assert result.failure is not None
    assert "out of paper" in str(result.failure)
    assert len(result.ledger) == 3
    assert result.plan is not None
    assert result.lower <= result.upper < math.inf


@pytest.mark.parametrize("kind", [InProcess, ProcessPool])
def test_time_that_is_up_is_no_failure(kind: type[InProcess] | type[ProcessPool]) -> None:
    """A program that HiGHS left for want of time ends the run; nothing is said to be wrong."""
    engine: Engine = InProcess() if kind is InProcess else ProcessPool(1)
    oracle = ScenarioLpRecipe(problem()).build()
    oracle.allow(0.0)
    with pytest.raises(OutOfTimeError):
        oracle.answer(np.zeros(problem().coupling.shape))
    result = decompose(
        problem(), oracle="scenario_lp", engine=engine, stopping=Stopping(gap=None, seconds=0.0)
    )
    assert (result.stopped, result.failure, result.trace) == ("seconds", None, ())
    assert result.lower == -math.inf
    assert result.upper == math.inf


def test_an_oracle_answers_the_same_after_its_time_was_up() -> None:
    """What HiGHS was left at does not show in later answers."""
    prices = problem().coupling.clipped(np.full(problem().coupling.shape, 0.5))
    fresh = ScenarioLpRecipe(problem()).build().answer(prices)
    oracle = ScenarioLpRecipe(problem()).build()
    oracle.allow(0.0)
    with pytest.raises(OutOfTimeError):
        oracle.answer(prices)
    oracle.allow(None)
    again = oracle.answer(prices)
    np.testing.assert_array_equal(fresh.cost, again.cost)
    np.testing.assert_array_equal(fresh.usage, again.usage)


def test_resuming_needs_a_checkpoint(tmp_path: Path) -> None:
    """Nothing to go on from is an error before any work, not a run from the start."""
    told: list[Event] = []
    with pytest.raises(BlockCheckpointError, match="nothing to go on from"):
        decompose(problem(), folder=tmp_path, resume=True, told=told.append)
    assert told == []


def test_large_items_are_asked_one_by_one_from_prices_of_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blocks and samples go by columns; from zero prices a feasible average is found all the same.

    Items are made large by holding few columns to be many.
    """
    small = problem()
    whole = decompose(small, oracle="scenario_lp", stopping=Stopping(gap=1e-6))
    monkeypatch.setitem(vars(small), "columns_per_item", 30_000.0)
    assert block_size("scenario_lp", small) == 1
    assert sample_size(small, 200) == 0
    told: list[Event] = []
    stopping = Stopping(gap=1e-6, iterations=80)
    result = decompose(small, oracle="scenario_lp", stopping=stopping, told=told.append)
    first = next(event for event in told if isinstance(event, FirstPrices))
    assert first.items == 0
    assert not result.ledger.prices[0].any()
    assert result.stopped == "gap"
    assert result.lower == pytest.approx(whole.lower, rel=1e-5)
    assert result.upper == pytest.approx(whole.upper, rel=1e-5)
