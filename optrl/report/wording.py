"""Sentences of the report, for a planner."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optrl.comparison.result import Comparison
from optrl.evaluation.judge import BOUND
from optrl.report.causes import Contrast
from optrl.report.svg import name, percent, short, text
from optrl.report.twins import told_apart


def verdict(comparison: Comparison) -> list[str]:
    """What was found, in a few sentences safe within a page."""
    shown = told_apart(comparison)
    ranking = [row for row in comparison.ranking.to_dicts() if row["policy"] in shown]
    best = ranking[0]
    money = text(comparison.instance.money)
    seen = ""
    if best["scenarios"] < comparison.scenarios:
        seen = f" as far as {best['scenarios']:,} of {comparison.scenarios:,} scenarios show"
    result = [
        f"<b>{_upper(name(best['policy']))}</b> is cheapest{seen}: "
        f"{short(best['cost'], 4)} {money} over the horizon, with {percent(best['fill_rate'])} of "
        "demand met at once."
    ]
    if len(ranking) > 1:
        second = ranking[1]
        result.append(
            f"Next comes {name(second['policy'])}, {_excess(second, best, money)} dearer"
            + (
                f"; the dearest, {name(ranking[-1]['policy'])}, costs "
                f"{_excess(ranking[-1], best, money)} more."
                if len(ranking) > 2
                else "."
            )
        )
        result.append(_proof(comparison, ranking))
    if best["scenarios"] < comparison.scenarios:
        result.append(
            "It takes long and met these alone; its figures are those of "
            f"{name(comparison.anchor)}, which met all, plus the difference between the two on "
            "these."
        )
    if comparison.reference is not None and math.isfinite(best["gap_percent"]):
        result.append(_gap(comparison, best))
    return result


def stopping(comparison: Comparison) -> str:
    """Why the run ended when it did."""
    settings = comparison.settings
    confidence = percent(settings.confidence, 0)
    if comparison.scenarios == 1:
        return (
            "One path of demand: it shows what would have happened on it and proves nothing about "
            "another. Intervals need more scenarios."
        )
    tolerance = percent(settings.tolerance, 2)
    if comparison.settled:
        return (
            f"The run stopped after {comparison.scenarios:,} of at most {settings.scenarios:,} "
            f"scenarios, when every pair of policies was proven to differ, or to differ by at most "
            f"{tolerance}, at {confidence} confidence for all statements together."
            + _same(comparison)
        )
    if comparison.scenarios < settings.scenarios:
        return (
            f"The run stopped after {comparison.scenarios:,} of at most {settings.scenarios:,} "
            "scenarios, when all pairs that more scenarios could tell apart were settled; policies "
            f"that met fewer are partly not told apart at {confidence} confidence for all "
            "statements together (see the ranks not ruled out)."
        )
    return (
        f"All {comparison.scenarios:,} scenarios were run; some pairs of policies are still not "
        f"told apart at {confidence} confidence for all statements together (see the ranks not "
        "ruled out)."
    )


def _same(comparison: Comparison) -> str:
    """What is known of pairs that cost the same in every scenario; empty without such pairs."""
    found = comparison.differences
    if not found.same.any():
        return ""
    share = float(found.may_differ[found.same].max())
    return (
        " Pairs that cost the same in every scenario they met count as told: they may still differ "
        f"in up to {percent(share, 1)} of scenarios."
    )


def reason(comparison: Comparison, found: Contrast) -> str:
    """Why a policy costs more than the cheapest, from kinds of cost, stock and service."""
    rows = {row["policy"]: row for row in comparison.ranking.to_dicts()}
    own, best = rows[found.policy], rows[found.best]
    money = text(comparison.instance.money)
    total = sum(found.kinds.values())
    size = sum(abs(x) for x in found.kinds.values())
    parts = [(k, x) for k, x in found.kinds.items() if size and abs(x) > 0.02 * size]
    more = [f"{name(k)} (+{short(x)})" for k, x in sorted(parts, key=lambda p: -p[1]) if x > 0]
    less = [f"{name(k)} ({short(x)})" for k, x in sorted(parts, key=lambda p: p[1]) if x < 0]
    said = [
        f"{_upper(name(found.policy))} costs {short(abs(total))} {money} "
        f"{'more' if total >= 0 else 'less'} than {name(found.best)}."
    ]
    if comparison.instance.network.discount != 1:
        said[0] = said[0][:-1] + " before discounting."
    if more:
        said.append(
            f"It pays more for {_listed(more)}"
            + (f" and less for {_listed(less)}." if less else ".")
        )
    elif less:
        said.append(f"It pays less for {_listed(less)}.")
    said.append(_stock_and_service(own, best))
    if found.items:
        top = [text(each.name) for each in found.items[:2]]
        where = [text(each.name) for each in found.nodes[:2]]
        said.append(
            f"The largest differences lie in {_listed(top)}"
            + (f", and at {_listed(where)}." if where else ".")
        )
    return " ".join(said)


def _stock_and_service(own: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    share = own["mean_stock"] / best["mean_stock"] - 1 if best["mean_stock"] else math.nan
    stock = "about the same stock"
    if math.isfinite(share) and abs(share) >= 0.01:
        stock = f"{percent(abs(share), 0)} {'more' if share > 0 else 'less'} stock"
    return (
        f"It holds {stock} ({short(own['mean_stock'])} against {short(best['mean_stock'])}) and "
        f"meets {percent(own['fill_rate'])} of demand at once against "
        f"{percent(best['fill_rate'])}."
    )


def _excess(row: Mapping[str, Any], best: Mapping[str, Any], money: str) -> str:
    share = row["above_best"] / abs(best["cost"]) if best["cost"] else math.nan
    shown = f" ({percent(share, 2 if share < 0.01 else 1)})" if math.isfinite(share) else ""
    return f"{short(row['above_best'])} {money}{shown}"


def _proof(comparison: Comparison, ranking: list[dict[str, Any]]) -> str:
    confidence = percent(comparison.settings.confidence, 0)
    if comparison.scenarios == 1:
        return "With a single path of demand the order may be chance."
    rivals = [row["policy"] for row in ranking[1:] if row["best_rank"] <= 1]
    if not rivals:
        return f"No other policy can be as cheap, at {confidence} confidence."
    return (
        f"At {confidence} confidence it cannot be told apart from "
        f"{_listed([name(each) for each in rivals])}."
    )


def _gap(comparison: Comparison, best: Mapping[str, Any]) -> str:
    half = best["gap_half_width"]
    spread = f" ± {half:.2f}" if math.isfinite(half) else ""
    gap = f"{best['gap_percent']:.2f}{spread} %"
    if comparison.reference == BOUND:
        count = len(comparison.bound)
        return (
            f"It costs {gap} more than a plan that knows all demand in advance "
            f"(on {count:,} scenario{'s' if count > 1 else ''}); no policy can do better than that "
            "plan, and part of the gap is the price of not knowing."
        )
    return f"It costs {gap} more than the known optimum."


def _upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
