"""The commands train and learners: a folder that compare can use, resuming, and their refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("stable_baselines3", reason="the extra optrl[rl] is not installed")

import optrl
from optrl.cli.app import app
from optrl.learning import names
from optrl.learning.folder import stranger
from optrl.testbeds import find_bed
from optrl.testing import random_instance

BED = "lost-sales/poisson-p4-L1"
SMALL = (
    *("--learner", "ppo", "--updates", "2", "--set", "environments=4"),
    *("--set", "validation_scenarios=2", "--set", "validation_periods=5"),
)


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_test_bed_is_trained_resumed_and_compared(tmp_path):
    """One command trains; again it is refused without --resume and done with it; compare reads."""
    out = tmp_path / "ppo"
    first = run("train", BED, "--out", out, *SMALL, "--json")
    assert first.exit_code == 0, first.output
    said = json.loads(first.stdout)
    assert (said["updates"], said["finished"], said["learner"]) == (2, True, "ppo")
    assert 0 < said["goodput"] < 1
    bed = find_bed(BED)
    policy = optrl.load_policy(out, bed.instance, bed.demand)
    assert not policy.encoding.settings.clock
    again = run("train", BED, "--out", out, *SMALL)
    assert again.exit_code == 2
    assert "already" in again.output
    resumed = run("train", BED, "--out", out, *SMALL, "--resume", "--json")
    assert resumed.exit_code == 0
    assert json.loads(resumed.stdout)["validation_cost"] == said["validation_cost"]
    compared = run(
        *("compare", BED, "--policies", f"base_stock,learned={out}", "--scenarios", "2"),
        *("--runs", tmp_path / "runs", "--json", "-"),
    )
    assert compared.exit_code == 0, compared.output
    assert "learned" in compared.stdout
    assert "warning" not in compared.stderr
    other = find_bed("lost-sales/geometric-p39-L1")
    strange = run(
        *("compare", other.name, "--policies", f"learned={out}", "--scenarios", "2"),
        *("--runs", tmp_path / "runs", "--json", "-"),
    )
    assert strange.exit_code == 0, strange.output
    said = "warning: learned was trained on instance 'poisson-p4-L1', not on 'geometric-p39-L1'"
    assert said in strange.stderr
    assert json.loads(strange.stdout)["ranking"][0]["policy"] == "learned"


def test_what_a_policy_was_trained_on_is_told_apart(tmp_path):
    """Another instance, other data under its name, and another model of demand are told."""
    bed, other = find_bed(BED), find_bed("lost-sales/geometric-p4-L1")
    assert run("train", BED, "--out", tmp_path, *SMALL).exit_code == 0
    assert stranger(tmp_path, bed.instance, bed.demand) is None
    assert "another model of demand" in stranger(tmp_path, bed.instance, other.demand)
    changed = replace(bed.instance, on_hand=bed.instance.on_hand + 1)
    assert "data were other" in stranger(tmp_path, changed, bed.demand)
    job = json.loads((tmp_path / "training.json").read_text())
    (tmp_path / "training.json").write_text(json.dumps(job | {"learner": "generalist"}))
    assert stranger(tmp_path, other.instance, other.demand) is None


def test_a_folder_is_trained_and_simulated(tmp_path):
    """An instance folder, with demand fitted to its history; simulate takes one policy."""
    instance = random_instance(
        np.random.default_rng(1), items=1, stocking=1, customers=1, horizon=8
    )
    folder, out = tmp_path / "instance", tmp_path / "learned"
    optrl.save(instance, folder)
    done = run("train", folder, "--out", out, *SMALL)
    assert done.exit_code == 0, done.output
    assert "updates" in done.stdout
    simulated = run("simulate", folder, "--policy", f"learned={out}", "--scenarios", "2", "--json")
    assert simulated.exit_code == 0, simulated.output
    assert json.loads(simulated.stdout)
    for policy, said in (("s_s,base_stock", "one policy"), ("x=nowhere", "no folder")):
        refused = run("simulate", folder, "--policy", policy)
        assert refused.exit_code == 2
        assert said in refused.output


def test_a_wrong_setting_writes_nothing(tmp_path):
    """The message names the setting and what it may be, and no folder is left behind."""
    out = tmp_path / "ppo"
    for text, said in (
        ("encoding.actions=level", "order_up_to"),
        ("learningrate=1", "did you mean 'learning_rate'"),
        ("epochs=0", "at least 1"),
    ):
        result = run("train", BED, "--out", out, "--learner", "ppo", "--set", text)
        assert result.exit_code == 2
        assert said in " ".join(result.output.split())
        assert not out.exists()


def test_an_unknown_learner_or_sink_is_told(tmp_path):
    """The nearest names are suggested."""
    result = run("train", BED, "--out", tmp_path / "x", "--learner", "pto")
    assert result.exit_code == 2
    assert "did you mean 'ppo'" in result.output
    result = run("train", BED, "--out", tmp_path / "x", *SMALL, "--track", "paper")
    assert result.exit_code == 2
    assert "choose tensorboard or mlflow" in result.output
    assert list(tmp_path.iterdir()) == []


def test_learners_lists_names_and_settings():
    """Names one a line; the settings of one with defaults and meanings."""
    listed = run("learners")
    assert listed.stdout.split() == list(names())
    settings = run("learners", "ppo")
    assert settings.exit_code == 0
    assert "encoding.actions" in settings.stdout
    assert "Passes over the transitions" in settings.stdout


def test_an_interrupted_training_says_how_to_go_on(tmp_path, monkeypatch):
    """Ctrl-C ends with exit code 130 and leaves a folder that is resumed."""
    from optrl.learning.ppo import PPOLearner

    update, done = PPOLearner.update, []

    def interrupted(self):
        done.append(1)
        if len(done) == 2:
            raise KeyboardInterrupt
        return update(self)

    monkeypatch.setattr(PPOLearner, "update", interrupted)
    out = tmp_path / "ppo"
    first = run("train", BED, "--out", out, *SMALL)
    assert first.exit_code == 130
    assert "--resume" in first.output
    resumed = run("train", BED, "--out", out, *SMALL, "--resume")
    assert resumed.exit_code == 0, resumed.output
