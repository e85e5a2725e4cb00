"""The text of instance.toml: settings, and what is real and what is assumed."""

from __future__ import annotations

import json

import polars as pl
from assumptions import Assumptions
from lead_times import LeadTimes
from network import Sites
from sales import Sales

Setting = str | int | float


def write_notes(
    sales: Sales, kept: pl.DataFrame, sites: Sites, delays: LeadTimes, rules: Assumptions
) -> dict[str, str]:
    """What is real, what is assumed and what was cleaned, by topic."""
    start = sales.weeks - rules.horizon
    truck = ", ".join(str(weeks) for weeks in delays.weeks)
    late = ", ".join(f"{share:.4f}" for share in delays.delay_probability)
    return {
        "kind": "Semi-synthetic: demand, prices and places are real; network, costs, capacities "
        "and first stock are assumed; supplier lead times are real ones of other goods.",
        "demand": f"Real: orders of stores in {sites.counties.height} counties of state "
        f"{rules.state} to the state, litres a week from {sales.first_week}, not consumer "
        "demand. No row is no order. The last week of the data may be incomplete.",
        "items": f"Those of {sales.weekly['item'].n_unique()} items with sales in "
        f"{rules.history_share:.0%} of the {start} weeks before the start and in the last "
        f"{rules.recent_weeks} of them: {kept['item'].n_unique()}. Some end within the horizon.",
        "cleaning": "Rows left out: "
        + ", ".join(f"{count} ({reason})" for reason, count in sales.dropped.items())
        + ". Deliveries left out: "
        + ", ".join(f"{count} ({reason})" for reason, count in delays.left_out.items())
        + ".",
        "prices": f"Real price a litre of the last {rules.reference_weeks} weeks before the start; "
        f"purchase cost is the price over {rules.markup} (mark-up allowed by law).",
        "shortage": "Price not earned plus goodwill of "
        f"{rules.goodwill_share:.0%} of it (assumed).",
        "holding": f"{rules.holding_rate:.0%} of purchase cost a year at the hub, "
        f"{rules.centre_holding_factor} times that at centres (assumed).",
        "terminal_value": f"{rules.terminal_share:.0%} of purchase and transport so far (assumed).",
        "places": f"Hub at {rules.hub}, where the state's warehouse stands (the town, not the "
        f"street). {rules.centres} centres (assumed) chosen among towns of "
        f"{rules.minimum_population:,} by the p-median of demand and great-circle distance. "
        "Counties at the population-weighted mean of their towns.",
        "suppliers": "One a brand, at a town assumed in suppliers.csv"
        + (f"; at its default site: {', '.join(sites.missing)}." if sites.missing else "."),
        "lead_times": "Drawn, not the vendors' own: scheduled lead times of real truck deliveries "
        f"(USAID SCMS, weeks {truck}), seed {rules.seed}. Delays of 0 to {rules.delay_cap} weeks "
        f"with the shares {late} of {delays.deliveries} direct deliveries; early counts as on "
        "time. Hub to center and center to center: 1 week (assumed).",
        "transport": f"Assumed: {rules.handling_rate} dollars a kg handling, and a kg and road km "
        f"{rules.line_haul_rate} line haul or {rules.delivery_rate} delivery; road km are "
        f"{rules.road_factor} great-circle km; {rules.kilograms_per_litre} kg a litre.",
        "capacities": f"Assumed: quantile {rules.peak_quantile} of the last "
        f"{rules.reference_weeks} weeks' use, averaged over {rules.smoothing_weeks} weeks where "
        "planning can shift it, with 0 to 10 % of slack; storage beyond it is rented outside.",
        "first_stock": "Assumed: what a base-stock rule with safety factor "
        f"{rules.safety_factor} would hold and have on the way.",
    }


def write_settings(notes: dict[str, str], start: int, rules: Assumptions) -> str:
    """The text of instance.toml."""
    settings: dict[str, Setting] = {
        "name": "Iowa spirits",
        "period": "week",
        "periods_per_year": 52.0,
        "start": start,
        "horizon": rules.horizon,
        "unmet": "lost",
        "money": "USD",
        "quantity": "litres",
        "discount": 1.0,
        "demand_family": "negative_binomial",
        "season": 52,
        "frozen_periods": 0,
    }
    # JSON strings and numbers are TOML strings and numbers.
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    lines += ["", "[notes]"]
    lines += [f"{key} = {json.dumps(text, ensure_ascii=False)}" for key, text in notes.items()]
    return "\n".join(lines) + "\n"
