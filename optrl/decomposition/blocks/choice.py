"""A plan that keeps every limit and every integer: one answered plan for each part, not an average.

Where items' problems have integers an average of their plans is none. But the program that averages
has one row a part and one a capacity, so that an optimal vertex splits at most as many parts as
capacities bind (Shapley and Folkman); all others follow a single plan. The split parts, and those
that could follow another plan at least loss, choose anew by an integer program in the room that
the settled ones leave. What this costs above the bound is a matter of the number of capacities, not
of items: the gap falls with their number.

Each part must be an item (or some that hang together): `optrl.decomposition.blocks.oracle.Recipe`.

Source: Aubin & Ekeland (1976), Mathematics of Operations Research 1(3) (the duality gap of many
problems that share few constraints).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optrl_formulations.linear_program import Block, LinearProgram
from optrl_formulations.network import BoolArray, FloatArray, IntArray
from scipy.sparse import csr_matrix, eye, hstack, kron, vstack

from optrl.decomposition.blocks.combination import combine, true_cost
from optrl.decomposition.blocks.coupling import Coupling
from optrl.decomposition.blocks.engine import Engine
from optrl.decomposition.blocks.errors import BlockError, OutOfTimeError
from optrl.decomposition.blocks.events import Failed
from optrl.decomposition.blocks.ledger import Ledger
from optrl.decomposition.blocks.oracle import Plan, Recipe
from optrl.decomposition.blocks.result import Result, relative_gap
from optrl.decomposition.blocks.rounds import Asking
from optrl.solver import InfeasibleError, Model, NoSolutionError

_SETTLED = 1 - 1e-7
_OPEN = 40
_FEWEST, _COLUMNS = 12, 50_000


@dataclass(frozen=True)
class Choice:
    """A plan for every part, and what was repaired to have it.

    Attributes:
        plan: Of all items, as answered.
        cost: True cost with what overflow costs.
        lower: Bound of the run.
        usage: Shape (R, P).
        round: Whose plan each part follows, by its prices, shape (J,).
        split: Parts that the averaging program left between plans.
        decided: Parts that the integer program chose for.
        moved: Parts that do not follow the answer at the best prices.
        excess: Largest use above a capacity that must hold, relative to it, of the answer at the
            best prices: what had to be repaired.
        repair_cost: Cost above that of the average over parts, which has no integers to keep.
    """

    plan: Plan
    cost: float
    lower: float
    usage: FloatArray
    round: IntArray
    split: int
    decided: int
    moved: int
    excess: float
    repair_cost: float

    @property
    def gap(self) -> float:
        """(cost - lower) / |cost|."""
        return relative_gap(self.lower, self.cost)


def choose(
    result: Result,
    recipes: Sequence[Recipe],
    engine: Engine,
    *,
    most_rounds: int | None = None,
    time_limit: float | None = 60.0,
) -> Choice:
    """Choose among the answers of a run.

    Args:
        result: Of the run; its blocks were these recipes, its upper bound finite.
        recipes: Of the blocks, as many parts as items where items are free of each other.
        engine: Asks again.
        most_rounds: Rounds whose answers are chosen among: those of most weight, and the
            best; None for so many that the program stays small.
        time_limit: Seconds for the integer program; None for no limit.

    Raises:
        BlockError: If the run has no feasible average, or an oracle fails.
        OutOfTimeError: If no choice was found in time.
    """
    combination, coupling = result.combination, result.coupling
    if combination is None or not combination.feasible:
        raise BlockError("the run found no average that holds the capacities: give it more rounds")
    weight = combination.weights.mean(axis=1)
    parts = sum(recipe.parts for recipe in recipes)
    most = max(_FEWEST, _COLUMNS // parts) if most_rounds is None else most_rounds
    best = result.ledger.centre(coupling.limits)
    order = np.argsort(-weight, kind="stable").tolist()
    rounds = [best, *(k for k in order if k != best)][:most]
    engine.begin(recipes)
    try:
        asking = Asking(engine, recipes, coupling, parts)
        ledger = _asked_again(asking, coupling, result.ledger, rounds)
        average = combine(ledger, coupling)
        chosen, split, decided = _decide(ledger, coupling, average.weights, time_limit)
        weights = np.zeros((len(rounds), parts))
        weights[chosen, np.arange(parts)] = 1.0
        prices = [coupling.dense(p) for p in ledger.prices]
        made = asking.average(prices, weights, np.inf)
    finally:
        engine.end()
    if isinstance(made, Failed):
        raise BlockError(str(made))
    plan, cost, usage = made
    cost, feasible = true_cost(cost, usage, coupling)
    if not feasible:
        raise BlockError(
            "the chosen plans break a capacity: an oracle answers the same prices differently"
        )
    firm = ~np.isfinite(coupling.price_limits)
    excess = (ledger.usage[0].sum(axis=0) - coupling.limits) / np.maximum(coupling.limits, 1.0)
    return Choice(
        plan=plan,
        cost=cost,
        lower=result.lower,
        usage=coupling.dense(usage),
        round=np.asarray(rounds)[chosen],
        split=split,
        decided=decided,
        moved=int((chosen > 0).sum()),
        excess=float(np.maximum(excess[firm], 0.0).max(initial=0.0)),
        repair_cost=cost - average.cost,
    )


def _asked_again(
    asking: Asking, coupling: Coupling, ledger: Ledger, rounds: Sequence[int]
) -> Ledger:
    """Cost and usage of every part at the prices of some rounds."""
    found = Ledger(asking.groups)
    for number in rounds:
        prices = ledger.prices[number]
        answered = asking.round(coupling.dense(prices), np.inf, lambda k: None)
        if isinstance(answered, Failed):
            raise BlockError(str(answered))
        found.add(prices, answered.cost, answered.usage, answered.bound)
    return found


def _decide(
    ledger: Ledger, coupling: Coupling, weights: FloatArray, time_limit: float | None
) -> tuple[IntArray, int, int]:
    """Which plan each part follows (J,); how many were split, and how many were decided."""
    chosen = weights.argmax(axis=0)
    split = weights.max(axis=0) < _SETTLED
    prices = ledger.prices[0]
    net = np.stack([c + u @ prices for c, u in zip(ledger.cost, ledger.usage, strict=True)])
    loss = np.where(np.arange(len(net))[:, None] == chosen, np.inf, net).min(axis=0)
    loss -= np.take_along_axis(net, chosen[None], axis=0)[0]
    loss[split] = -np.inf
    order = np.argsort(loss, kind="stable")
    ends = np.inf if time_limit is None else time.perf_counter() + time_limit
    count = int(split.sum()) + _OPEN
    while True:
        opened = np.zeros(len(order), dtype=bool)
        opened[order[:count]] = True
        left = None if ends == np.inf else ends - time.perf_counter()
        if left is not None and left <= 0:
            raise OutOfTimeError("no choice of plans that holds the capacities was found in time")
        solved = _choose_whole(ledger, coupling, chosen, opened, left)
        if solved is not None:
            return solved, int(split.sum()), int(opened.sum())
        if count >= len(order):
            raise BlockError(
                "no choice of one answered plan for each part holds the capacities: ask for more "
                "rounds, whose plans use less"
            )
        count *= 4


def _choose_whole(
    ledger: Ledger,
    coupling: Coupling,
    chosen: IntArray,
    opened: BoolArray,
    seconds: float | None,
) -> IntArray | None:
    """The cheapest choice for the open parts, the others as chosen; None where there is none."""
    parts = np.flatnonzero(opened)
    cost = np.stack(ledger.cost)[:, parts]
    usage = np.stack(ledger.usage)
    settled = np.flatnonzero(~opened)
    limits = coupling.limits - usage[chosen[settled], settled].sum(axis=0)
    rounds, rows = len(cost), len(limits)
    scale = np.maximum(coupling.limits, 1.0)
    soft = np.flatnonzero(np.isfinite(coupling.price_limits))
    columns = usage[:, parts].reshape(-1, rows).T / scale[:, None]
    over = csr_matrix(eye(rows))[:, soft]
    one = kron(np.ones((1, rounds)), eye(len(parts)))
    binary = rounds * len(parts)
    width = binary + len(soft)
    program = LinearProgram(
        cost=np.concatenate([cost.ravel(), (coupling.price_limits * scale)[soft]]),
        offset=0.0,
        matrix=vstack(
            [
                hstack([csr_matrix(columns), -over]),
                hstack([one, csr_matrix((len(parts), len(soft)))]),
            ],
            format="csr",
        ),
        row_lower=np.concatenate([np.full(rows, -np.inf), np.ones(len(parts))]),
        row_upper=np.concatenate([limits / scale, np.ones(len(parts))]),
        column_lower=np.zeros(width),
        column_upper=np.concatenate([np.ones(binary), np.full(len(soft), np.inf)]),
        integrality=np.arange(width) < binary,
        columns={
            "choice": Block("choice", 0, binary, str),
            "over": Block("over", binary, width, str),
        },
        rows={
            "capacity": Block("capacity", 0, rows, str),
            "one": Block("one", rows, rows + len(parts), str),
        },
    )
    try:
        whole = np.abs(np.stack(ledger.cost)[0]).sum()
        mine = max(float(np.abs(cost[0]).sum()), 1e-12 * whole, 1e-300)
        solution = Model(program).solve(
            time_limit=seconds, relative_gap=min(_MIP_GAP * whole / mine, _MOST_GAP)
        )
    except (InfeasibleError, NoSolutionError):
        return None
    result = chosen.copy()
    result[parts] = solution.x[:binary].reshape(rounds, -1).argmax(axis=0)
    return result


_MIP_GAP, _MOST_GAP = 1e-4, 0.05
"""Of the cost of all parts, and at most of the open ones."""
