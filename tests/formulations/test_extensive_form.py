"""The deterministic equivalent against cases solved by hand and against enumeration."""

from dataclasses import replace

import numpy as np
import pytest
from optrl_formulations.extensive_form import Scenarios, extensive_form
from optrl_formulations.linear_program import Block, LinearProgram
from scipy.sparse import csr_matrix

from optrl.solver import Model

FIRST = np.array([True, False, False])
INF = np.inf


def newsvendor(cost=1.0, price=3.0):
    """Buy x at `cost`, sell at most x and at most demand at `price`; sales + unmet = demand."""
    names = ["buy", "sell", "unmet"]
    rows = ["stock", "demand"]
    return LinearProgram(
        cost=np.array([cost, -price, 0.0]),
        offset=5.0,
        matrix=csr_matrix(np.array([[-1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])),
        row_lower=np.array([-INF, 10.0]),
        row_upper=np.array([0.0, 10.0]),
        column_lower=np.zeros(3),
        column_upper=np.full(3, 100.0),
        integrality=np.zeros(3, dtype=bool),
        columns={"column": Block("column", 0, 3, names.__getitem__)},
        rows={"row": Block("row", 0, 2, rows.__getitem__)},
    )


def demand_scenarios(values, probability, **more):
    quantity = np.array(values, dtype=float)[:, None]
    return Scenarios(
        probability=np.array(probability),
        row=np.array([1]),
        row_lower=quantity,
        row_upper=quantity,
        **more,
    )


NO_ROWS = np.array([False, False])


def solve(core, scenarios, first_rows=NO_ROWS):
    program = extensive_form(core, FIRST, first_rows, scenarios)
    return program, Model(program).solve()


def test_newsvendor_by_hand():
    """Critical ratio 2/3 buys the demand at that quantile; cost as computed by hand."""
    program, solution = solve(newsvendor(), demand_scenarios([4, 6, 8], [0.3, 0.4, 0.3]))
    assert program.matrix.shape == (6, 7)
    assert solution.values("first_stage")[0] == pytest.approx(6.0)
    # 6 bought, sales 4, 6, 6: 6 - 3 * (0.3 * 4 + 0.4 * 6 + 0.3 * 6) + 5
    assert solution.objective == pytest.approx(6 - 3 * 5.4 + 5)


def test_random_cost_matrix_and_bounds():
    """Prices, yields and column bounds that differ by scenario enter where they belong."""
    scenarios = demand_scenarios(
        [4, 8],
        [0.5, 0.5],
        cost_column=np.array([1]),
        cost=np.array([[-3.0], [-5.0]]),
        entry_row=np.array([0, 1]),
        entry_column=np.array([0, 0]),  # the core has the first entry and lacks the second
        entry=np.array([[-0.5, 0.0], [-1.0, 0.25]]),
        column=np.array([1]),
        column_lower=np.zeros((2, 1)),
        column_upper=np.array([[100.0], [3.0]]),
    )
    program, _ = solve(newsvendor(), scenarios)
    expected = np.array(
        [
            [-0.5, 1, 0, 0, 0],
            [0, 1, 1, 0, 0],
            [-1.0, 0, 0, 1, 0],
            [0.25, 0, 0, 1, 1],
        ]
    )
    np.testing.assert_allclose(program.matrix.toarray(), expected)
    np.testing.assert_allclose(program.cost, [1, -1.5, 0, -2.5, 0])
    np.testing.assert_allclose(program.column_upper, [100, 100, 100, 3, 100])
    np.testing.assert_allclose(program.row_lower, [-INF, 4, -INF, 8])


def test_one_scenario_is_the_core():
    """With one unchanged scenario the equivalent has the core's optimum."""
    core = newsvendor()
    _, solution = solve(core, Scenarios(probability=np.ones(1)))
    assert solution.objective == pytest.approx(Model(core).solve().objective)


def test_here_and_now_costs_at_least_wait_and_see():
    """The mean of the scenarios' own optima is a lower bound (value of information)."""
    values, probability = [2.0, 5.0, 9.0], [0.2, 0.5, 0.3]
    _, solution = solve(newsvendor(), demand_scenarios(values, probability))
    alone = [solve(newsvendor(), demand_scenarios([v], [1.0]))[1].objective for v in values]
    assert np.dot(alone, probability) < solution.objective


def test_integers_and_first_rows_are_kept():
    """First-stage rows are not repeated; integrality is repeated with its columns."""
    core = newsvendor()
    limit = csr_matrix(np.array([[1.0, 0.0, 0.0], *core.matrix.toarray()]))
    core = replace(
        core,
        matrix=limit,
        row_lower=np.array([-INF, *core.row_lower]),
        row_upper=np.array([5.5, *core.row_upper]),
        integrality=np.array([True, False, True]),
        rows={"row": Block("row", 0, 3, ["limit", "stock", "demand"].__getitem__)},
    )
    scenarios = replace(demand_scenarios([4, 6, 8], [0.3, 0.4, 0.3]), row=np.array([2]))
    program = extensive_form(core, FIRST, np.array([True, False, False]), scenarios)
    assert program.matrix.shape == (7, 7)
    assert program.integrality.tolist() == [True, False, True, False, True, False, True]
    assert Model(program).solve().values("first_stage")[0] == pytest.approx(5.0)
    assert program.row_name(0) == "first_stage[limit]"
    assert program.column_name(3) == "second_stage[sell, scenario 1]"


@pytest.mark.parametrize(
    ("scenarios", "message"),
    [
        (demand_scenarios([4, 6], [0.5, 0.4]), "probabilities sum to 0.9"),
        (demand_scenarios([4, 6], [1.5, -0.5]), "not negative"),
        (
            Scenarios(probability=np.ones(1), cost_column=np.array([0]), cost=np.ones((1, 1))),
            r"column column\[buy\] is of the first stage",
        ),
        (
            Scenarios(probability=np.ones(1), cost_column=np.array([1]), cost=np.ones((2, 1))),
            r"Scenarios.cost has shape \(2, 1\)",
        ),
    ],
)
def test_bad_scenarios_are_named(scenarios, message):
    """Probabilities that are none, changes of the first stage and wrong shapes are errors."""
    with pytest.raises(ValueError, match=message):
        extensive_form(newsvendor(), FIRST, NO_ROWS, scenarios)


def test_first_row_with_second_column():
    """A first-stage row may not hold second-stage columns; the error names both."""
    with pytest.raises(ValueError, match=r"row row\[stock\] .* column\[sell\] of the second"):
        extensive_form(
            newsvendor(), FIRST, np.array([True, False]), Scenarios(probability=np.ones(1))
        )
