"""Everything the Iowa example assumes, in one place, and the error its builder raises.

The demand, the prices, the places and the recorded lead times are data. What stands here is not:
each figure is a plausible order of magnitude for road freight and spirits in the United States
around 2015, chosen by us, not measured at the state's warehouse.
"""

from __future__ import annotations

from dataclasses import dataclass, fields


class BuildError(Exception):
    """The inputs cannot be made into an instance; the message says what to change."""


@dataclass(frozen=True)
class Assumptions:
    """Rates and rules of the example. Money is US dollars, quantity litres, periods weeks.

    Attributes:
        state: Two-letter code of the state whose towns and counties are used.
        hub: Town of the central warehouse.
        centres: Number of regional distribution centres besides the hub.
        minimum_population: Towns at least this large are candidate sites for a centre.
        horizon: Weeks at the end of the data, kept to judge on; planning starts before them.
        history_share: An item needs sales in this share of the weeks before the start.
        recent_weeks: And a sale in this many weeks before the start.
        reference_weeks: Weeks before the start from which prices, stock and capacities come.
        seed: Seed with which suppliers draw their lead times.
        markup: The state sells at this multiple of what it pays (Iowa Code 123.24 allows 50 %).
        goodwill_share: Goodwill lost with a litre not delivered, as a share of its price.
        holding_rate: Yearly holding cost over purchase price, at the hub.
        centre_holding_factor: Holding at a centre costs this multiple of holding at the hub.
        terminal_share: Stock left at the end is worth this share of what it cost so far, so that
            nobody gains by dumping stock, nor by buying only to hold it at the end.
        kilograms_per_litre: Gross weight: liquid, glass, case, pallet.
        road_factor: Road kilometres per great-circle kilometre.
        line_haul_rate: Full truckloads, dollars per kilogram and road kilometre (about 16.5
            US cents a ton-mile, the order of average truck freight revenue in the United States).
        delivery_rate: Multi-stop delivery from a centre to stores, three times line haul.
        handling_rate: Loading and unloading, dollars per kilogram on every lane.
        serving_least: A county is served from at least so many centres (hub included), ...
        serving_most: ... at most so many, ...
        serving_reach: ... those beyond the least only within this multiple of the last one's
            distance.
        neighbours: Each centre may transship with this many nearest centres.
        safety_factor: Normal safety factor of the base-stock rule that sets the first stock and
            the storage (95 %).
        delay_cap: Supplier delays beyond this many weeks count as this many.
        peak_quantile: Capacities start from this quantile of a reference week's use, ...
        smoothing_weeks: ... flows that planning can shift are first averaged over so many weeks
        hub_slack: ... and multiplied: flows into and out of the hub,
        inbound_slack: flows into a centre,
        delivery_slack: deliveries and transshipments out of a centre (not averaged),
        storage_slack: storage,
        budget_slack: weekly purchase budget.
        overflow_cost: Storage rented outside, dollars per litre and week.
    """

    state: str = "IA"
    hub: str = "Ankeny"
    centres: int = 5
    minimum_population: int = 20_000
    horizon: int = 52
    history_share: float = 0.6
    recent_weeks: int = 8
    reference_weeks: int = 104
    seed: int = 2012
    markup: float = 1.5
    goodwill_share: float = 0.25
    holding_rate: float = 0.25
    centre_holding_factor: float = 1.1
    terminal_share: float = 0.98
    kilograms_per_litre: float = 1.6
    road_factor: float = 1.2
    line_haul_rate: float = 0.113e-3
    delivery_rate: float = 0.339e-3
    handling_rate: float = 0.03
    serving_least: int = 2
    serving_most: int = 4
    serving_reach: float = 1.25
    neighbours: int = 2
    safety_factor: float = 1.645
    delay_cap: int = 4
    peak_quantile: float = 0.95
    smoothing_weeks: int = 4
    hub_slack: float = 1.05
    inbound_slack: float = 1.10
    delivery_slack: float = 1.10
    storage_slack: float = 1.05
    budget_slack: float = 1.0
    overflow_cost: float = 0.10

    def __post_init__(self) -> None:
        least = {
            **dict.fromkeys(("horizon", "centres", "serving_least", "smoothing_weeks"), 1),
            "reference_weeks": max(52, self.smoothing_weeks),  # one year at least
            "serving_most": self.serving_least,
            "markup": 1,
        }
        most = {"history_share": 1, "terminal_share": 1, "peak_quantile": 1}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str):
                continue
            low, high = least.get(field.name, 0), most.get(field.name, float("inf"))
            if not low <= value <= high:  # NaN compares false
                option = "--" + field.name.replace("_", "-")
                raise BuildError(f"{option} {value} is not between {low} and {high}")
