"""Sections of the report, each a piece of a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optrl_formulations.network import FloatArray

from optrl.comparison.measurement import Measurement
from optrl.comparison.result import Comparison
from optrl.evaluation.policy_names import UPDATED
from optrl.policies import find, names
from optrl.report.causes import Contrast, Place, contrast, full_share, kind_costs
from optrl.report.charts import intervals, lines, stacked
from optrl.report.network_map import Strain, map_key, network_map
from optrl.report.svg import figure, legend, name, percent, short, signed, text
from optrl.report.twins import ranks, told_apart, twins
from optrl.report.wording import reason

_LINES = 6
_RESOURCES = 25
_CONTRASTS = 8
_MAPS = 4


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, best: bool = False) -> str:
    """A table of cells that are safe already; `best` marks its first row."""
    first = "".join(f"<th>{cell}</th>" for cell in head)
    body = []
    for position, row in enumerate(rows):
        kind = ' class="best"' if best and position == 0 else ""
        cells = "".join(x if x.startswith("<td") else f"<td>{x}</td>" for x in row)
        body.append(f"<tr{kind}>{cells}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{first}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def ranking(comparison: Comparison, colours: dict[str, int]) -> str:
    """Ranking with intervals, and the indicators."""
    same = twins(comparison)
    rows = [row for row in comparison.ranking.to_dicts() if row["policy"] not in same]
    money = _unit(comparison.instance.money)
    chart = ""
    if len(rows) > 1:
        drawing = intervals(
            [
                (r["policy"], r["above_best"], r["above_best_low"], r["above_best_high"])
                if math.isfinite(r["above_best_low"])
                else (r["policy"], r["above_best"], r["above_best"], r["above_best"])
                for r in rows
            ],
            colours,
            "Difference in cost to the cheapest policy with intervals",
        )
        caption = (
            "Differences scenario by scenario. Bars are intervals that hold for all pairs of "
            f"policies together at {percent(comparison.settings.confidence, 0)}, however early "
            "the run stopped; a bar clear of 0 is a proven difference."
            if comparison.scenarios > 1
            else "One path of demand: no intervals."
        )
        chart = figure(f"Cost above the cheapest{money}", drawing, caption)
    found = ranks(comparison) if comparison.scenarios > 1 else {}
    head = ["Policy", f"Cost{money}", *(["Ranks not ruled out"] if found else [])]
    head += ["Demand met at once", "Mean stock", "Turns a year"]
    with_gap = comparison.reference is not None
    if with_gap:
        head.append("Above optimum" if comparison.reference == "optimum" else "Above the bound")
    certificates = comparison.certificates
    if certificates:
        head.append("Certified gap")
    head.append("Seconds a scenario")
    body = []
    for r in rows:
        half = f" ± {short(r['half_width'])}" if math.isfinite(r["half_width"]) else ""
        cells = [
            name(r["policy"]) + _remark(comparison, r),
            f"{short(r['cost'], 4)}{half}",
            *([found[r["policy"]]] if found else []),
            percent(r["fill_rate"]),
            short(r["mean_stock"]),
            short(r["turns"]),
        ]
        if with_gap:
            spread = f" ± {r['gap_half_width']:.2f}" if math.isfinite(r["gap_half_width"]) else ""
            cells.append(f"{r['gap_percent']:.2f}{spread} %")
        if certificates:
            gap = certificates[r["policy"]].relative_gap
            shown = f"{100 * gap:.2f} %" if gap <= 1 else "&gt; 100 %"
            cells.append(shown if math.isfinite(gap) else "none")
        body.append([*cells, short(r["seconds"] / r["scenarios"], 2)])
    note = (
        '<p class="note">± is the interval of each cost by itself: it includes how much scenarios '
        "differ from one another, which all policies share. Compare policies by the differences."
        "</p>"
    )
    if certificates:
        bounds = {each.bound.name: each.bound for each in certificates.values()}
        rests = "; and ".join(f"{text(b.name)} ({text(b.assumption)})" for b in bounds.values())
        note += (
            '<p class="note">The certified gap is how far above the cheapest possible a policy can '
            f"be, at {percent(comparison.settings.confidence, 0)} for all policies together. It "
            f"rests on lower bounds: {rests}.</p>"
        )
    if len(set(comparison.counts.tolist())) > 1:
        note += (
            '<p class="note">Policies that take long met fewer scenarios, the first of the same '
            f"ones. What is shown of such a policy is what {name(comparison.anchor)} has on all "
            "scenarios plus the difference between the two on those few, so that it does not count "
            "whether these were easy ones. Small parts of it may come out below 0.</p>"
        )
    return chart + table(head, body, best=True) + _same(comparison, same) + note + _glossary(rows)


def _remark(comparison: Comparison, row: Mapping[str, Any]) -> str:
    if row["scenarios"] == comparison.scenarios:
        return ""
    return f"<br><small>on {row['scenarios']:,} of {comparison.scenarios:,} scenarios</small>"


def _glossary(rows: Sequence[Mapping[str, Any]]) -> str:
    """What each policy does, as its class says it."""
    entries = []
    for row in rows:
        policy = row["policy"]
        about = "trained beforehand"
        plain = policy.removesuffix(UPDATED)
        if plain in names():
            about = (find(plain).__doc__ or "").strip().split("\n\n")[0]
            about += (
                "" if plain == policy else " Each period it updates what it believes of demand."
            )
        entries.append(f"<dt>{name(policy)}</dt><dd>{text(' '.join(about.split()))}</dd>")
    return f"<details><summary>What the policies do</summary><dl>{''.join(entries)}</dl></details>"


def _same(comparison: Comparison, same: Mapping[str, str]) -> str:
    """Who is left out because another does the same, and on how many scenarios that was seen."""
    groups: dict[tuple[str, int], list[str]] = {}
    met = dict(zip(comparison.policies, comparison.counts.tolist(), strict=True))
    for policy, other in same.items():
        groups.setdefault((other, min(met[policy], met[other])), []).append(policy)
    return "".join(
        f'<p class="note">The same as {name(other)} in '
        f"{f'all {both:,} scenarios' if both > 1 else 'the one scenario'} that both met, and not "
        f"listed: {', '.join(name(policy) for policy in policies)}.</p>"
        for (other, both), policies in groups.items()
    )


def costs(comparison: Comparison) -> str:
    """Cost by kind: the parts of each policy, and of its difference to the cheapest."""
    order = told_apart(comparison)
    found = {policy: kind_costs(comparison, policy) for policy in order}
    kinds = [k for k in found[order[0]] if any(abs(x[k]) > 0 for x in found.values())]
    colours = {kind: position for position, kind in enumerate(kinds)}
    money = _unit(comparison.instance.money)
    whole = stacked(
        [(p, {k: found[p][k] for k in kinds}, sum(found[p].values())) for p in order],
        colours,
        "Cost by kind",
    )
    charts = figure(f"Cost of the horizon by kind{money}", whole, "The mark is the sum.")
    if len(order) > 1:
        best = found[order[0]]
        rows = [
            (
                p,
                {k: found[p][k] - best[k] for k in kinds},
                sum(found[p].values()) - sum(best.values()),
            )
            for p in order[1:]
        ]
        drawing = stacked(rows, colours, "Difference to the cheapest policy by kind")
        charts += figure(
            f"What is paid more or less than by {name(order[0])}{money}",
            drawing,
            "Right of 0: paid more; left: paid less. The mark is the difference in all.",
        )
    body = [
        [name(p), *(short(found[p][k], 4) for k in kinds), short(sum(found[p].values()), 4)]
        for p in order
    ]
    head = ["Policy", *(_title(name(k)) for k in kinds), "Sum"]
    note = ""
    if comparison.instance.network.discount != 1:
        note = '<p class="note">Kinds are not discounted; the cost in the ranking is.</p>'
    key = legend([(name(k), c) for k, c in colours.items()])
    return key + f'<div class="charts">{charts}</div>' + table(head, body, best=True) + note


def over_time(comparison: Comparison, colours: dict[str, int]) -> str:
    """Service, stock and cost in each period."""
    apart = told_apart(comparison)
    order = apart[:_LINES]
    period = text(comparison.instance.period)
    service, stock, cost = [], [], []
    first = 0

    def by_period(measured: Measurement) -> FloatArray:
        path = measured.trajectory
        rows = [path.totals[k] for k in ("demand", "unmet", "stock")] + [path.period_cost]
        return np.stack([x[:, path.warm_up :].mean(0).numpy() for x in rows])

    for policy in order:
        path = comparison.measurements[policy].trajectory
        first = path.first_period + path.warm_up
        asked, unmet, held, paid = comparison.estimate(policy, by_period)
        met = np.full(len(asked), np.nan)
        # A share that is estimated by differences may come out beyond what is possible.
        met[asked > 0] = (1 - unmet[asked > 0] / asked[asked > 0]).clip(0, 1)
        service.append((policy, met))
        stock.append((policy, held))
        cost.append((policy, paid))
    quantity, money = _unit(comparison.instance.quantity), _unit(comparison.instance.money)

    def whole_percent(value: float) -> str:
        return percent(value, 0)

    charts = [
        figure(
            f"Demand met at once, by {period}",
            lines(service, first, colours, "Demand met at once over time", whole_percent),
        ),
        figure(
            f"Stock at the end of each {period}{quantity}",
            lines(stock, first, colours, "Stock over time", zero=True),
        ),
        figure(
            f"Cost of each {period}{money}",
            lines(cost, first, colours, "Cost over time", zero=True),
        ),
    ]
    left = len(apart) - len(order)
    note = f'<p class="note">The {_LINES} cheapest of the policies are drawn.</p>' if left else ""
    key = legend([(name(p), colours[p]) for p in order])
    return key + f'<div class="charts">{"".join(charts)}</div>' + note


def maps(comparison: Comparison) -> str:
    """The network map of the cheapest policies, and the resources that bind."""
    order = told_apart(comparison)
    instance = comparison.instance
    unit = f"{instance.quantity} a {instance.period}"
    parts = []
    for position, policy in enumerate(order[:_MAPS]):
        found = comparison.measurements[policy].breakdown
        if found is None:
            return (
                '<p class="note">The instance is too large to record flows by lane in each '
                "scenario: no map is drawn.</p>" + _resources(comparison, order)
            )
        strain = Strain.of(instance.network, full_share(comparison, policy))
        drawing, left_out = network_map(instance.network, found, strain, unit)
        state = " open" if position == 0 else ""
        parts.append(
            f"<details{state}><summary>{name(policy)}</summary>"
            + figure("", drawing, left_out, "map")
            + "</details>"
        )
    return map_key(instance.network.unmet) + "".join(parts) + _resources(comparison, order)


def _resources(comparison: Comparison, order: Sequence[str]) -> str:
    resources = comparison.instance.network.resources
    title = "<h3>Resources that are full</h3>"
    if not resources:
        return title + "<p>The instance has no shared capacity.</p>"
    share = np.stack([full_share(comparison, policy) for policy in order], axis=1)
    most = share.max(axis=1)
    rows = [r for r in np.argsort(-most, kind="stable").tolist() if most[r] > 0][:_RESOURCES]
    if not rows:
        return title + "<p>No resource is ever full: capacity does not explain differences.</p>"
    body = [
        [
            f"{text(resources[r].name)}",
            *(
                f'<td class="heat" style="--share:{0.75 * x:.2f}">{percent(x)}</td>'
                for x in share[r].tolist()
            ),
        ]
        for r in rows
    ]
    note = (
        '<p class="note">Share of scenarios and periods in which use reaches capacity (storage: '
        "reaches or overflows).</p>"
    )
    return title + note + table(["Resource", *(name(p) for p in order)], body)


def differences(comparison: Comparison) -> str:
    """Where policies differ from the cheapest, and why."""
    order = told_apart(comparison)
    if len(order) < 2:
        return "<p>One policy: nothing to tell apart.</p>"
    parts = []
    for position, policy in enumerate(order[1 : _CONTRASTS + 1]):
        found = contrast(comparison, policy, order[0])
        state = " open" if position == 0 else ""
        parts.append(
            f"<details{state}><summary>{name(policy)} against {name(order[0])}</summary>"
            f"<p>{reason(comparison, found)}</p>{_places(comparison, found)}</details>"
        )
    note = (
        '<p class="note">Differences in cost over the horizon, not discounted, with the interval '
        "of each by itself. They were picked because they are large: read them as hints where to "
        "look. Costs of a flow count where its lane ends.</p>"
    )
    return note + "".join(parts)


def _places(comparison: Comparison, found: Contrast) -> str:
    period = text(comparison.instance.period)
    columns = [("Item", found.items), ("Node", found.nodes), (period.capitalize(), found.periods)]
    return (
        '<div class="three">'
        + "".join(_place_table(title, places) for title, places in columns if places)
        + "</div>"
    )


def _place_table(title: str, places: Sequence[Place]) -> str:
    kinds = any(each.main for each in places)
    rows = []
    for each in places:
        spread = f" ± {short(each.half_width, 2)}" if math.isfinite(each.half_width) else ""
        row = [text(each.name), f"{signed(each.difference)}{spread}"]
        rows.append([*row, f'<td class="text">{each.main}</td>'] if kinds else row)
    head = [title, "Difference", "Mostly"] if kinds else [title, "Difference"]
    return table(head, rows)


def _unit(unit: str) -> str:
    return f", {text(unit)}" if unit else ""


def _title(words: str) -> str:
    return words[:1].upper() + words[1:]
