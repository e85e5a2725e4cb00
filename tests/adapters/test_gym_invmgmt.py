"""gym-invmgmt environments: equal profit step by step, equal state, informed demand, refusals."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

pytest.importorskip("gym_invmgmt", reason="the package gym-invmgmt is not installed")

import gym_invmgmt
import polars as pl
from scipy import stats

from optrl.adapters.gym_invmgmt import read_gym_invmgmt
from optrl.adapters.gym_invmgmt_demand import AdapterError
from optrl.adapters.gym_invmgmt_play import demand_of, perfect_profit, play, profit_of, state_of
from optrl.policies import find
from optrl.policies.multi_stage import MultiStage
from optrl.simulation.rollout import simulate
from optrl.simulation.state import Decision

TOPOLOGIES = sorted((Path(gym_invmgmt.__file__).parent / "topologies").glob("*.yaml"))
SHOCKS = {"type": "trend+seasonal+shock", "base_mu": 20, "shock_time": 5}


def made(topology=None, demand=None, **more):
    kind = {"scenario": "network"} if topology is None else {"scenario": "custom"}
    if topology is not None:
        kind["config_path"] = topology
    config = dict(demand or SHOCKS, use_goodwill=False)
    return gym_invmgmt.CoreEnv(**kind, demand_config=config, **{"num_periods": 20} | more)


class Replay:
    """Releases given orders, and compares the state it sees with theirs."""

    name = "replay"

    def __init__(self, orders, states):
        self.orders, self.states = orders, states

    def decide(self, state, period):
        seen = self.states[period]
        for name in ("on_hand", "backlog", "due"):
            here, there = getattr(state, name), getattr(seen, name)
            if name == "due":
                there = there[..., : here.shape[-1]]
            torch.testing.assert_close(here, there, atol=1e-9, rtol=0)
        return Decision(order=self.orders[period])


def replayed(env, seed=3):
    """Their profits and ours on what random requests released in their environment."""
    foreign = read_gym_invmgmt(env)
    generator = np.random.default_rng(seed)
    env.reset(seed=seed)
    theirs, states = [], []
    for _ in range(env.num_periods):
        states.append(state_of(env, foreign))
        request = generator.uniform(0, 90, len(foreign.order_lane))
        request *= generator.random(len(request)) < 0.8
        theirs.append(env.step(request)[1])
    orders = torch.zeros(env.num_periods, 1, 1, len(foreign.order_lane), dtype=torch.float64)
    orders[:, 0, 0, foreign.order_lane] = torch.from_numpy(env.R * foreign.order_scale)
    assert (env.action_log > env.R + 1e-9).any()
    demand = (env.D * foreign.demand.scale).T
    run = simulate(
        foreign.instance, Replay(orders, states), demand[None, None], seed=0, dtype=torch.float64
    )
    discount = foreign.instance.network.discount ** np.arange(env.num_periods)
    ours = profit_of(foreign, run.period_cost[0].numpy() * discount, demand)
    for reason, cut in run.cut.items():
        assert float(cut.max()) < 1e-9, reason
    return np.array(theirs), ours


@pytest.mark.parametrize("backlog", [True, False])
@pytest.mark.parametrize("alpha", [1.0, 0.95])
@pytest.mark.parametrize("topology", [None, *TOPOLOGIES], ids=lambda t: t.stem if t else "network")
def test_profit_agrees_step_by_step(topology, backlog, alpha):
    """What their environment released earns the same here in every period, from equal states."""
    theirs, ours = replayed(made(topology, backlog=backlog, alpha=alpha))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def changed(tmp_path, source, change):
    """A topology of the package with changes."""
    config = yaml.safe_load((TOPOLOGIES[0].parent / f"{source}.yaml").read_text())
    nodes = {node["id"]: node for node in config["nodes"]}
    edges = {(edge["from"], edge["to"]): edge for edge in config["edges"]}
    change(config, nodes, edges)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def _yields(config, nodes, edges):
    for node, factor in ((2, 0.5), (3, 0.8), (4, 0.8)):
        nodes[node]["v"] = factor


def _fixed_costs(config, nodes, edges):
    edges[2, 1]["K"] = 7.0
    edges[5, 3]["K"] = 3.0


def _two_markets(config, nodes, edges):
    config["nodes"].append({"id": 9})
    config["edges"].append({**edges[1, 0], "to": 9, "p": 1.0, "b": 0.7})


@pytest.mark.parametrize("backlog", [True, False])
@pytest.mark.parametrize("change", [_yields, _fixed_costs, _two_markets])
def test_yields_fixed_costs_and_shared_retailers_agree(tmp_path, change, backlog):
    """Options that no packaged topology uses earn the same too."""
    env = made(changed(tmp_path, "assembly", change), backlog=backlog)
    theirs, ours = replayed(env)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("topology", [None, *TOPOLOGIES[:2]], ids=["network", "a", "b"])
def test_the_oracle_is_attained_and_bounds_every_policy(topology):
    """The program's profit is earned in their environment, and random orders earn less."""
    env = made(topology, num_periods=15)
    foreign = read_gym_invmgmt(env)
    demand = demand_of(env, foreign, 11)
    bound, attained = perfect_profit(env, foreign, demand, 11)
    assert attained == pytest.approx(bound, rel=1e-7)
    known = play(env, foreign, MultiStage(foreign.instance, foreign.demand), 11)
    assert known.total < bound
    np.testing.assert_array_equal(known.demand, demand[0, 0] / foreign.demand.scale[:, None])


@pytest.mark.parametrize("name", ["base_stock", "echelon_base_stock", "lookahead", "two_stage"])
def test_any_policy_acts_inside(name):
    """A policy found by name plays an episode and earns more than ordering nothing."""
    env = made(TOPOLOGIES[-2], num_periods=30, demand={"type": "stationary", "base_mu": 20})
    foreign = read_gym_invmgmt(env)
    policy = find(name).fit(foreign.instance, foreign.demand, seed=0)
    episode = play(env, foreign, policy, 5)
    env.reset(seed=5)
    idle = sum(env.step(np.zeros(len(foreign.order_lane)))[1] for _ in range(30))
    assert episode.profit.shape == (30,)
    assert episode.total > idle


@pytest.mark.parametrize("noise", [0.5, 2.0])
@pytest.mark.parametrize("law", ["poisson", "norm", "uniform"])
def test_informed_demand_is_the_environments(law, noise):
    """Mean and variance are those of the demand that the engine draws, clipping included."""
    env = made(demand={**SHOCKS, "base_mu": 3, "noise_scale": noise})
    edge = env.network.retail_links[0]
    env.graph.edges[edge]["demand_dist"] = getattr(stats, law)
    env.graph.edges[edge]["dist_param"] = {"mu": 1} if law == "poisson" else {"loc": 0, "scale": 4}
    model = read_gym_invmgmt(env).demand
    engine = env.demand_engine
    engine.np_random = np.random.default_rng(0)
    link = env.graph.edges[edge]
    draws = np.array(
        [
            [
                engine.sample(t, link["demand_dist"], dist_params=link["dist_param"])
                for _ in range(1500)
            ]
            for t in (0, 7)
        ]
    )
    for row, t in zip(draws, (0, 7), strict=True):
        mean, variance = model.mean(t, 1)[0, 0, 0], model.variance(t, 1)[0, 0, 0]
        assert mean == pytest.approx(row.mean(), abs=4 * row.std() / 1500**0.5)
        assert variance == pytest.approx(row.var(), rel=0.2)
        ours = model.sample(4000, t, 1, np.random.default_rng(1))[:, 0, 0, 0]
        assert ours.mean() == pytest.approx(mean, abs=4 * ours.std() / 4000**0.5)


def test_given_demand_is_known():
    """Links with user_D have no variance, and no demand after its end."""
    given = np.arange(20.0)
    env = made(user_D={(1, 0): given})
    model = read_gym_invmgmt(env).demand
    np.testing.assert_array_equal(model.mean(3, 19)[0, 0], [*given[3:], 0, 0])
    assert model.variance(0, 20).max() == 0
    np.testing.assert_array_equal(
        model.sample(2, 0, 5, np.random.default_rng(0))[1, 0, 0], given[:5]
    )


def _unequal_yields(config, nodes, edges):
    nodes[2]["v"] = 0.5
    edge = dict(edges[3, 2])
    config["edges"].append({**edge, "to": 1, "g": 0.01})


def _raw_with_stock(config, nodes, edges):
    nodes[5].update(I0=5, h=0.1)


def _selling_factory(config, nodes, edges):
    config["nodes"].append({"id": 9})
    config["edges"].append({**edges[1, 0], "from": 2, "to": 9})


def _yield_without_capacity(config, nodes, edges):
    nodes[1]["v"] = 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_unequal_yields, "link .* -> .*: yields"),
        (_raw_with_stock, "raw-material node 5"),
        (_selling_factory, "factory 2 serves a market"),
        (_yield_without_capacity, "node 1 has yield v = 0.5"),
    ],
)
def test_what_cannot_be_expressed_is_refused(tmp_path, change, message):
    """Each refusal names the node or link, the value and what to change."""
    env = made(changed(tmp_path, "assembly", change))
    with pytest.raises(AdapterError, match=message):
        read_gym_invmgmt(env)


GOODWILL = {"type": "trend+seasonal", "base_mu": 20, "use_goodwill": True}


def test_goodwill_is_refused_unless_asked_for():
    """Demand that depends on past service is no instance's demand, and nothing bounds profit."""
    env = gym_invmgmt.CoreEnv(demand_config=GOODWILL)
    with pytest.raises(AdapterError, match="use_goodwill"):
        read_gym_invmgmt(env)
    foreign = read_gym_invmgmt(env, goodwill=True)
    with pytest.raises(AdapterError, match="depends on decisions"):
        demand_of(env, foreign, 1)
    with pytest.raises(AdapterError, match="depends on decisions"):
        perfect_profit(env, foreign, np.ones((1, 1, len(foreign.demand.nodes), 30)), 1)
    policy = find("base_stock").fit(foreign.instance, foreign.demand)
    with pytest.raises(AdapterError, match="this is another"):
        play(gym_invmgmt.CoreEnv(demand_config=GOODWILL), foreign, policy, 1)


class Watched:
    """Keeps what the demand model says before each decision; serves well, badly, or in turns."""

    def __init__(self, foreign, factor):
        self.policy = find("base_stock").fit(foreign.instance, foreign.demand)
        self.foreign, self.factor = foreign, factor
        self.sentiment, self.mean = [], []

    def decide(self, state, period):
        ahead = self.foreign.instance.horizon - period
        self.sentiment.append(self.foreign.demand.sentiment(period, ahead))
        self.mean.append(self.foreign.demand.mean(period, ahead)[0, 0])
        decision = self.policy.decide(state, period)
        return Decision(order=decision.order * self.factor(period))


@pytest.mark.parametrize("backlog", [True, False])
@pytest.mark.parametrize(
    "factor", [lambda t: 9.0, lambda t: 0.3, lambda t: t % 9 > 4], ids=["well", "badly", "in turns"]
)
def test_demand_follows_goodwill(backlog, factor):
    """The current period's multiplier is the one drawn with; later ones are right if all is met."""
    env = gym_invmgmt.CoreEnv(demand_config=GOODWILL, backlog=backlog, num_periods=30)
    foreign = read_gym_invmgmt(env, goodwill=True)
    watched = Watched(foreign, factor)
    play(env, foreign, watched, 3)
    np.testing.assert_allclose([path[0] for path in watched.sentiment], env.GW, rtol=1e-12)
    met = env.U.sum(axis=1) == 0
    plain = gym_invmgmt.CoreEnv(demand_config=GOODWILL | {"use_goodwill": False}, backlog=backlog)
    base = read_gym_invmgmt(plain).demand.mean(0, 30)[0, 0]
    for t in range(30):
        missed = np.flatnonzero(~met[t:])
        right = 1 + (missed[0] if len(missed) else 30)
        np.testing.assert_allclose(watched.sentiment[t][:right], env.GW[t : t + right], rtol=1e-12)
        np.testing.assert_allclose(watched.mean[t], base[t:] * watched.sentiment[t], rtol=1e-9)
    assert 0 < met.sum() < 30  # it grew and fell


def test_given_demand_follows_goodwill():
    """Links with user_D are multiplied too, as theirs are."""
    given = np.full(20, 10.0)
    env = gym_invmgmt.CoreEnv(user_D={(1, 0): given}, demand_config=GOODWILL, num_periods=20)
    foreign = read_gym_invmgmt(env, goodwill=True)
    watched = Watched(foreign, lambda t: t % 9 > 4)
    play(env, foreign, watched, 3)
    assert env.GW.min() < 0.95
    np.testing.assert_allclose([path[0] for path in watched.mean], env.D[:, 0], rtol=1e-12)
    drawn = foreign.demand.sample(2, 4, 3, np.random.default_rng(0))[1, 0, 0]
    np.testing.assert_array_equal(drawn, foreign.demand.mean(4, 3)[0, 0])


def test_the_published_oracle_is_reproduced(shared_data):
    """Perfect information on one published scenario and its ten seeds gives the printed profit."""
    table = pl.read_csv(shared_data.parent / "references" / "gym_invmgmt_profit.csv")
    row = table.filter(pl.col("demand") == "trend+seasonal", ~pl.col("goodwill"), pl.col("backlog"))
    env = made(demand={"type": "trend+seasonal", "base_mu": 20}, num_periods=30)
    foreign = read_gym_invmgmt(env)
    seeds = (42, 123, 456, 789, 1011, 2022, 3033, 4044, 5055, 6066)
    profit = [perfect_profit(env, foreign, demand_of(env, foreign, s), s)[1] for s in seeds]
    assert np.mean(profit) == pytest.approx(row["oracle"].item(), abs=0.005)
