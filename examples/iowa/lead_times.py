"""Lead times and delays of real deliveries, cleaned, in whole weeks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from assumptions import Assumptions, BuildError
from geography import read_table
from numpy.typing import NDArray

SENT, SCHEDULED, DELIVERED = (
    "PO Sent to Vendor Date",
    "Scheduled Delivery Date",
    "Delivered to Client Date",
)
FEWEST = 5


@dataclass(frozen=True)
class LeadTimes:
    """What suppliers draw from.

    Attributes:
        weeks: Order to scheduled delivery of each truck delivery, whole weeks, ascending.
        delay_probability: Probability of 0, 1, ... weeks of delay after the schedule.
        deliveries: Number of deliveries behind the delays.
        left_out: Number of direct deliveries left out, by reason.
    """

    weeks: NDArray[np.int64]
    delay_probability: NDArray[np.float64]
    deliveries: int
    left_out: dict[str, int]


def as_date(column: str) -> pl.Expr:
    """A date of either form found in the file, 6/26/09 or 14-Nov-06; null for anything else."""
    text = pl.col(column)
    return pl.coalesce(
        text.str.to_date("%m/%d/%y", strict=False), text.str.to_date("%d-%b-%y", strict=False)
    )


def read_lead_times(path: Path, rules: Assumptions) -> LeadTimes:
    """Lead times by truck, and delays of all modes, of deliveries straight from the vendor.

    Deliveries without all three dates, or scheduled or delivered before the order was sent, are
    left out. An early delivery counts as on time: a warehouse takes deliveries by appointment.
    Days are rounded up to weeks, so that nothing arrives before it is due.

    Raises:
        BuildError: If fewer than five truck deliveries are left.
    """
    table = read_table(
        path,
        dict.fromkeys(("Fulfill Via", "Shipment Mode", SENT, SCHEDULED, DELIVERED), pl.String),
    )
    direct = table.filter(pl.col("Fulfill Via") == "Direct Drop").select(
        pl.col("Shipment Mode").alias("mode"),
        as_date(SENT).alias("sent"),
        as_date(SCHEDULED).alias("scheduled"),
        as_date(DELIVERED).alias("delivered"),
    )
    dated = direct.drop_nulls(["sent", "scheduled", "delivered"])
    sound = dated.filter(
        (pl.col("scheduled") > pl.col("sent")) & (pl.col("delivered") > pl.col("sent"))
    ).with_columns(
        weeks=((pl.col("scheduled") - pl.col("sent")).dt.total_days() / 7).ceil().cast(pl.Int64),
        delay=((pl.col("delivered") - pl.col("scheduled")).dt.total_days().clip(0) / 7)
        .ceil()
        .cast(pl.Int64)
        .clip(0, rules.delay_cap),
    )
    weeks = np.sort(sound.filter(pl.col("mode") == "Truck")["weeks"].to_numpy())
    if len(weeks) < FEWEST:
        raise BuildError(
            f"{path}: {len(weeks)} truck deliveries straight from a vendor have sound dates, at "
            f"least {FEWEST} are needed"
        )
    count = np.bincount(sound["delay"].to_numpy(), minlength=rules.delay_cap + 1)
    probability = np.round(count / count.sum(), 6)
    probability[0] += 1.0 - probability.sum()
    return LeadTimes(
        weeks=weeks,
        delay_probability=probability,
        deliveries=sound.height,
        left_out={
            "a date missing": direct.height - dated.height,
            "delivered before ordered": dated.height - sound.height,
        },
    )


def draw_lead_times(suppliers: list[str], lead_times: LeadTimes, seed: int) -> dict[str, int]:
    """One real lead time for each supplier, drawn with replacement in the suppliers' order."""
    generator = np.random.default_rng(seed)
    drawn = generator.choice(lead_times.weeks, size=len(suppliers), replace=True)
    return dict(zip(suppliers, (int(weeks) for weeks in drawn), strict=True))
