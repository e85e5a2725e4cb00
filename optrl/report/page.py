"""The report as one self-contained page: no script is needed, nothing is fetched."""

from __future__ import annotations

from importlib.resources import files

from optrl.comparison.result import Comparison
from optrl.report import sections
from optrl.report.svg import count_of, name, percent, short, text
from optrl.report.twins import told_apart
from optrl.report.wording import stopping, verdict

_METHOD = (
    "Every policy met the same demand and the same random arrivals of orders (common random "
    "numbers), so that differences are taken scenario by scenario. Intervals of differences are "
    "Student's t with Bonferroni's correction over all pairs (Clark &amp; Yang 1986; Nelson &amp; "
    "Matejcik 1995). The error is spent over the looks at the data in proportion to the scenarios "
    "run (Lan &amp; DeMets 1983, by the union bound), so that stopping early does not cheat. They "
    "take mean costs to be about normal."
)

# Closed parts are printed too: browsers that do not know `::details-content` need this.
_SCRIPT = (
    "addEventListener('beforeprint',()=>document.querySelectorAll('details')"
    ".forEach(d=>d.open=true))"
)


def report_page(comparison: Comparison) -> str:
    """The page's HTML.

    Args:
        comparison: What was found.
    """
    instance = comparison.instance
    order = comparison.ranking["policy"].to_list()
    colours = {policy: position for position, policy in enumerate(told_apart(comparison))}
    title = f"{text(instance.name)}: comparison of {len(order)} policies"
    if len(order) == 1:
        title = f"{text(instance.name)}: {name(order[0])}"
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="quiet">{_scope(comparison)}</p>',
        '<div class="verdict">' + "".join(f"<p>{x}</p>" for x in verdict(comparison)) + "</div>",
        _cards(comparison),
        _section("Ranking", sections.ranking(comparison, colours)),
        f"<p>{stopping(comparison)}</p>",
        _section("Cost by kind", sections.costs(comparison)),
        _section("Service and stock over time", sections.over_time(comparison, colours)),
        _section("Network: flows and bottlenecks", sections.maps(comparison)),
        _section("Where policies differ, and why", sections.differences(comparison)),
        _section("What this rests on", _basis(comparison)),
    ]
    style = files("optrl.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{style}</style></head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>{_SCRIPT}</script></body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>\n{body}</section>"


def _scope(comparison: Comparison) -> str:
    instance, settings = comparison.instance, comparison.settings
    path = next(iter(comparison.measurements.values())).trajectory
    first = path.first_period + path.warm_up
    last = path.first_period + path.periods - 1
    network = instance.network
    demand = "observed demand replayed" if settings.demand == "replay" else "sampled demand"
    count = comparison.scenarios
    return (
        f"{count_of(len(network.items), 'item')}, {count_of(len(network.nodes), 'node')}, "
        f"{count_of(len(network.lanes), 'lane')}; {text(instance.period)}s {first} to {last}; "
        f"{count_of(count, 'scenario')} of {demand}"
        + (f"; money in {text(instance.money)}." if instance.money else ".")
    )


def _cards(comparison: Comparison) -> str:
    best = comparison.ranking.to_dicts()[0]
    cards = [
        (name(best["policy"]), "cheapest policy"),
        (f"{short(best['cost'], 4)} {text(comparison.instance.money)}", "its cost"),
        (percent(best["fill_rate"]), "of demand met at once"),
        (short(best["mean_stock"]), f"{text(comparison.instance.quantity)} in stock"),
    ]
    if comparison.scenarios > 1:
        cards.append(("yes" if comparison.settled else "no", "ranking settled"))
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{a}</b><span>{b}</span></div>' for a, b in cards)
        + "</div>"
    )


def _basis(comparison: Comparison) -> str:
    settings, provenance = comparison.settings, comparison.provenance
    libraries = ", ".join(f"{k} {v}" for k, v in provenance["libraries"].items())
    entries = [
        ("Instance hash", provenance["instance_hash"]),
        ("Code version", provenance["code_version"]),
        ("Libraries", libraries),
        ("Seed", settings.seed),
        ("Demand", settings.demand),
        ("Looks at", ", ".join(f"{x:,}" for x in settings.schedule) + " scenarios"),
        ("Confidence", percent(settings.confidence, 1)),
        ("Tolerance", percent(settings.tolerance, 2)),
        ("Periods left out", settings.warm_up),
    ]
    rows = "".join(f"<dt>{key}</dt><dd>{text(value)}</dd>" for key, value in entries)
    notes = "".join(
        f"<dt>{text(key)}</dt><dd>{text(value)}</dd>"
        for key, value in comparison.instance.notes.items()
    )
    about = (
        f"<details><summary>What is real and what is assumed</summary><dl>{notes}</dl></details>"
        if notes
        else ""
    )
    return f"<p>{_METHOD}</p><dl>{rows}</dl>{about}"
