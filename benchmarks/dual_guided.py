"""Items that share a warehouse: prices against programs, rationing and blind learning.

    python benchmarks/dual_guided.py FOLDER [--items 100] [--table docs/results/dual_guided.csv]

Every policy meets the same demand. Costs are a period's, without terminal value; ``over priced``
is the difference to the policy that searches prices every period, with the cost-to-go that was
learned, path by path, with half of its 95 % interval. ``asked above capacity`` is what orders would
use above the capacity before the simulator rations them, in percent of the capacity, mean over
periods; ``cut`` are units that it cut for want of capacity, a period. Time is processor time of
decisions alone; those of the first period, for all paths, work out what lasts and are told apart.

The cost-to-go and then, from prices of re-solving, the forecasts are learned by tightness, at 100
and 1,000 items; 10,000 use what was learned at 1,000. Blind learning runs once, on 100 items
without the capacity. All are kept in FOLDER and continued there. What each training simulated, in
item-node-periods, is in its ``metrics.jsonl`` (`work`).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from result_table import commit, write_results
from scipy import stats

from optrl.learning.base import Subject
from optrl.learning.folder import load_policy
from optrl.learning.pathwise import PathwiseSettings
from optrl.learning.position_worth import PositionWorthSettings
from optrl.learning.price_path import PricePathSettings
from optrl.learning.training import train
from optrl.policies.base_stock import BaseStock
from optrl.policies.cost_to_go import CostToGo
from optrl.policies.dual_guided import DualGuided
from optrl.policies.learned_worth import LearnedWorth
from optrl.policies.program_endings import PositionEnding
from optrl.policies.proportional_rationing import ProportionalRationing
from optrl.simulation.rollout import DecidingPolicy, simulate
from optrl.simulation.state import Decision, State
from optrl.testbeds.base import TestBed
from optrl.testbeds.shared_capacity import SharedCapacity

# Apart from the instances and paths on which the share of the lasting price was chosen.
SEED = 1
PATHS_SEED = 20_262
STORES, PERIODS = 3, 26
TIGHTNESS = (0.9, 1.05, 1.2)
PATHS = {100: 24, 1000: 4, 10_000: 2}
# Paths and periods of programs over all items, cold and hot, by size: what takes long meets less.
MONOLITHIC = {100: (6, PERIODS), 1000: (2, 8)}
# With 10,000 items the hot program found no first decision within its 60 seconds.
PROGRAM = {100: (6, PERIODS), 1000: (2, 13)}
# What is learned at one size decides at a larger one too: all that is known is relative.
LEARNED_AT = {100: 100, 1000: 1000, 10_000: 1000}
FORECASTS = {
    100: PricePathSettings(updates=16, checkpoint_every=4, validate_every=16),
    1000: PricePathSettings(
        updates=6, checkpoint_every=3, validate_every=6, validation_paths=1, paths=1, steps=400
    ),
}
WORTHS = {
    100: PositionWorthSettings(updates=100, checkpoint_every=25, validate_every=100, paths=8),
    1000: PositionWorthSettings(
        updates=60, checkpoint_every=15, validate_every=60, paths=2, validation_paths=1
    ),
}
BLIND = PathwiseSettings(
    updates=300,
    checkpoint_every=100,
    validate_every=100,
    paths=16,
    width=16,
    validation_paths=16,
)


class Watched:
    """A policy with its time, and what its orders would use above the capacity.

    Args:
        policy: The policy.
        bed: Where it decides; the one resource is the throughput of lanes out of the warehouse.
    """

    def __init__(self, policy: DecidingPolicy, bed: TestBed) -> None:
        network = bed.instance.network
        self._policy, self._resource = policy, network.resources[0]
        lanes = network.replenishment_lanes
        self._inside = torch.from_numpy(np.isin(lanes, network.lanes_of(self._resource)))
        self._use = torch.from_numpy(self._resource.use)
        self.seconds, self.decisions = 0.0, 0
        self.first: float | None = None
        self.above: list[float] = []

    def decide(self, state: State, period: int) -> Decision:
        """As the policy does."""
        began = time.process_time()
        decision = self._policy.decide(state, period)
        seconds = time.process_time() - began
        if self.first is None:
            self.first = seconds
        else:
            self.seconds += seconds
            self.decisions += decision.order.shape[0]
        load = decision.order.double()[:, :, self._inside].sum(dim=2) @ self._use
        capacity = float(self._resource.capacity_at(period, 1)[0])
        # What float32 makes of a full capacity is none of the policy's.
        excess = (load / capacity - 1.0).clamp(min=0.0)
        self.above.extend(torch.where(excess > 1e-5, excess, 0.0).tolist())
        return decision


@dataclass(frozen=True)
class Played:
    """A policy on the first paths of a case.

    Attributes:
        cost: Cost of each path and period.
        milliseconds: Processor time of a decision after the first period.
        first: Processor time of the first period's decisions, ms.
        above: Percent of the capacity asked above it, mean over periods.
        cut: Units cut for want of capacity, a period.
    """

    cost: np.ndarray
    milliseconds: float
    first: float
    above: float
    cut: float


def played(policy: DecidingPolicy, bed: TestBed, paths: int, periods: int) -> Played:
    """Simulate a policy on the first periods of the first paths of a case."""
    instance, items = bed.instance, len(bed.instance.network.items)
    demand = bed.demand.sample(
        PATHS[items], instance.start, PERIODS, np.random.default_rng([PATHS_SEED, items])
    )
    watched = Watched(policy, bed)
    run = simulate(instance, watched, demand[:paths, :, :, :periods], seed=0)
    cut = run.cut.get("resources", torch.zeros(1))
    return Played(
        run.period_cost.numpy(),
        1000 * watched.seconds / watched.decisions,
        1000 * (watched.first or 0.0),
        100 * float(np.mean(watched.above)),
        float(cut.sum()) / (paths * periods),
    )


def policies(
    bed: TestBed, tightness: float, folder: Path
) -> dict[str, tuple[DecidingPolicy, int, int]]:
    """Policies by name, with the paths and periods that each meets."""
    instance, demand = bed.instance, bed.demand
    items = len(instance.network.items)
    every = PATHS[items], PERIODS
    learned = train_worth(LEARNED_AT[items], tightness, folder)
    place = train_forecast(LEARNED_AT[items], tightness, folder, learned)
    found: dict[str, tuple[DecidingPolicy, int, int]] = {
        "dual_guided, priced": (load_policy(learned, instance, demand), *every),
        "dual_guided, forecast prices": (load_policy(place, instance, demand), *every),
    }
    if items in MONOLITHIC:
        worth = LearnedWorth.load(learned / "policy")
        whole = DualGuided(instance, demand, how="monolithic", worth=worth, time_limit=None)
        found["dual_guided, one cold program"] = (whole, *MONOLITHIC[items])
    rule = DualGuided(instance, demand, how="priced")
    found["dual_guided, priced, nothing learned"] = (rule, *every)
    now = DualGuided(instance, demand, how="priced", toll_share=0.0)
    found["dual_guided, priced, nothing learned, no toll"] = (now, *every)
    if items in PROGRAM:
        program = CostToGo(PositionEnding(instance, demand, 1), demand, horizon=1)
        found["cost_to_go, one period, one hot program"] = (program, *PROGRAM[items])
    found |= {
        "proportional_rationing": (ProportionalRationing.fit(instance, demand), *every),
        "base_stock": (BaseStock.fit(instance, demand), *every),
        "pathwise, capacity-blind": (load_policy(folder / "blind", instance, demand), *every),
    }
    return found


def train_worth(items: int, tightness: float, folder: Path) -> Path:
    """Learn the cost-to-go at a size and tightness; gives the folder of the training."""
    bed = SharedCapacity.case(items, STORES, tightness, periods=PERIODS, seed=SEED)
    place = folder / f"position_worth-{items}-{tightness:g}"
    subject = Subject(bed.instance, bed.demand)
    train(subject, "position_worth", place, settings=WORTHS[items], resume=place.exists())
    return place


def train_forecast(items: int, tightness: float, folder: Path, worth: Path) -> Path:
    """Learn prices of re-solving with a learned cost-to-go; gives the folder of the training."""
    bed = SharedCapacity.case(items, STORES, tightness, periods=PERIODS, seed=SEED)
    place = folder / f"price_path-{items}-{tightness:g}"
    subject = Subject(bed.instance, bed.demand)
    settings = replace(FORECASTS[items], worth=str(worth / "policy"))
    train(subject, "price_path", place, settings=settings, resume=place.exists())
    return place


def train_blind(folder: Path) -> None:
    """Learn from 100 items without the capacity."""
    bed = SharedCapacity.case(100, STORES, 1.0, periods=PERIODS, seed=SEED)
    network = replace(bed.instance.network, resources=())
    subject = Subject(replace(bed.instance, network=network), bed.demand)
    place = folder / "blind"
    train(subject, "pathwise", place, settings=BLIND, resume=place.exists())


def half_width(values: np.ndarray) -> float:
    """Half of the 95 % interval of a mean."""
    quantile = float(stats.t.ppf(0.975, len(values) - 1))
    return quantile * float(values.std(ddof=1)) / float(np.sqrt(len(values)))


def main() -> None:
    """Train, simulate, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--items", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--tightness", type=float, nargs="+", default=list(TIGHTNESS))
    parser.add_argument("--table", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    code = commit()
    train_blind(asked.folder)
    rows: list[dict[str, object]] = []
    for items in asked.items:
        for tightness in asked.tightness:
            bed = SharedCapacity.case(items, STORES, tightness, periods=PERIODS, seed=SEED)
            reference: Played | None = None
            for name, (policy, paths, periods) in policies(bed, tightness, asked.folder).items():
                result = played(policy, bed, paths, periods)
                reference = result if reference is None else reference
                cost = result.cost.mean(axis=1)
                known = reference.cost[:paths, :periods].mean(axis=1)
                percent = 100 * (cost - known) / known.mean()
                row: dict[str, object] = {
                    "items": items,
                    "tightness": tightness,
                    "policy": name,
                    "paths": paths,
                    "periods": periods,
                    "cost": float(cost.mean()),
                    "half_width": half_width(cost),
                    "over priced %": float(percent.mean()),
                    "over priced half_width %": half_width(percent),
                    "asked above capacity %": result.above,
                    "cut a period": result.cut,
                    "ms a decision": result.milliseconds,
                    "ms first decisions": result.first,
                }
                rows.append(row)
                print(row, flush=True)
            if asked.table is not None:
                table = pl.DataFrame(rows).with_columns(pl.col(pl.Float64).round_sig_figs(5))
                remarks = [
                    f"{STORES} stores, {PERIODS} periods, one thread; instances of seed {SEED}, "
                    f"paths of seed {PATHS_SEED}; synthetic (optrl.testbeds.shared_capacity)"
                ]
                write_results(asked.table, table, code, remarks)


if __name__ == "__main__":
    main()
