"""Our lookahead and oracle inside the environment `gym-invmgmt`, against its published agents.

For each published scenario of the network "base" and the same ten seeds: the mean profit of the
informed multi-stage lookahead acting in their environment, the published figures, and CPU seconds
an episode. The lookahead releases the mean order of `--trees` scenario trees. Without goodwill also
the profit with perfect information (our linear program on the episode's demand, checked by playing
its orders in their environment).

With goodwill demand depends on past service. The lookahead then acts on demand as it will be if
all demand is met from now on (`optrl.adapters.gym_invmgmt_demand`) and does not count what an unmet
unit costs in later demand. There is no oracle of ours: the problem is bilinear, and the published
one is on fixed demand, which bounds nothing.

With `--peer` (a checkout of r2barati/gym-invmgmt-paper; needs the package pulp) their informed
multi-stage program is run in the same process on `--peer-seeds` episodes of each scenario, and the
mean difference to its published profits, seed by seed, is given with its interval.

    python benchmarks/gym_invmgmt_profit.py [--seeds N] [--trees N] [--branches N...]
        [--peer DIR] [--peer-seeds N] [--out FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import polars as pl
import torch
from gym_invmgmt import CoreEnv
from result_table import ROOT, commit, write_results
from scipy import stats

from optrl.adapters.gym_invmgmt import GymInvmgmt, read_gym_invmgmt
from optrl.adapters.gym_invmgmt_play import demand_of, perfect_profit, play
from optrl.policies.multi_stage import MultiStage
from optrl.simulation.state import Decision, State

REFERENCE = ROOT / "../shared/references/gym_invmgmt_profit.csv"
SEEDS = (42, 123, 456, 789, 1011, 2022, 3033, 4044, 5055, 6066)
# Outcomes of the next three periods: 24 paths to the end of the episode.
BRANCHES = (4, 3, 2)


def main() -> None:
    """Run, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--branches", type=int, nargs="+", default=BRANCHES)
    parser.add_argument("--trees", type=int, default=2)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--peer-seeds", type=int, default=1)
    parser.add_argument("--reference", type=Path, default=REFERENCE)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/gym_invmgmt.csv")
    options = parser.parse_args()
    if not options.reference.is_file():
        parser.error(f"published figures not found at {options.reference}; give --reference FILE")
    rows, code = [], commit()
    for published in pl.read_csv(options.reference).iter_rows(named=True):
        row = scenario(published, options)
        rows.append(row)
        print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    remarks = [
        f"each decision is the mean of {options.trees} trees of {prod(options.branches)} paths",
        f"{options.seeds} seeds; half widths of 95 % intervals; CPU seconds an episode, "
        f"one thread, side by side with {options.peer_seeds} episodes of the peer"
        if options.peer is not None
        else f"{options.seeds} seeds; half widths of 95 % intervals; CPU seconds an "
        "episode, one thread",
        "with goodwill the lookahead acts on demand as it will be if all of it is met from then "
        "on; the published oracle is on fixed demand there and bounds nothing",
    ]
    write_results(options.out, pl.DataFrame(rows, infer_schema_length=None), code, remarks)


def scenario(published: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """One line of the table."""
    row: dict[str, Any] = {
        "demand": published["demand"],
        "backlog": published["backlog"],
        "goodwill": published["goodwill"],
        "oracle": None,
        "published_oracle": published["oracle"],
        "lookahead": None,
        "half_width": None,
        "published_mssp_informed": published["mssp_informed"],
        "seconds": None,
        "mssp_seconds": None,
        "paired_difference": None,
        "paired_half_width": None,
    }
    goodwill = bool(published["goodwill"])
    env = CoreEnv(
        scenario=published["network"],
        backlog=published["backlog"],
        num_periods=30,
        demand_config={"type": published["demand"], "base_mu": 20, "use_goodwill": goodwill},
    )
    foreign = read_gym_invmgmt(env, goodwill=goodwill)
    oracle, profit, seconds, peer_seconds = [], [], [], []
    for number, seed in enumerate(SEEDS[: options.seeds]):
        if not goodwill:
            oracle.append(best(env, foreign, seed))
        begun = cpu_seconds()
        policy = MeanOrder.of(foreign, options.branches, options.trees, seed)
        episode = play(env, foreign, policy, seed)
        seconds.append(cpu_seconds() - begun)
        profit.append(episode.total)
        # Side by side, so that both run under the same load.
        if options.peer is not None and number < options.peer_seeds:
            peer_seconds.append(peer_episode(options.peer, env, seed))
    row |= {
        "oracle": round(float(np.mean(oracle)), 2) if oracle else None,
        "lookahead": round(float(np.mean(profit)), 2),
        "half_width": half_width(profit),
        "seconds": round(float(np.mean(seconds)), 2),
    }
    if options.peer is not None:
        difference = np.array(profit) - published_by_seed(options.peer, published)[: len(profit)]
        row |= {
            "mssp_seconds": round(float(np.mean(peer_seconds)), 2),
            "paired_difference": round(float(difference.mean()), 2),
            "paired_half_width": half_width(difference.tolist()),
        }
    return row


@dataclass(frozen=True)
class MeanOrder:
    """The mean order of lookaheads on samples of their own.

    A tree of few paths makes noisy decisions. The program is convex, so that what the mean order
    is expected to cost is at most the mean of what the orders are.

    Attributes:
        lookaheads: One for each sample.
    """

    lookaheads: tuple[MultiStage, ...]

    @classmethod
    def of(cls, foreign: GymInvmgmt, branches: Sequence[int], trees: int, seed: int) -> MeanOrder:
        """Look to the end of the episode on trees of the same shape."""
        return cls(
            tuple(
                MultiStage(
                    foreign.instance,
                    foreign.demand,
                    branches=branches,
                    horizon=foreign.instance.horizon,
                    seed=seed + 100_000 * tree,
                )
                for tree in range(trees)
            )
        )

    def decide(self, state: State, period: int) -> Decision:
        """Release the mean order."""
        orders = [policy.decide(state, period).order for policy in self.lookaheads]
        return Decision(order=torch.stack(orders).mean(dim=0))


def best(env: CoreEnv, foreign: GymInvmgmt, seed: int) -> float:
    """Profit with perfect information, attained by its orders in their environment."""
    bound, attained = perfect_profit(env, foreign, demand_of(env, foreign, seed), seed)
    if abs(bound - attained) > 1e-6 * max(1.0, abs(bound)):
        raise RuntimeError(f"seed {seed}: the program says {bound}, the environment {attained}")
    return attained


def cpu_seconds() -> float:
    """Of this process and of those it started, such as the peer's solver."""
    return sum(os.times()[:4])


def half_width(values: list[float]) -> float | None:
    """Of the 95 % interval of the mean (Student's t)."""
    if len(values) < 2:
        return None
    quantile = stats.t.ppf(0.975, len(values) - 1)
    return round(float(quantile * np.std(values, ddof=1) / np.sqrt(len(values))), 2)


def peer_episode(peer: Path, env: CoreEnv, seed: int) -> float:
    """Seconds of one episode of their informed multi-stage program, set up as their runs do."""
    sys.path.insert(0, str(peer))
    from agents.mssp_agent import RollingHorizonMSSPAgent

    network = env.network
    longest = max(
        nx.path_weight(env.graph, path, "L")
        for start in [*network.factory, *network.rawmat]
        for end in network.retail
        for path in nx.all_simple_paths(env.graph, start, end)
    )
    begun = cpu_seconds()
    agent = RollingHorizonMSSPAgent(
        env, planning_horizon=max(10, longest + 5), is_blind=False, seed=seed
    )
    env.reset(seed=seed)
    for period in range(env.num_periods):
        env.step(agent.get_action(period))
    return cpu_seconds() - begun


def published_by_seed(peer: Path, published: dict[str, Any]) -> np.ndarray:
    """Their informed multi-stage program's published profits in the order of `SEEDS`."""
    table = pl.read_csv(peer / "results/cache_v2/bench_MSSP-I.csv").filter(
        *(
            pl.col(name.title()) == published[name]
            for name in ("block", "network", "demand", "goodwill", "backlog")
        )
    )
    by_seed = dict(zip(table["Seed"], table["Profit"], strict=True))
    return np.array([by_seed[seed] for seed in SEEDS])


if __name__ == "__main__":
    main()
