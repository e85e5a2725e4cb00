"""Throughput of learning: forward and backward through the simulator with a policy network.

Lost sales at places fed by one supplier with lead time 4, Poisson demand, a policy network of two
hidden layers of 32. One update simulates 50 periods and takes the gradient of the cost with respect
to all weights. Demand is drawn beforehand. One thread, float32. An item-node-period is one item at
one stocking node for one period, forward and backward together.

The peer is the loop that one writes by hand for this one system in torch: a network of the same
size made of `torch.nn` layers, a list as the pipeline, autograd. It knows nothing but this system:
no graph, no rationing, no indicators. Beside it stand larger cases of the simulator: a network
of three layers of 128, four lead times side by side, and one warehouse with five stores, where
nodes exchange messages.

The best of some repeats counts, by CPU seconds: other programs on the machine slow all.

    python benchmarks/learn.py [--repeats 5] [--out FILE.csv]

For comparison, not measured here: 1.1e6 item-node-periods per core-second is the known figure of
the code of Alvo, Russo & Kanoria, Neural inventory control in networks via hindsight differentiable
policy optimization (2023).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from optrl.building import build
from optrl.demand.paths import steady
from optrl.demand.poisson import Poisson
from optrl.learning.simulated_systems import SimulatedSystems
from optrl.learning.system_family import single_places
from optrl.learning.training_instance import training_instance
from optrl.networks.graph_policy import PolicyNetwork
from optrl.policies.neural_conditions import InputSpace
from optrl.policies.neural_file import policy_shape

PERIODS, LEAD_TIME, MEAN, SHORTAGE_COST = 50, 4, 5.0, 9.0


class GivenDemand:
    """A demand model whose paths were drawn beforehand."""

    def __init__(self, model: Poisson, paths: int) -> None:
        self.model = model
        self._drawn = model.sample(paths, 0, PERIODS, np.random.default_rng(0))
        # Laid out as the simulator reads it, so that drawing costs nothing here.
        laid_out = np.ascontiguousarray(self._drawn.transpose(3, 2, 0, 1).astype(np.float32))
        self._drawn = laid_out.transpose(2, 3, 1, 0)

    def __getattr__(self, name: str) -> object:
        return getattr(self.model, name)

    def sample(self, *_: object) -> np.ndarray:
        """The same paths each time."""
        return self._drawn


def simulator(
    lead_times: tuple[int, ...], items: int, paths: int, width: int, depth: int
) -> tuple[Callable[[], float], int]:
    """An update of optrl's simulator on single places; and its item-node-periods."""
    mean = np.full((items, len(lead_times)), MEAN)
    instance = single_places(lead_times, mean, np.full(mean.shape, SHORTAGE_COST), "lost")
    model = GivenDemand(Poisson(np.arange(1, 1 + len(lead_times)), steady(mean)), paths)
    return _update(instance, model, paths, width, depth, 0)


def warehouse(items: int, paths: int, width: int) -> tuple[Callable[[], float], int]:
    """An update of optrl's simulator on one warehouse and five stores with messages."""
    stores = [f"store{k}" for k in range(5)]
    instance = build(
        "one warehouse, five stores",
        {"supplier": "supplier", "hub": "stocking", **dict.fromkeys(stores, "stocking")},
        {("supplier", "hub"): 3, **{("hub", store): 2 for store in stores}},
        stores,
        unmet="lost",
        horizon=PERIODS,
        items=items,
        holding_cost={"hub": 0.3, **dict.fromkeys(stores, 1.0)},
        shortage_cost=dict.fromkeys(stores, SHORTAGE_COST),
    )
    model = GivenDemand(Poisson(np.arange(2, 7), steady(np.full((items, 5), MEAN))), paths)
    return _update(instance, model, paths, width, 2, 1)


def _update(instance, model, paths, width, depth, rounds):  # type: ignore[no-untyped-def]
    space = InputSpace(LEAD_TIME)
    network = PolicyNetwork.seeded(policy_shape(space, width, depth, rounds), 0)
    training = training_instance(instance, model)
    systems = SimulatedSystems(training, network, space, paths=paths, endless=True)

    def update() -> float:
        network.zero_grad()
        systems.restart()
        loss = systems.cost(PERIODS, np.random.default_rng(0), 0, 0)
        loss.backward()
        return float(loss.detach())

    return update, systems.work * PERIODS


def by_hand(rows: int, width: int) -> tuple[Callable[[], float], int]:
    """An update of a loop written for this system alone, with the same size of network."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Linear(LEAD_TIME, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()),
        *(nn.Linear(width, 1), nn.Softplus()),
    )
    demand = torch.poisson(torch.full((PERIODS, rows), MEAN))

    def update() -> float:
        network.zero_grad()
        stock = torch.full((rows,), 37.5)
        pipeline: list[Tensor] = [torch.zeros(rows)] * (LEAD_TIME - 1)
        cost = torch.zeros(())
        for of_period in demand:
            state = torch.stack([stock, *pipeline], dim=1) / MEAN
            order = network(state)[:, 0] * MEAN
            left = torch.relu(stock - of_period)
            lost = torch.relu(of_period - stock)
            cost = cost + left.sum() + SHORTAGE_COST * lost.sum()
            stock = left + pipeline[0]
            pipeline = [*pipeline[1:], order]
        loss = cost / (rows * PERIODS)
        loss.backward()
        return float(loss.detach())

    return update, rows * PERIODS


def rate(case: tuple[Callable[[], float], int], repeats: int) -> float:
    """Item-node-periods per CPU second, the best of some updates."""
    update, work = case
    update()
    best = np.inf
    for _ in range(repeats):
        began = time.process_time()
        update()
        best = min(best, time.process_time() - began)
    return work / best


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = (
        ("loop by hand, 2 x 32", by_hand(16_384, 32)),
        ("one place, 2 x 32", simulator((LEAD_TIME,), 64, 256, 32, 2)),
        ("four lead times, 2 x 32", simulator((1, 2, 3, 4), 64, 64, 32, 2)),
        ("four lead times, 3 x 128", simulator((1, 2, 3, 4), 64, 32, 128, 3)),
        ("warehouse and five stores, 2 x 32, messages", warehouse(64, 40, 32)),
    )
    rows, peer = [], 0.0
    for label, case in cases:
        found = rate(case, arguments.repeats)
        peer = peer or found
        rows.append(f"{label!r},{found:.3g},{found / peer:.2f}".replace("'", '"'))
        print(f"{label:45} {found:9.3g} item-node-periods/s, {found / peer:5.2f} of the loop")
    if arguments.out is not None:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        )
        head = f"# command: python {' '.join(sys.argv)}\n# commit: {commit.stdout.strip()}\n"
        columns = "case,item_node_periods_per_core_second,of_the_loop_by_hand\n"
        arguments.out.write_text(head + columns + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
