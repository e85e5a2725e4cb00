"""What solving again costs: compiled Pyomo against numpy -> highspy and persistent interfaces.

A replenishment flow LP (one hub, two distribution centres, six stores, lost sales, a shared
limit on what the hub ships) of about 74 thousand variables is solved once, then again for new
demand and stock, as in a rolling horizon. All ways solve the same sequence and must find the same
optimum. Pyomo's persistent interfaces run as delivered, and tuned to look for changed parameters
only; of two, the faster counts. Times are CPU seconds of one thread, medians over the re-solves;
ratios travel better.

    python benchmarks/resolve.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import highspy
import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.appsi.solvers import Highs as AppsiHighs
from pyomo.contrib.solver.solvers.highs import Highs as ContribHighs
from scipy.sparse import coo_matrix

from optrl.solver import Model, compile_model, solve_all

# Nodes 0 hub, 1-2 centres, 3-8 stores; lane k ends at node k, with origin and lead time:
ORIGIN = np.array([-1, 0, 0, 1, 1, 1, 2, 2, 2])
LEAD = np.array([3, 2, 1, 1, 1, 2, 1, 2, 1])
NODES, STORES = 9, np.arange(3, 9)


@dataclass(frozen=True)
class Case:
    """Sizes and coefficients of the LP."""

    items: int
    periods: int
    lane_cost: np.ndarray
    holding: np.ndarray
    shortage: np.ndarray
    capacity: float

    @classmethod
    def draw(cls, items: int, periods: int, generator: np.random.Generator) -> Case:
        """Random costs; the hub ships at most a little more than mean demand."""
        return cls(
            items,
            periods,
            generator.uniform(0.1, 1.0, (items, NODES)),
            generator.uniform(0.01, 0.1, (items, NODES)) * (1 + np.arange(NODES) / NODES),
            generator.uniform(5.0, 10.0, items),
            1.02 * items * len(STORES) * 5.0,
        )

    def data(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Demand, shape (items, stores, periods), and stock, shape (items, nodes)."""
        demand = generator.poisson(5.0, (self.items, len(STORES), self.periods)).astype(float)
        return demand, generator.poisson(12.0, (self.items, NODES)).astype(float)


class Way(Protocol):
    """One way of solving the LP again and again."""

    def resolve(self, demand: np.ndarray, stock: np.ndarray) -> tuple[float, np.ndarray]:
        """Objective and order quantities, shape (items, lanes, periods)."""
        ...


class Raw:
    """numpy arrays handed to highspy: the floor."""

    def __init__(self, case: Case, demand: np.ndarray, stock: np.ndarray) -> None:
        n, t, s = case.items, case.periods, len(STORES)
        order = np.arange(n * NODES * t).reshape(n, NODES, t)
        level = order.size + order
        lost = 2 * order.size + np.arange(n * s * t).reshape(n, s, t)
        self.balance = order
        hub = order.size + np.arange(t)
        entries: list[tuple[np.ndarray, np.ndarray, float]] = [
            (self.balance, level, -1.0),
            (self.balance[:, :, 1:], level[:, :, :-1], 1.0),
            (self.balance[:, 3:], lost, 1.0),
        ]
        for lane in range(NODES):
            lead = LEAD[lane]
            entries.append((self.balance[:, lane, lead:], order[:, lane, : t - lead], 1.0))
            if ORIGIN[lane] >= 0:
                entries.append((self.balance[:, ORIGIN[lane]], order[:, lane], -1.0))
            if ORIGIN[lane] == 0:
                entries.append((np.broadcast_to(hub, (n, t)), order[:, lane], 1.0))
        rows, columns = order.size + t, 2 * order.size + lost.size
        matrix = coo_matrix(
            (
                np.concatenate([np.full(r.size, v) for r, _, v in entries]),
                (
                    np.concatenate([r.ravel() for r, _, _ in entries]),
                    np.concatenate([c.ravel() for _, c, _ in entries]),
                ),
            ),
            shape=(rows, columns),
        ).tocsr()
        cost = np.concatenate(
            [
                np.repeat(case.lane_cost, t),
                np.repeat(case.holding, t),
                np.repeat(case.shortage, s * t),
            ]
        )
        self.highs = highspy._core._Highs()
        self.highs.setOptionValue("output_flag", False)
        self.highs.setOptionValue("threads", 1)
        right = self.right(demand, stock)
        self.highs.passModel(
            columns,
            rows,
            matrix.nnz,
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            cost,
            np.zeros(columns),
            np.full(columns, np.inf),
            np.concatenate([right.ravel(), np.full(t, -np.inf)]),
            np.concatenate([right.ravel(), np.full(t, case.capacity)]),
            matrix.indptr.astype(np.int32),
            matrix.indices.astype(np.int32),
            matrix.data,
            np.zeros(columns, dtype=np.int32),
        )
        touched = np.zeros(order.shape, dtype=bool)
        touched[:, 3:], touched[:, :, 0] = True, True
        self.touched = np.flatnonzero(touched).astype(np.int32)
        self.shape = order.shape

    def right(self, demand: np.ndarray, stock: np.ndarray) -> np.ndarray:
        """Right-hand sides of the balance rows."""
        right = np.zeros((demand.shape[0], NODES, demand.shape[2]))
        right[:, 3:] = demand
        right[:, :, 0] -= stock
        return right

    def resolve(self, demand: np.ndarray, stock: np.ndarray) -> tuple[float, np.ndarray]:
        """Move the right-hand sides and run."""
        right = self.right(demand, stock).ravel()[self.touched]
        self.highs.changeRowsBounds(len(self.touched), self.touched, right, right)
        return self.solve()

    def solve(self) -> tuple[float, np.ndarray]:
        """Run and read values and duals."""
        self.highs.run()
        solution = self.highs.getSolution()
        x, _ = np.array(solution.col_value), np.array(solution.row_dual)
        value = self.highs.getInfo().objective_function_value
        return value, x[: np.prod(self.shape)].reshape(self.shape)


def state(case: Case, demand: np.ndarray, stock: np.ndarray, data: str) -> pyo.ConcreteModel:
    """The LP in Pyomo, its data as fixed variables or as mutable parameters."""
    m = pyo.ConcreteModel()
    items, nodes, periods = range(case.items), range(NODES), range(case.periods)
    stores = STORES.tolist()
    demand_by = {(i, v, t): demand[i, v - 3, t] for i in items for v in stores for t in periods}
    stock_by = {(i, v): stock[i, v] for i in items for v in nodes}
    if data == "variables":
        m.demand = pyo.Var(items, stores, periods, initialize=demand_by)
        m.stock = pyo.Var(items, nodes, initialize=stock_by)
        m.demand.fix()
        m.stock.fix()
    else:
        m.demand = pyo.Param(items, stores, periods, initialize=demand_by, mutable=True)
        m.stock = pyo.Param(items, nodes, initialize=stock_by, mutable=True)
    m.order = pyo.Var(items, nodes, periods, bounds=(0, None))
    m.level = pyo.Var(items, nodes, periods, bounds=(0, None))
    m.lost = pyo.Var(items, stores, periods, bounds=(0, None))
    onward = {v: [k for k in nodes if ORIGIN[k] == v] for v in nodes}

    @m.Constraint(items, nodes, periods)
    def balance(m, i, v, t):
        before = m.level[i, v, t - 1] if t else m.stock[i, v]
        arriving = m.order[i, v, t - LEAD[v]] if t >= LEAD[v] else 0
        leaving = sum(m.order[i, k, t] for k in onward[v])
        unmet = m.lost[i, v, t] - m.demand[i, v, t] if v >= 3 else 0
        return before + arriving - leaving - m.level[i, v, t] + unmet == 0

    @m.Constraint(periods)
    def hub(m, t):
        return sum(m.order[i, k, t] for i in items for k in onward[0]) <= case.capacity

    lane, holding, shortage = case.lane_cost.tolist(), case.holding.tolist(), case.shortage.tolist()
    m.cost = pyo.Objective(
        expr=sum(lane[i][v] * x for (i, v, _), x in m.order.items())
        + sum(holding[i][v] * x for (i, v, _), x in m.level.items())
        + sum(shortage[i] * x for (i, _, _), x in m.lost.items())
    )
    return m


class Compiled:
    """Pyomo compiled once."""

    def __init__(self, case: Case, demand: np.ndarray, stock: np.ndarray) -> None:
        m = state(case, demand, stock, "variables")
        self.model = Model(compile_model(m, [m.demand, m.stock]))
        self.shape = (case.items, NODES, case.periods)

    def resolve(self, demand: np.ndarray, stock: np.ndarray) -> tuple[float, np.ndarray]:
        """Push both data blocks and solve."""
        self.model.push_data("demand", demand)
        self.model.push_data("stock", stock)
        return self.solve()

    def solve(self) -> tuple[float, np.ndarray]:
        """Solve and read."""
        solution = self.model.solve()
        return solution.objective, solution.values("order").reshape(self.shape)


class Persistent:
    """One of Pyomo's persistent interfaces."""

    def __init__(
        self, solver: Any, case: Case, demand: np.ndarray, stock: np.ndarray, tuned: bool
    ) -> None:
        self.solver, self.tuned = solver, tuned
        self.m = state(case, demand, stock, "parameters")
        self.shape = (case.items, NODES, case.periods)
        for name in ("load_solution", "load_solutions"):  # appsi and contrib.solver spell it so
            if name in self.solver.config:
                self.solver.config[name] = False
        self.index_demand, self.index_stock = list(self.m.demand), list(self.m.stock)

    def freeze(self) -> None:
        """Where tuned, check parameters only from now on: the fastest setting it has."""
        if not self.tuned:
            return
        config = getattr(self.solver, "update_config", None) or self.solver.config.auto_updates
        for name in (
            "check_for_new_or_removed_constraints",
            "check_for_new_or_removed_vars",
            "check_for_new_or_removed_params",
            "check_for_new_objective",
            "update_constraints",
            "update_vars",
            "update_named_expressions",
            "update_objective",
            "treat_fixed_vars_as_params",
        ):
            if hasattr(config, name):
                setattr(config, name, False)

    def resolve(self, demand: np.ndarray, stock: np.ndarray) -> tuple[float, np.ndarray]:
        """Set the parameters and solve."""
        self.m.demand.store_values(
            dict(zip(self.index_demand, demand.ravel().tolist(), strict=True))
        )
        self.m.stock.store_values(dict(zip(self.index_stock, stock.ravel().tolist(), strict=True)))
        return self.solve()

    def solve(self) -> tuple[float, np.ndarray]:
        """Solve and read."""
        result = self.solver.solve(self.m)
        value = getattr(result, "incumbent_objective", None)
        value = result.best_feasible_objective if value is None else value
        loader = result.solution_loader
        primals = loader.get_primals() if hasattr(loader, "get_primals") else loader.get_vars()
        orders = np.array([primals[x] for x in self.m.order.values()])
        return float(value), orders.reshape(self.shape)


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds and result."""
    began = time.process_time()
    result = action()
    return time.process_time() - began, result


def measure(
    make: Callable[[np.ndarray, np.ndarray], Any], path: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[float, list[float], list[float]]:
    """Seconds to build and solve first, seconds of each re-solve, and the optimal values."""

    def first() -> tuple[Any, float]:
        way = make(*path[0])
        return way, way.solve()[0]

    build, (way, value) = timed(first)
    if isinstance(way, Persistent):
        way.freeze()
        way.solve()
    seconds, values = [], [value]
    for demand, stock in path[1:]:
        spent, (value, _) = timed(lambda d=demand, s=stock: way.resolve(d, s))
        seconds.append(spent)
        values.append(value)
    return build, seconds, values


def pool_speedup(items: int, periods: int, models: int, repeats: int) -> float:
    """Wall time of solving models one after the other over that on two threads.

    Each is the shortest of several, since other work on the machine only adds to it.
    """
    generator = np.random.default_rng(1)
    programs = []
    for _ in range(models):
        case = Case.draw(items, periods, generator)
        m = state(case, *case.data(generator), "variables")
        programs.append(compile_model(m, [m.demand, m.stock]))
    wall: dict[int, list[float]] = {1: [], 2: []}
    values = {}
    for _ in range(repeats):
        for workers, seconds in wall.items():
            fresh = [Model(program) for program in programs]
            began = time.perf_counter()
            values[workers] = [s.objective for s in solve_all(fresh, workers)]
            seconds.append(time.perf_counter() - began)
        assert np.allclose(values[1], values[2])
    return min(wall[1]) / min(wall[2])


def main() -> None:
    """Print seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small LP, to see that it runs")
    quick = parser.parse_args().quick
    items, periods, solves = (10, 12, 3) if quick else (100, 31, 7)
    generator = np.random.default_rng(0)
    case = Case.draw(items, periods, generator)
    path = [case.data(generator)]
    for _ in range(solves):
        # Half of the items' demand and stock are new, as after a period has passed.
        demand, stock = (a.copy() for a in path[-1])
        new_demand, new_stock = case.data(generator)
        moved = generator.random(items) < 0.5
        demand[moved], stock[moved] = new_demand[moved], new_stock[moved]
        path.append((demand, stock))
    ways: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
        "numpy -> highspy": lambda d, s: Raw(case, d, s),
        "compile_model -> Model": lambda d, s: Compiled(case, d, s),
        "appsi persistent, as delivered": lambda d, s: Persistent(AppsiHighs(), case, d, s, False),
        "appsi persistent, tuned": lambda d, s: Persistent(AppsiHighs(), case, d, s, True),
        "contrib persistent, as delivered": lambda d, s: Persistent(
            ContribHighs(), case, d, s, False
        ),
        "contrib persistent, tuned": lambda d, s: Persistent(ContribHighs(), case, d, s, True),
    }
    print(f"{items} items, {periods} periods, {items * periods * 24:,} variables")
    print(f"{'CPU seconds':34}{'build + first':>14}{'re-solve':>10}")
    first, again, optimum = {}, {}, None
    for name, make in ways.items():
        first[name], seconds, values = measure(make, path)
        again[name] = float(np.median(seconds))
        optimum = values if optimum is None else optimum
        assert np.allclose(values, optimum, rtol=1e-7), (name, values, optimum)
        print(f"{name:34}{first[name]:14.3f}{again[name]:10.4f}", flush=True)
    raw, ours, *persistent = ways
    delivered = min(again[name] for name in persistent if "delivered" in name)
    tuned = min(again[name] for name in persistent if "tuned" in name)
    for text, ratio, target in (
        ("re-solve, ours / numpy -> highspy", again[ours] / again[raw], "<= 1.2"),
        ("re-solve, persistent as delivered / ours", delivered / again[ours], ">= 6"),
        ("re-solve, persistent tuned / ours", tuned / again[ours], ">= 6"),
        ("build + first, ours / numpy -> highspy", first[ours] / first[raw], "<= 4"),
    ):
        print(f"{text:44}{ratio:6.2f}  (target {target})")
    speed = pool_speedup(items // 3, periods, 4, repeats=2 if quick else 5)
    text = "four models, wall on 1 thread / on 2"
    print(f"{text:44}{speed:6.2f}  (on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f})")


if __name__ == "__main__":
    main()
