"""Demand drawn from past periods."""

import numpy as np
import pytest

from optrl.demand.empirical import Empirical

HISTORY = np.random.default_rng(0).integers(0, 50, size=(2, 3, 9)).astype(float)
NODES = np.array([1, 2, 3])


def test_joint_draws_are_whole_past_periods():
    """Drawn jointly, items and nodes of a period are one column of history."""
    paths = Empirical(NODES, HISTORY, "all").sample(50, 0, 4, np.random.default_rng(1))
    columns = {tuple(HISTORY[:, :, h].ravel()) for h in range(9)}
    drawn = {tuple(paths[s, :, :, t].ravel()) for s in range(50) for t in range(4)}
    assert drawn == columns


def test_joint_over_nodes_keeps_each_item_together_only():
    """Drawn over nodes, each item repeats a past period, but not the one of the other item."""
    paths = Empirical(NODES, HISTORY, "nodes").sample(200, 0, 1, np.random.default_rng(1))[..., 0]
    per_item = [{tuple(HISTORY[i, :, h]) for h in range(9)} for i in range(2)]
    assert all(tuple(paths[s, i]) in per_item[i] for s in range(200) for i in range(2))
    assert len({tuple(paths[s].ravel()) for s in range(200)}) > 9


@pytest.mark.parametrize("joint", ["all", "nodes", "none"])
def test_variance_of_totals_follows_the_dependence(joint):
    """Totals vary as whole columns where nodes are joint, as their sum where not."""
    model = Empirical(NODES, HISTORY, joint)
    found = model.total_variance(np.ones((2, 3, 1)), 0, 4)[:, 0]
    together = 4 * HISTORY.sum(axis=1).var(axis=1)
    apart = 4 * HISTORY.var(axis=2).sum(axis=1)
    np.testing.assert_allclose(found, apart if joint == "none" else together)
    paths = model.sample(30_000, 0, 4, np.random.default_rng(2)).sum(axis=(2, 3))
    np.testing.assert_allclose(paths.var(axis=0), found, rtol=0.06)
