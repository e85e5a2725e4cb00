"""The report on Iowa: classical policies and PPO on 1,000 sampled years and on the 52 kept weeks.

    python benchmarks/iowa_report.py [--instance DIR] [--work DIR] [--docs DIR]
        [--scenarios N] [--limit POLICY=N ...] [--bound N] [--updates N]

Trains PPO with items as agents that move the levels of echelon base stock, compares it with the
classical policies, and writes two pages (DOCS/reports/iowa.html and iowa-replay.html) and three
tables (DOCS/results/iowa_scenarios.csv, iowa_kept_weeks.csv and iowa_ppo.csv) with the command
and commit that made them.

Policies that solve programs or walk through sample paths take seconds a decision and meet the first
of the scenarios alone. What is finished is kept in WORK: a run that was stopped goes on from there,
and one with higher limits adds to it. Policies for two ways into a node, and (s, S) without
fixed costs, do what base stock does here; a few scenarios show it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

import polars as pl
import torch

from optrl.cli.contenders import load_trained
from optrl.comparison.compare import compare
from optrl.comparison.result import Comparison
from optrl.comparison.runner import Advance
from optrl.demand.fit import fit
from optrl.env.encoding import EncodingSettings
from optrl.instance import Instance
from optrl.learning.base import Subject
from optrl.learning.ppo import PPOSettings
from optrl.learning.training import train
from optrl.learning.validation import Validation
from optrl.policies import find
from optrl.tables import load, write_file

COMMAND = "python benchmarks/iowa_report.py"
SEED = 0
RULE = "echelon_base_stock"
EVERYWHERE = (
    "base_stock",
    RULE,
    "capped_base_stock",
    "newsvendor",
    "proportional_rationing",
)
LIMITS = {
    "s_s": 32,
    "single_index": 32,
    "dual_index": 32,
    "capped_dual_index": 32,
    "tailored_base_surge": 32,
    "min_shortage_rationing": 128,
    "projected_inventory_level": 16,
    "myopic": 16,
    "lookahead": 12,
}
# On one path the slow ones are affordable; a tree of eight leaves takes minutes a decision.
KEPT_WEEKS = ("two_stage",)
SETTINGS = PPOSettings(
    updates=80,
    checkpoint_every=8,
    validate_every=8,
    environments=24,
    rollout=52,
    batch=3588,
    first_deviation=-1.5,
    encoding=EncodingSettings(actions="levels", rule=RULE),
)


def main() -> None:
    """Train, compare and write."""
    options = _options()
    torch.set_num_threads(1)
    instance = load(options.instance)
    limits = LIMITS | dict(_limit(each) for each in options.limit)
    folder = options.work / "iowa_ppo"
    curve = train_ppo(instance, folder, options.updates)
    ppo = load_trained("ppo", str(folder), instance)
    simulated = compare(
        instance,
        [*EVERYWHERE, ppo, *limits],
        scenarios=options.scenarios,
        seed=SEED,
        until_settled=False,
        limits=limits,
        bound_scenarios=options.bound,
        folder=options.work / "iowa_runs",
        progress=_Progress(),
    )
    slow = [] if options.without_two_stage else list(KEPT_WEEKS)
    replayed = compare(
        instance,
        [*EVERYWHERE, ppo, *limits, *slow],
        scenarios=1,
        seed=SEED,
        replay=True,
        bound_scenarios=1,
        folder=options.work / "iowa_runs",
        progress=_Progress(),
    )
    header = f"# command: {COMMAND}\n# commit: {_commit()}"
    results = options.docs / "results"
    _write(
        results / "iowa_ppo.csv", f"{header}; seed {SEED}; cost a week in {instance.money}", curve
    )
    for name, found in (("iowa_scenarios", simulated), ("iowa_kept_weeks", replayed)):
        _write(results / f"{name}.csv", f"{header}; {_about(found)}", _table(found))
    reports = options.docs / "reports"
    reports.mkdir(parents=True, exist_ok=True)
    simulated.to_html(reports / "iowa.html")
    replayed.to_html(reports / "iowa-replay.html")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200):
        print(_table(simulated), _table(replayed))


def train_ppo(instance: Instance, folder: Path, updates: int) -> pl.DataFrame:
    """Train, or go on, and return the learning curve beside the rules.

    Columns: update, transitions met, validated cost a period of PPO, of the rule it starts from
    and of base stock on the same paths.
    """
    settings = PPOSettings(**(vars(SETTINGS) | {"updates": updates}))
    subject = Subject(instance, fit(instance))
    began = time.process_time()
    train(
        subject,
        "ppo",
        folder,
        settings=settings,
        seed=SEED,
        resume=True,
        told=lambda step: print(step, flush=True),
    )
    print(f"training took {time.process_time() - began:.0f} CPU seconds")
    validation = Validation(subject, settings.validation_scenarios, settings.validation_periods)
    beside = {
        name: validation.cost(find(name).fit(instance, subject.demand))
        for name in (RULE, "base_stock")
    }
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    rows = [
        {
            "update": line["update"],
            "transitions": int(line["steps"]),
            "ppo": line["validation_cost"],
            **beside,
        }
        for line in lines
        if "validation_cost" in line
    ]
    return pl.DataFrame(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", type=Path, default=Path("examples/iowa/instance"))
    parser.add_argument("--work", type=Path, default=Path("out"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--scenarios", type=int, default=1000)
    parser.add_argument("--limit", action="append", default=[], metavar="POLICY=N")
    parser.add_argument("--bound", type=int, default=12)
    parser.add_argument("--updates", type=int, default=SETTINGS.updates)
    parser.add_argument("--without-two-stage", action="store_true")
    return parser.parse_args()


def _limit(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    return name, int(number)


class _Progress:
    """A line every half minute."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._last = time.monotonic()

    def __call__(self, step: Advance) -> None:
        self._done[step.policy] = self._done.get(step.policy, 0) + step.scenarios
        if time.monotonic() - self._last > 30:
            self._last = time.monotonic()
            print(f"{step.policy}: {self._done[step.policy]:,} scenarios", flush=True)


def _table(found: Comparison) -> pl.DataFrame:
    """The ranking as it is committed: no rank beyond the order, seconds by scenario."""
    return found.ranking.select(
        "policy",
        "scenarios",
        "cost",
        "half_width",
        "above_best",
        "above_best_low",
        "above_best_high",
        "best_rank",
        "worst_rank",
        "gap_percent",
        "gap_half_width",
        "fill_rate",
        "cycle_service",
        "turns",
        "mean_stock",
        seconds=pl.col("seconds") / pl.col("scenarios"),
    )


def _about(found: Comparison) -> str:
    bound = f"{found.bound.mean():.0f} on {len(found.bound)}" if len(found.bound) else "none"
    return (
        f"seed {SEED}; {found.scenarios} scenarios; perfect-information bound {bound}; cost of the "
        f"horizon in {found.instance.money}; intervals {found.settings.confidence:.0%}, those of "
        f"above_best for all pairs together; seconds a scenario"
    )


def _write(path: Path, header: str, table: pl.DataFrame) -> None:
    rounded = table.with_columns(pl.col(pl.Float64).round_sig_figs(7))
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_file(path) as temporary:
        temporary.write_text(f"{header}\n{rounded.write_csv()}", encoding="utf-8")


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


if __name__ == "__main__":
    main()
