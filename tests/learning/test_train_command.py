"""The command train: a folder that compare can use, resuming, and its refusals."""

import json

import pytest
from typer.testing import CliRunner

pytest.importorskip("stable_baselines3", reason="the extra optrl[rl] is not installed")

from optrl.cli.app import app
from optrl.learning.ppo import PPOPolicy
from optrl.testbeds import find_bed


def run(*arguments):
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_a_test_bed_is_trained_resumed_and_loaded(tmp_path):
    """One command trains; again it is refused without --resume and done with it."""
    name = "lost-sales/poisson-p4-L4"
    out = tmp_path / "ppo"
    first = run(name, "--out", out, "--steps", 2048, "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["curve"][-1]["steps"] == 2048
    bed = find_bed(name)
    policy = PPOPolicy.load(out, bed.instance, bed.demand)
    assert not policy.encoding.settings.clock
    again = run(name, "--out", out, "--steps", 2048)
    assert again.exit_code == 2
    assert "already" in again.output
    resumed = run(name, "--out", out, "--steps", 2048, "--resume", "--json")
    assert resumed.exit_code == 0
    assert json.loads(resumed.stdout)["curve"] == []


def test_an_unknown_kind_of_action_writes_nothing(tmp_path):
    """The message says what to choose, and no folder is left behind."""
    out = tmp_path / "ppo"
    result = run("lost-sales/poisson-p4-L4", "--out", out, "--actions", "level")
    assert result.exit_code == 2
    assert "order_up_to" in result.output
    assert not out.exists()
