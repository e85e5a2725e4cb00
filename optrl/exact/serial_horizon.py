"""Serial systems over finitely many periods: Clark & Scarf's decomposition, exact on a grid.

Stages are numbered from the customer. In period t a decision is taken, then demand D falls, then
costs. Let E_j be the echelon stock of stage j before the decision (stock there, below and on its
way below, less backlog), x_j its echelon position (what is on its way to j counted too) and y_j
the position after ordering, x_j <= y_j <= E_{j+1}. What stage j is left with is E_j - y_{j-1}, so
that the cost of a period is a sum over echelons: h_j (E_j - y_{j-1}) for j > 1, c_j (y_j - x_j),
and h_1 and p on what stage 1 is left with. With l_j periods from release to use, D(l) the demand of
l periods, h_{N+1} = 0 and nothing beyond the last period T - 1,

    Q_{1,t}(E) = E[h_1 max(E - D, 0) + p max(D - E, 0)],
    G_{j,t}(y) = (c_j - h_{j+1}) y + a^l_j E Q_{j,t+l_j}(y - D(l_j)) + a E v_{j,t+1}(y - D),
    S_{j,t} = argmin G_{j,t},
    v_{j,t}(x) = -c_j x + G_{j,t}(max(x, S_{j,t})) - G_{j,t}(S_{j,t}),
    Q_{j+1,t}(E) = h_{j+1} E + G_{j,t}(min(E, S_{j,t})).

The last term is the induced penalty: the convex G_{j,t} minimized over x <= y <= E is the sum of a
function of x and one of E as long as x <= E. Outside there is always enough, so that v_{N,t} keeps
its G_{N,t}(S_{N,t}). The optimal cost is the sum over stages of v_{j,0}(x_j) and of a^t E Q_{j,t}
in the periods t < l_j that no order reaches; echelon base stock at levels S_{j,t} is optimal.

**No truncation error.** Demand lies on 0, d, 2 d, .... Every function is then convex and piecewise
linear with kinks at multiples of d, none below 0 and none above the largest demand of the periods
left: values there and the two slopes beyond are all of it, and a start between grid points is
interpolated without error. What is left is rounding. Demand that lies on no grid is bracketed
(`optrl.exact.normal_grid`).

Source: Clark & Scarf (1960), Optimal Policies for a Multi-Echelon Inventory Problem, Management
Science 6(4) (finite horizon, decomposition and induced penalty); Federgruen & Zipkin (1984),
Computational Issues in an Infinite-Horizon, Multiechelon Inventory Model, Operations Research
32(4) (the same for any horizon).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.exact.distribution import DemandDistribution
from optrl.exact.errors import ExactError


@dataclass(frozen=True)
class SerialChain:
    """One item through stages in a row; unmet demand waits. The customer's stage comes first.

    Attributes:
        demand: Demand of a period in multiples of `unit`.
        unit: The grid's spacing d.
        holding_cost: Of a unit left at each stage at the end of a period.
        shortage_cost: p, a unit waiting at the end of a period.
        lead_time: Periods from release to use on the lane into each stage; 0 at the first only.
        release_cost: Of a unit released on the lane into each stage.
        discount: Of a period's costs against the period before.
    """

    demand: DemandDistribution
    unit: float
    holding_cost: tuple[float, ...]
    shortage_cost: float
    lead_time: tuple[int, ...]
    release_cost: tuple[float, ...]
    discount: float = 1.0

    def __post_init__(self) -> None:
        counts = [len(v) for v in (self.holding_cost, self.lead_time, self.release_cost)]
        if len(set(counts)) > 1 or not counts[0]:
            raise ExactError(
                f"{counts[0]} holding costs, {counts[1]} lead times and {counts[2]} release "
                "costs: give one of each a stage, and at least one stage"
            )
        if min(self.lead_time) < 0 or min(self.lead_time[1:], default=1) < 1:
            raise ExactError(
                f"lead times {self.lead_time}, customer's stage first: only the lane into the "
                "first may take no time"
            )
        if not (self.unit > 0 and self.shortage_cost >= 0 and 0 < self.discount <= 1):
            raise ExactError(
                f"unit {self.unit} must be positive, shortage cost {self.shortage_cost} not "
                f"negative, discount {self.discount} in (0, 1]"
            )
        if min(self.holding_cost) < 0:
            raise ExactError(f"holding costs {self.holding_cost} must not be negative")

    @property
    def stages(self) -> int:
        """Number of stages N."""
        return len(self.lead_time)


@dataclass(frozen=True)
class ChainState:
    """What the first decision sees.

    Attributes:
        on_hand: Stock of each stage, arrivals of the period included, shape (N,).
        due: ``due[j, k]`` reaches stage j in k + 1 periods, shape (N, K).
        backlog: Demand waiting at the first stage.
    """

    on_hand: FloatArray
    due: FloatArray
    backlog: float = 0.0

    @property
    def echelon_stock(self) -> FloatArray:
        """E_j, shape (N,)."""
        below = np.concatenate([[-self.backlog], self.position[:-1]])
        return np.asarray(below + self.on_hand)

    @property
    def position(self) -> FloatArray:
        """x_j, shape (N,)."""
        return np.asarray(np.cumsum(self.on_hand + self.due.sum(axis=1)) - self.backlog)


class _Grid:
    """Convex functions by their values at -d, 0, d, ..., M d; linear beyond.

    Args:
        demand: Of a period.
        unit: d.
        periods: M d is above the largest demand of so many.
    """

    def __init__(self, demand: DemandDistribution, unit: float, periods: int) -> None:
        likely = np.flatnonzero(demand.probability)
        self.least, largest = int(likely[0]), int(likely[-1])
        self.probability = demand.probability[self.least : largest + 1]
        self.unit = unit
        self.points: FloatArray = unit * np.arange(-1.0, periods * largest + 2)

    def after_demand(self, values: FloatArray, periods: int = 1) -> FloatArray:
        """E f(y - demand of some periods)."""
        for _ in range(periods):
            ahead = self.least + len(self.probability) - 1
            below = values[0] + (values[0] - values[1]) * np.arange(ahead, 0, -1)
            reached = np.concatenate([below, values[: len(values) - self.least]])
            values = np.convolve(reached, self.probability, mode="valid")
        return values

    def at(self, values: FloatArray, x: float) -> float:
        """f(x) for any x."""
        x = x / self.unit
        k = int(np.clip(np.floor(x) + 1, 0, len(values) - 2))
        return float(values[k] + (values[k + 1] - values[k]) * (x - (k - 1)))

    def split(self, values: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Level S, f(max(x, S)) - f(S), and f(min(x, S)); where S is infinite, one of them is 0."""
        slope = np.diff(values)
        # Slopes that are zero but for rounding: where nothing is to be gained, nothing is ordered.
        rises = slope >= -64 * np.finfo(float).eps * np.abs(values).max()
        if rises[0]:
            return -np.inf, values, np.zeros_like(values)
        if not rises.any():
            return np.inf, np.zeros_like(values), values
        best = int(np.argmax(rises))
        above, below = values - values[best], values.copy()
        above[:best], below[best:] = 0.0, values[best]
        return float(self.points[best]), above, below


@dataclass(frozen=True)
class SerialHorizon:
    """Optimal policy and expected costs over a horizon.

    Attributes:
        chain: What was solved.
        periods: Length T of the horizon.
        level: Echelon base-stock level S of each stage and period, shape (N, T): -inf where
            nothing is ordered any more, inf where all that is there is sent on.
    """

    chain: SerialChain
    periods: int
    level: FloatArray
    _grid: _Grid
    _position: tuple[FloatArray, ...]
    _reached: tuple[tuple[FloatArray, ...], ...]

    def cost(self, state: ChainState) -> float:
        """Optimal expected discounted cost of all periods from a state.

        Raises:
            ExactError: If the state has another number of stages, negative entries, or something
                due later than an order placed now.
        """
        count, lead = self.chain.stages, self.chain.lead_time
        if len(state.on_hand) != count or len(state.due) != count:
            raise ExactError(
                f"stock of {len(state.on_hand)} stages and {len(state.due)} pipelines given for "
                f"{count} stages"
            )
        if min(state.on_hand.min(), state.due.min(initial=0.0), state.backlog) < 0:
            raise ExactError("stock, pipeline and backlog must not be negative")
        for j in range(count):
            if state.due[j, lead[j] :].any():
                raise ExactError(
                    f"something reaches stage {j + 1} later than the {lead[j]} periods that an "
                    "order takes: orders must not overtake one another"
                )
        total = 0.0
        stock = state.echelon_stock
        for j, position in enumerate(state.position.tolist()):
            total += self._grid.at(self._position[j], position)
            for t, values in enumerate(self._reached[j]):
                arrived = float(stock[j] + state.due[j, :t].sum())
                total += self.chain.discount**t * self._grid.at(values, arrived)
        return total


def solve_horizon(chain: SerialChain, periods: int) -> SerialHorizon:
    """Solve by one-dimensional recursions, stage by stage, each backwards in time.

    Args:
        chain: What to solve.
        periods: At least 1.

    Raises:
        ExactError: If there are no periods, or ordering outside earns money without limit.
    """
    if periods < 1:
        raise ExactError(f"a horizon of {periods} periods has no cost; give at least 1")
    grid = _Grid(chain.demand, chain.unit, periods)
    above = (*chain.holding_cost[1:], 0.0)
    left = np.where(grid.points > 0, chain.holding_cost[0], -chain.shortage_cost) * grid.points
    charge = [grid.after_demand(left)] * periods
    level = np.zeros((chain.stages, periods))
    positions, reached = [], []
    for j in range(chain.stages):
        lead, cost = chain.lead_time[j], chain.release_cost[j]
        reached.append(tuple(grid.after_demand(q, t) for t, q in enumerate(charge[:lead])))
        penalty: list[FloatArray] = []
        value = np.zeros_like(grid.points)
        for t in reversed(range(periods)):
            total = (cost - above[j]) * grid.points + chain.discount * grid.after_demand(value)
            if t + lead < periods:
                total += chain.discount**lead * grid.after_demand(charge[t + lead], lead)
            level[j, t], beyond, within = grid.split(total)
            # Outside there is always enough: what the last stage pays at its best is its own.
            outside = within[-1] if j + 1 == chain.stages else 0.0
            value = beyond + outside - cost * grid.points
            penalty.append(within)
        positions.append(value)
        if j + 1 < chain.stages:
            held = chain.holding_cost[j + 1] * grid.points
            charge = [held + each for each in reversed(penalty)]
    if (level[-1] == np.inf).any():
        raise ExactError(
            f"release cost {chain.release_cost[-1]} of the last stage: ordering outside earns "
            "money without limit"
        )
    return SerialHorizon(chain, periods, level, grid, tuple(positions), tuple(reached))
