"""Rates and spread judged on weeks of real orders that they never saw."""

import gzip

import numpy as np
import polars as pl
import pytest

from optrl.demand.fit import fit
from optrl.demand.lead_time import total_demand
from optrl.demand.rates import estimate_rates

pytestmark = pytest.mark.shared_data
FIT, KEPT = 179, 52


@pytest.fixture(scope="module")
def quantity(shared_data) -> np.ndarray:
    """Litres of items ordered in at least 52 of the weeks to fit, by county and week."""
    files = sorted((shared_data / "retail-iowa").glob("*.csv.gz"))
    rows = pl.concat([pl.read_csv(gzip.decompress(file.read_bytes())) for file in files])
    keys = ("item", "county", "weekStarting")
    index = [rows[key].rank("dense").to_numpy() - 1 for key in keys]
    shape = tuple(int(column.max()) + 1 for column in index)
    table = np.zeros(shape)
    np.add.at(table, tuple(index), rows["sum_sale_liters"].to_numpy())
    ordered = (table[:, :, :FIT].sum(axis=1) > 0).sum(axis=1)
    return table[ordered >= 52]


def percentage_error(forecast: np.ndarray, observed: np.ndarray) -> tuple[float, float]:
    """Weighted absolute percentage error by item and week, and by item, county and week."""
    by_item = np.abs(forecast.sum(axis=1) - observed.sum(axis=1)).sum()
    return by_item / observed.sum(), np.abs(forecast - observed).sum() / observed.sum()


def test_rates_beat_naive_forecasts(quantity):
    """On the 52 kept weeks rates err less than last year repeated and last year's mean."""
    past, observed = quantity[:, :, :FIT], quantity[:, :, FIT:]
    found = percentage_error(estimate_rates(past, 0, 52).path.at(FIT, KEPT), observed)
    repeated = percentage_error(past[:, :, -KEPT:], observed)
    average = percentage_error(
        np.broadcast_to(past[:, :, -KEPT:].mean(axis=2, keepdims=True), observed.shape), observed
    )
    for ours, peer in zip(found, repeated, strict=True):
        assert ours < 0.9 * peer
    for ours, peer in zip(found, average, strict=True):
        assert ours < peer
    assert found[0] < 0.26
    assert found[1] < 0.53


def test_intervals_cover_what_they_say(quantity, make_instance):
    """95 percent intervals of four-week item totals hold 88 to 99 percent of the kept weeks."""
    model = fit(make_instance(quantity, FIT, season=52))
    groups = np.ones((*quantity.shape[:2], 1))
    inside = []
    for first in range(FIT, FIT + KEPT, 4):
        total = total_demand(model, groups, first, 4)
        observed = quantity[:, :, first : first + 4].sum(axis=(1, 2))[:, None]
        low, high = total.quantile(0.025), total.quantile(0.975)
        inside.append((observed >= low - total.unit) & (observed <= high + total.unit))
    assert 0.88 <= np.mean(inside) <= 0.99
