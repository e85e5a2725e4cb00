"""What holds for every learner that is found: state, determinism, and the policy it writes."""

import json
import pickle
from contextlib import suppress
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load

import optrl
from optrl.demand.fit import fit
from optrl.learning import find, names
from optrl.learning.base import Learner, LearnerSettings, Subject, TrainingError
from optrl.learning.settings import settings_as_json, settings_from, settings_of
from optrl.networks.tensor_file import check_same_form, read_tensor_file, write_tensor_file
from optrl.simulation.rollout import simulate
from optrl.testbeds import find_bed
from optrl.testing import random_instance

# Whatever of these a learner has is made small, so that all change within a few updates.
SMALL = {
    **dict.fromkeys(("paths", "validation_paths", "validation_scenarios"), 4),
    **dict.fromkeys(("environments", "systems", "width", "rollout", "episode"), 4),
    **dict.fromkeys(("periods", "validation_periods"), 6),
    "restart": 2,
    "batch": 8,
    "epochs": 2,
    "hidden": [4],
    **dict.fromkeys(("gathering", "replicates", "steps"), 2),
    "states": 8,
}


def found(name):
    """The learner; only those on packages of an extra that is not installed are skipped."""
    if name == "ppo":
        pytest.importorskip("stable_baselines3", reason="of the extra 'rl'")
    return find(name)


@pytest.fixture(params=names(), scope="module")
def kind(request):
    return found(request.param)


def learned_on(where):
    """A small instance folder, or a test bed."""
    if where == "folder":
        instance = random_instance(
            np.random.default_rng(1), items=1, stocking=1, customers=1, horizon=8
        )
        return Subject(instance, fit(instance))
    bed = find_bed("lost-sales/poisson-p4-L2")
    return Subject(bed.instance, bed.demand, endless=True, warm_up=5)


SUBJECTS = ["folder", "test bed"]


@pytest.fixture(params=SUBJECTS, scope="module")
def subject(request):
    return learned_on(request.param)


def small_settings(kind):
    """Settings of the learner that take moments."""
    known = {field.name for field in fields(kind.settings_class)}
    given = {name: value for name, value in SMALL.items() if name in known}
    return settings_from(kind.settings_class, {**given, "updates": 6, "validate_every": 6})


@pytest.fixture
def begin(kind, subject):
    """Begin the learner with small settings; skips where it does not apply."""
    settings = small_settings(kind)

    def call(seed=0, **changed):
        try:
            return kind.begin(subject, replace(settings, **changed), seed)
        except optrl.OptrlError as error:
            pytest.skip(f"does not apply: {error}")

    return call


@pytest.mark.parametrize("name", names())
def test_every_learner_applies_somewhere(name):
    """So that no learner passes this file by skipping all of it."""
    kind = found(name)
    begun = 0
    for where in SUBJECTS:
        with suppress(optrl.OptrlError):
            kind.begin(learned_on(where), small_settings(kind), 0)
            begun += 1
    assert begun


def same(one, other):
    check_same_form(one.tensors, other.tensors, "state")
    return one.numbers == other.numbers and all(
        torch.equal(value, other.tensors[name]) for name, value in one.tensors.items()
    )


def kept(learner):
    """The state as a checkpoint keeps it."""
    state = learner.state()
    return replace(state, tensors={name: value.clone() for name, value in state.tensors.items()})


def test_settings_have_defaults_and_survive_json(kind):
    """So that a folder tells them, and the command line takes and explains each."""
    settings = kind.settings_class()
    assert isinstance(settings, LearnerSettings)
    assert settings_from(kind.settings_class, settings_as_json(settings)) == settings
    silent = [setting.name for setting in settings_of(kind.settings_class) if not setting.about]
    assert not silent, "settings without a word in the docstring"


def test_it_is_a_learner(begin, kind):
    """All members are there, and it counts what its settings say."""
    learner = begin()
    assert isinstance(learner, Learner)
    assert learner.total == 6
    assert learner.learning_rate_factor == 1
    metrics = learner.update()
    assert np.isfinite(metrics["loss"])
    assert metrics["work"] > 0
    assert all(isinstance(value, float) for value in metrics.values())


def test_a_restored_state_goes_on_the_same(begin):
    """From any update on, a fresh learner at its state does what the first one does next."""
    learner = begin()
    for _ in range(5):
        state = kept(learner)
        expected = learner.update()
        other = begin()
        check_same_form(state.tensors, other.state().tensors, "a fresh learner")
        assert state.numbers.keys() == other.state().numbers.keys()
        other.restore(state)
        assert same(kept(other), state)
        assert other.update() == expected
        assert same(kept(other), kept(learner))


def test_seeds_decide_everything(begin):
    """The same seed the same state, whatever others draw; another seed another."""
    first, second, other = begin(), begin(), begin(seed=1)
    for learner in (first, second, other):
        torch.manual_seed(id(learner) % 1000)
        learner.update()
    assert same(kept(first), kept(second))
    assert not same(kept(first), kept(other))


def test_validation_changes_nothing(begin):
    """It is the same twice, and leaves the state as it was."""
    learner = finished(begin())
    before = kept(learner)
    cost = learner.validate()
    assert np.isfinite(cost)
    assert learner.validate() == cost
    assert same(kept(learner), before)


def test_the_factor_scales_the_learning_rate(begin, tmp_path):
    """The less of it, the nearer the policy comes to one that has not learned at all."""
    ends = {}
    for factor in (1.0, 1e-6, 1e-12):
        learner = begin()
        learner.learning_rate_factor = factor
        ends[factor] = written(finished(learner), tmp_path / str(factor))
    if not ends[1.0]:
        pytest.skip("its policy is no tensors")

    def apart(factor):
        unlearned = ends[1e-12]
        return max(float((ends[factor][n] - unlearned[n]).abs().max()) for n in unlearned)

    if name_of(begin()) in DIRECT and apart(1.0) == 0:
        pytest.skip("in so few updates it found nothing better than what it began with")
    assert apart(1e-6) < 1e-3 * apart(1.0)


DIRECT = ("position_worth",)
"""Learners that stay where they are until something else costs less."""


def name_of(learner):
    return type(learner).name


def finished(learner):
    """The learner after all its updates."""
    for _ in range(learner.total):
        learner.update()
    return learner


def written(learner, folder):
    """Tensors of the policy."""
    folder.mkdir()
    learner.save_policy(folder)
    found = {}
    for path in folder.glob("*.safetensors"):
        found |= {f"{path.name}/{name}": value for name, value in load(path.read_bytes()).items()}
    return found


def test_the_policy_written_decides_as_validated(begin, kind, subject, tmp_path):
    """Loaded from its files it simulates; the same bytes are written again."""
    learner = finished(begin())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        learner.save_policy(tmp_path / name)
    written = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert written
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    policy = kind.load_policy(tmp_path / "a", subject.instance, subject.demand)
    demand = subject.demand.sample(3, subject.instance.start, 8, np.random.default_rng(0))
    run = simulate(subject.instance, policy, demand, seed=0)
    assert np.isfinite(run.total_cost).all()


def test_files_of_an_attacker_are_refused(begin, kind, subject, tmp_path):
    """Each file of the policy replaced by a pickle, by nothing, or cut off: one error each."""
    finished(begin()).save_policy(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        for other in (pickle.dumps(RuntimeError()), b"", data[: len(data) // 2]):
            path.write_bytes(other)
            with pytest.raises(optrl.OptrlError):
                kind.load_policy(tmp_path, subject.instance, subject.demand)
        path.unlink()
        with pytest.raises(optrl.OptrlError):
            kind.load_policy(tmp_path, subject.instance, subject.demand)
        path.write_bytes(data)


def test_policies_with_other_tensors_are_refused(begin, kind, subject, tmp_path):
    """Valid files whose tensors are missing or of other shapes than they say."""
    finished(begin()).save_policy(tmp_path)
    for path in sorted(tmp_path.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["optrl"])
        tensors = load(path.read_bytes())
        if not tensors:
            pytest.skip("its policy is no tensors")
        name = min(tensors)
        for changed in (
            {key: value for key, value in tensors.items() if key != name},
            tensors | {name: torch.zeros(3, 5, 7)},
            tensors | {name: tensors[name].half()},
        ):
            write_tensor_file(path, about["kind"], changed, json.loads(about["document"]))
            read_tensor_file(path, about["kind"])
            with pytest.raises(optrl.OptrlError):
                kind.load_policy(tmp_path, subject.instance, subject.demand)


NUMBERS = (
    *("later_groups_every", "systems", "slots", "paths", "periods", "validation_paths"),
    *("validation_periods", "steps", "rollout", "learning_rate"),
)


def test_numbers_that_no_training_can_have_are_refused(kind):
    """By name when settings are made, before anything is learned."""
    own = [field.name for field in fields(kind.settings_class) if field.name in NUMBERS]
    for name in own:
        with pytest.raises(TrainingError, match=name):
            kind.settings_class(**{name: 0})
