"""The README's commands exist and its Python runs."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from optrl.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*/*.md")),
]
PAGES = [page for page in PAGES if "_generated" not in page.parts and "_build" not in page.parts]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


SHELL = [
    (page.relative_to(ROOT).as_posix(), line)
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"), "shell")
    for line in re.sub(r"\\\n\s*", "", block).splitlines()  # a command may go on in the next line
    if line.strip()
]


def test_python_runs(tmp_path):
    """All Python blocks of the README run one after the other, and write what they say."""
    code = "\n".join(blocks(README, "python"))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "readme.py").write_text(code, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "readme.py"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "True" in run.stdout  # the plan is verified
    assert (tmp_path / "out" / "quarter" / "orders.csv").is_file()


WORDS = " ".join(README.split())


def results(name: str) -> list[dict[str, str]]:
    """Rows of a committed table."""
    text = (ROOT / "docs" / "results" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def test_numbers_stand_in_the_results():
    """What the README and the changelog say of known values is what the committed table holds."""
    rows = results("known_values.csv")
    assert {row["status"] for row in rows} == {"optimal"}
    assert len({row["format"] for row in rows}) == 7
    assert f"`known_values.csv` holds {len(rows)} published problems in seven formats" in README
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"all {len(rows)} problems proved" in changelog


def test_gym_invmgmt_is_as_the_table_says():
    """How many optima agree, and how many differences exceed their interval."""
    rows = results("gym_invmgmt.csv")
    agree = [row["oracle"] == row["published_oracle"] for row in rows if row["oracle"]]
    above = sum(float(row["lookahead"]) > float(row["published_mssp_informed"]) for row in rows)
    clear = sum(float(row["paired_difference"]) > float(row["paired_half_width"]) for row in rows)
    assert (len(rows), agree, above, clear) == (10, [True] * 6, 10, 4)
    assert "in ten environments of gym-invmgmt" in WORDS
    assert "agrees with the published one in all six" in WORDS
    assert "agent in all ten, by more than the paired interval in four" in WORDS


def test_ppo_is_as_the_table_says():
    """The mean gap is that of the trainings' last lines."""
    last = [row for row in results("ppo_lost_sales.csv") if row["judged_cost"]]
    gaps = [100 * (float(row["judged_cost"]) / float(row["optimum"]) - 1) for row in last]
    assert len({row["seed"] for row in last}) == len(last) == 5
    assert min(float(row["steps"]) for row in last) >= 1_000_000
    assert "holds five trainings by PPO" in WORDS
    assert f"average {sum(gaps) / 5:.1f} % above the exact optimum after a million steps" in WORDS


def test_learned_gaps_are_as_the_table_says():
    """Means and maxima of learned policies over the published instances and beyond."""
    rows = results("learned_lost_sales.csv")
    published = [row for row in rows if row["specialist_gap_pct"]]
    assert len(published) == 32

    def gaps(column: str, chosen: list[dict[str, str]]) -> list[float]:
        return [float(row[column]) for row in chosen]

    one, own = gaps("generalist_gap_pct", published), gaps("specialist_gap_pct", published)
    capped = gaps("capped_base_stock_gap_pct", published)
    beyond = gaps("generalist_gap_pct", [row for row in rows if row not in published])
    assert f"costs {sum(one) / 32:.3f} % more than the optimum on average over the 32" in WORDS
    assert (
        f"and {max(one):.3f} % at most; {max(beyond):.3f} % at most on {len(beyond)} sys" in WORDS
    )
    assert f"cost {sum(own) / 32:.3f} % more on average and {max(own):.3f} % at most" in WORDS
    assert f"capped base-stock policies cost {sum(capped) / 32:.2f} % more" in WORDS


def test_learned_systems_are_as_the_tables_say():
    """Means of the shipped networks and of specialists, and how many are clearly cheaper."""
    gaps = [
        float(row["generalist_gap_pct"])
        for row in results("learned_dual_sourcing.csv")
        if row["specialist_gap_pct"]
    ]
    assert len(gaps) == 6
    assert f"{sum(gaps) / 6:.3f} % above the optimum on average over the six" in WORDS
    rows = results("learned_one_warehouse.csv")
    shipped, own = (
        sum(float(row[f"{kind}_pct"]) for row in rows) / len(rows)
        for kind in ("generalist", "specialist")
    )
    clear = sum(
        float(row["specialist_pct"]) < -float(row["specialist_half_width_pct"]) for row in rows
    )
    assert (len(rows), clear) == (10, 9)
    assert f"costs {-shipped:.1f} % less on average than the best tuned classical" in WORDS
    assert f"own networks {-own:.1f} % less, and less beyond the interval on nine of ten" in WORDS


def test_commands_are_found():
    """There are commands to check, of both kinds."""
    programs = {shlex.split(line)[0] for _, line in SHELL}
    assert {"make", "optrl", "pip"} <= programs


@pytest.mark.parametrize(("page", "line"), SHELL, ids=[line for _, line in SHELL])
def test_command_is_valid(page, line):
    """Targets of make exist, and optrl's own parser accepts the line with all its options."""
    words = shlex.split(line)
    match words[0]:
        case "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert set(words[1:]) <= set(targets), page
        case "optrl":
            command = get_command(app).commands[words[1]]
            command.make_context(words[1], words[2:])
            for word in words[2:]:
                if word.startswith("examples/"):
                    assert (ROOT / word).exists(), page
        case "pip":
            assert words[1] == "install"
            if "-c" in words:
                assert (ROOT / words[words.index("-c") + 1]).is_file()
        case other:
            pytest.fail(f"{page}: no check for the program {other!r}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    """Relative links and {doc} references name files that exist."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
    for target in re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text):
        if "auto_examples" in target:
            example = ROOT / "examples" / f"{Path(target).name}.py"
            assert example.exists(), target
        else:
            assert (page.parent / f"{target}.md").exists(), target
