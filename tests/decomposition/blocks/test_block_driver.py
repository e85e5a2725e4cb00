"""The driver: failures named, kills survived, engines alike, limits kept."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from optrl_formulations.network import FloatArray

from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.driver import run
from optrl.decomposition.blocks.engine import Engine
from optrl.decomposition.blocks.engines.in_process import InProcess
from optrl.decomposition.blocks.engines.process_pool import ProcessPool
from optrl.decomposition.blocks.errors import BlockCheckpointError, BlockError
from optrl.decomposition.blocks.events import Answered, Event, Failed, Iterated, Stopping
from optrl.decomposition.blocks.items import ReplenishmentItems
from optrl.decomposition.blocks.master import Master
from optrl.decomposition.blocks.masters.level_bundle import LevelBundle
from optrl.decomposition.blocks.masters.subgradient import Subgradient
from optrl.decomposition.blocks.oracle import Oracle, Response
from optrl.decomposition.blocks.replenishment import decompose
from optrl.decomposition.blocks.trace import table, write_trace
from optrl.testing import random_instance

WEIGHTS = np.array([[3.0, 1.0], [2.0, 4.0], [5.0, 2.0]])


@dataclass
class Buyer:
    """Buys up to one unit of each of two resources where it saves more than the price."""

    worth: FloatArray
    fault: str
    asked: int = 0

    def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
        """See `Oracle`; from the third question on, the fault shows."""
        self.asked += 1
        buys = (self.worth > prices[0]).astype(float)
        cost = np.array([-(self.worth @ buys)])
        bound = cost + prices[0] @ buys
        usage = buys[None, None, :]
        if self.asked > 2:
            match self.fault:
                case "raise":
                    raise RuntimeError("out of paper")
                case "nan":
                    usage = usage * math.nan
                case "shape":
                    usage = usage[:, :, :1]
                case "bound":
                    bound = bound + 1.0
                case "die":
                    os._exit(3)
        return Response(bound, cost, usage, {"buys": buys[None, :]} if plan else None)


@dataclass(frozen=True)
class BuyerRecipe:
    """Of one buyer."""

    row: int
    fault: str = ""
    items: Sequence[str] = ()
    parts: int = 1

    def build(self) -> Oracle:
        """Build it."""
        return Buyer(WEIGHTS[self.row], self.fault)


def buyers(fault: str = "") -> list[BuyerRecipe]:
    """Three, of whom the second may be at fault."""
    return [BuyerRecipe(k, fault if k == 1 else "", (f"buyer{k}",)) for k in range(3)]


def coupling() -> Coupling:
    """One and a half units of each resource for three buyers."""
    capacity = np.full((1, 2), 1.5)
    return Coupling(("shelf",), ("a", "b"), capacity, np.full((1, 2), np.inf))


def problem(items: int = 6) -> ReplenishmentItems:
    """A small replenishment problem."""
    instance = random_instance(np.random.default_rng(5), items=items, horizon=4)
    demand = instance.demand.between(instance.start, instance.start + instance.horizon)
    return ReplenishmentItems.of(instance, demand)


def test_the_optimum_of_buyers() -> None:
    """The dearest wishes are met: 5 + 3 / 2 of the first, 4 + 2 / 2 of the second resource."""
    result = run(coupling(), buyers(), LevelBundle(), InProcess(), Stopping(gap=1e-9))
    assert result.lower == pytest.approx(-11.5)
    assert result.upper == pytest.approx(-11.5)
    np.testing.assert_allclose(result.prices, [[3.0, 2.0]], atol=1e-6)
    assert result.plan is not None
    np.testing.assert_allclose(result.plan["buys"], [[0.5, 0.0], [0.0, 1.0], [1.0, 0.5]], atol=1e-6)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise", "out of paper"),
        ("nan", "is nan"),
        ("shape", "has shape (1, 1, 1), expected (1, 1, 2)"),
        ("bound", "above what its own plan costs"),
    ],
)
def test_a_failing_oracle_is_named(fault: str, words: str) -> None:
    """The run ends with the bounds it had, and says which block, items and prices failed."""
    told: list[Event] = []
    stopping = Stopping(gap=1e-9)
    result = run(coupling(), buyers(fault), LevelBundle(), InProcess(), stopping, told=told.append)
    clean = run(
        coupling(), buyers(), LevelBundle(), InProcess(), Stopping(iterations=2), with_plan=False
    )
    assert result.stopped == "failed"
    assert result.failure is not None
    assert result.failure.block == 1
    assert result.failure.items == ("buyer1",)
    assert result.failure.prices.shape == (1, 2)
    assert words in str(result.failure)
    assert "block 1 (items 'buyer1')" in str(result.failure)
    assert result.failure in [event for event in told if isinstance(event, Failed)]
    assert result.lower == clean.lower
    assert len(result.ledger) == 2


def test_a_process_that_dies_is_named() -> None:
    """A worker that is gone is a failure of its blocks, not of the run."""
    result = run(coupling(), buyers("die"), LevelBundle(), ProcessPool(1), Stopping(gap=1e-9))
    assert result.stopped == "failed"
    assert result.failure is not None
    assert "its process died" in result.failure.reason
    assert math.isfinite(result.lower)


def test_an_oracle_without_bound_gives_none() -> None:
    """Where one claims no bound there is a plan, but no lower bound and no certified gap."""

    @dataclass(frozen=True)
    class Modest:
        row: int
        items: Sequence[str] = ("someone",)
        parts: int = 1

        def build(self) -> Oracle:
            return self

        def answer(self, prices: FloatArray, *, plan: bool = False) -> Response:
            told = Buyer(WEIGHTS[self.row], "").answer(prices, plan=plan)
            return replace(told, bound=None)

    recipes = [Modest(k) for k in range(3)]
    result = run(coupling(), recipes, LevelBundle(), InProcess(), Stopping(iterations=30))
    assert result.lower == -math.inf
    assert result.gap == math.inf
    assert result.upper == pytest.approx(-11.5, rel=1e-3)


def test_engines_are_alike() -> None:
    """Processes give the same bits as one process, whatever order answers come in."""
    results = []
    engines: list[Engine] = [InProcess(), ProcessPool(2)]
    for engine in engines:
        stopping = Stopping(gap=None, iterations=5)
        results.append(decompose(problem(), size=2, sample=3, engine=engine, stopping=stopping))
    one, two = results
    assert one.failure is None
    assert two.failure is None
    assert (one.lower, one.upper) == (two.lower, two.upper)
    assert np.array_equal(one.prices, two.prices)
    assert one.plan is not None
    assert two.plan is not None
    assert all(np.array_equal(one.plan[name], two.plan[name]) for name in one.plan)


_KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_block_driver import Stopping, Answered, MASTERS, decompose, problem

def told(event):
    if isinstance(event, Answered) and event.iteration == 5 and event.answered == 2:
        os.kill(os.getpid(), signal.SIGKILL)

decompose(
    problem(), size=2, sample=3, master=MASTERS[sys.argv[3]](), folder=Path(sys.argv[2]),
    stopping=Stopping(gap=None, iterations=9), told=told,
)
"""

MASTERS: dict[str, type[LevelBundle] | type[Subgradient]] = {
    "level_bundle": LevelBundle,
    "subgradient": Subgradient,
}


@pytest.mark.parametrize("name", sorted(MASTERS))
def test_a_killed_run_ends_the_same(name: str, tmp_path: Path) -> None:
    """Killed while a round is half answered, then resumed: the same bits as never killed."""
    here = str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "-c", _KILLED, here, str(tmp_path), name], check=False)
    assert killed.returncode == -signal.SIGKILL
    stopping = Stopping(gap=None, iterations=9)
    rows = []

    def told(event: Event) -> None:
        if isinstance(event, Iterated):
            rows.append(event.row)

    def go(folder: Path, *, resume: bool) -> tuple[float, float, FloatArray, list[float]]:
        master: Master = MASTERS[name]()
        result = decompose(
            problem(),
            size=2,
            sample=3,
            master=master,
            stopping=stopping,
            folder=folder,
            resume=resume,
            told=told,
        )
        assert result.failure is None
        values = [row.value for row in result.trace]
        return result.lower, result.upper, result.prices, values

    resumed = go(tmp_path, resume=True)
    assert [row.iteration for row in rows] == [5, 6, 7, 8, 9]
    whole = go(tmp_path / "other", resume=False)
    assert resumed[:2] == whole[:2]
    assert np.array_equal(resumed[2], whole[2])
    assert resumed[3] == whole[3]


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    """Columns of another problem or master must not enter."""
    stopping = Stopping(gap=None, iterations=2)
    decompose(problem(), size=2, sample=3, stopping=stopping, folder=tmp_path)
    with pytest.raises(BlockCheckpointError, match="another problem"):
        decompose(
            problem(),
            size=2,
            sample=3,
            stopping=stopping,
            folder=tmp_path,
            resume=True,
            master=LevelBundle(share=0.4),
        )


def test_limits_and_wrong_use(tmp_path: Path) -> None:
    """Time over in mid-round drops the round; a run without an end or blocks is refused."""
    told: list[Event] = []

    def slowly(event: Event) -> None:
        told.append(event)
        if isinstance(event, Answered):
            time.sleep(1.1)

    stopping = Stopping(gap=None, seconds=1.0)
    result = decompose(problem(), size=2, sample=3, stopping=stopping, told=slowly)
    assert result.stopped == "seconds"
    assert len([event for event in told if isinstance(event, Answered)]) == 1
    assert not [event for event in told if isinstance(event, Iterated)]
    assert result.plan is None
    assert result.upper == math.inf
    with pytest.raises(BlockError, match="no end"):
        Stopping(gap=None)
    with pytest.raises(BlockError, match="no blocks"):
        run(coupling(), [], LevelBundle(), InProcess(), Stopping())
    done = decompose(problem(), size=2, sample=3, stopping=Stopping(gap=None, iterations=3))
    write_trace(done.trace, tmp_path / "trace.csv")
    assert table(done.trace)["iteration"].to_list() == [1, 2, 3]
    assert (tmp_path / "trace.csv").read_text().startswith("iteration,value,lower,upper,gap")
