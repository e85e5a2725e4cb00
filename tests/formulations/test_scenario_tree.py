"""Scenario trees: shapes, probabilities, ancestors, and what is refused."""

import numpy as np
import pytest
from optrl_formulations.scenario_tree import ScenarioTree


def test_chain_is_one_scenario():
    """Each node's parent is the one before; everything is certain."""
    tree = ScenarioTree.chain(3)
    assert tree.parent.tolist() == [-1, 0, 1, 2]
    assert tree.probability.tolist() == [1, 1, 1, 1]
    assert tree.periods == 3
    assert tree.outcomes.tolist() == [1, 2, 3]
    assert tree.decisions.tolist() == [0, 1, 2]
    assert tree.leaves.tolist() == [3]


def test_two_stage_shares_the_first_decision_only():
    """One root, then paths that never meet again, weighted as asked."""
    tree = ScenarioTree.two_stage(3, 2, np.array([0.3, 0.7]))
    assert tree.parent.tolist() == [-1, 0, 0, 1, 2, 3, 4]
    np.testing.assert_allclose(tree.probability, [1, 0.3, 0.7, 0.3, 0.7, 0.3, 0.7])
    assert tree.depth.tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert [tree.scenario_nodes(leaf).tolist() for leaf in tree.leaves] == [[1, 3, 5], [2, 4, 6]]


def test_forest_shares_nothing():
    """A root for each scenario, whose probabilities sum to one."""
    tree = ScenarioTree.forest(2, 3)
    assert tree.parent.tolist() == [-1, -1, -1, 0, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(tree.probability, 1 / 3)
    assert tree.decisions.tolist() == [0, 1, 2, 3, 4, 5]
    assert [tree.scenario_nodes(leaf).tolist() for leaf in tree.leaves] == [[3, 6], [4, 7], [5, 8]]


def test_branching_tree_is_balanced():
    """Every node of a depth has as many equally likely children as asked."""
    branches = [2, 1, 3]
    tree = ScenarioTree.branching(branches)
    assert len(tree.parent) == 1 + 2 + 2 + 6
    for node, depth in enumerate(tree.depth):
        children = np.flatnonzero(tree.parent == node)
        expected = branches[depth] if depth < 3 else 0
        assert len(children) == expected
        shares = tree.probability[children] * expected
        np.testing.assert_allclose(shares, tree.probability[node])
    np.testing.assert_allclose(tree.probability[tree.leaves].sum(), 1)


@pytest.mark.parametrize(
    "tree",
    [
        ScenarioTree.chain(4),
        ScenarioTree.two_stage(4, 3),
        ScenarioTree.forest(4, 3),
        ScenarioTree.branching([3, 1, 2, 2]),
    ],
)
def test_ancestors_follow_parents(tree):
    """ancestors[node, d] is found by walking up; -1 below the node."""
    for node in range(len(tree.parent)):
        walked = np.full(tree.periods + 1, -1)
        step = node
        while step >= 0:
            walked[tree.depth[step]] = step
            step = int(tree.parent[step])
        assert tree.ancestors[node].tolist() == walked.tolist()


def test_one_period():
    """The smallest trees of each shape."""
    assert ScenarioTree.two_stage(1, 2).parent.tolist() == [-1, 0, 0]
    assert ScenarioTree.forest(1, 2).parent.tolist() == [-1, -1, 0, 1]


@pytest.mark.parametrize(
    ("parent", "probability", "message"),
    [
        ([-1, 0], [1.0], "equal length"),
        ([-1, 2, 0], [1.0, 0.5, 0.5], "precede"),
        ([-1, 0], [0.9, 0.9], "roots must sum to 1"),
        ([-1, 0, 0], [1.0, 0.5, 0.4], "sum to their parent"),
        ([-1, 0, 0, 1], [1.0, 0.5, 0.5, 0.5], "same depth"),
    ],
)
def test_wrong_trees_are_refused(parent, probability, message):
    """Each condition by itself."""
    with pytest.raises(ValueError, match=message):
        ScenarioTree(np.array(parent), np.array(probability))
