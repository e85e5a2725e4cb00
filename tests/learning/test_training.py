"""The loop of trainings: resuming, divergence, metrics, refusals, full disks."""

import json
from dataclasses import replace

import pytest
import torch

import optrl
from optrl.demand.fit import fit
from optrl.learning.base import Subject
from optrl.learning.folder import held, read_job
from optrl.learning.loop import ROLLBACKS, DivergedError
from optrl.learning.metrics import TIMES, read_metrics
from optrl.learning.training import train


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def subject(walking):
    return walking.subject()


@pytest.fixture
def run(walking, subject):
    """Train the small learner; returns what it came to and the messages it told."""

    def call(folder, *, kill_at=None, resume=False, seed=0, sinks=(), time_limit=None, **settings):
        messages = []

        def told(progress):
            messages.extend([progress.message] * bool(progress.message))
            if progress.update == kill_at:
                raise KilledError

        done = train(
            subject,
            walking.WalkingLearner,
            folder,
            settings=walking.WalkingSettings(**settings),
            seed=seed,
            resume=resume,
            told=told,
            sinks=sinks,
            time_limit=time_limit,
        )
        return done, messages

    return call


def policy_bytes(folder):
    return (folder / "policy" / "policy.safetensors").read_bytes()


def without_times(folder):
    return [
        {name: value for name, value in line.items() if name not in TIMES}
        for line in read_metrics(folder)
    ]


@pytest.mark.parametrize("kill_at", [1, 4, 5, 19, 20, 23, 59])
@pytest.mark.parametrize("diverges", [{}, {"breaks_at": 18, "breaks_above": 0.004}])
def test_killed_and_resumed_is_as_if_never_killed(run, tmp_path, kill_at, diverges):
    """Same policy to the byte, same metrics but for times, also across a divergence."""
    whole, _ = run(tmp_path / "a", **diverges)
    with pytest.raises(KilledError):
        run(tmp_path / "b", kill_at=kill_at, **diverges)
    resumed, _ = run(tmp_path / "b", resume=True, **diverges)
    assert policy_bytes(tmp_path / "a") == policy_bytes(tmp_path / "b")
    assert without_times(tmp_path / "a") == without_times(tmp_path / "b")
    assert whole.validation_cost == resumed.validation_cost
    assert whole.rollbacks == resumed.rollbacks == (2 if diverges else 0)


def test_seeds_differ_and_a_finished_training_stays(run, tmp_path):
    """Another seed is another policy; resuming what is finished changes nothing."""
    run(tmp_path / "a")
    run(tmp_path / "b", seed=1)
    before = policy_bytes(tmp_path / "a")
    assert before != policy_bytes(tmp_path / "b")
    again, _ = run(tmp_path / "a", resume=True)
    assert again.finished
    assert policy_bytes(tmp_path / "a") == before
    assert len(read_metrics(tmp_path / "a")) == 60


def test_the_policy_validated_best_is_kept(run, walking, subject, tmp_path):
    """Its validated cost is the lowest of the metrics, and it is what the folder holds."""
    done, _ = run(tmp_path, learning_rate=0.3)
    costs = [x["validation_cost"] for x in read_metrics(tmp_path) if "validation_cost" in x]
    assert done.validation_cost == min(costs) < costs[-1]
    learner = walking.WalkingLearner(walking.WalkingSettings(), 0)
    learner.model.load_state_dict(done.policy.weights)
    assert learner.validate() == done.validation_cost


@pytest.mark.parametrize(
    ("by", "at", "noticed"),
    [
        ("nan", 18, "loss is nan"),
        ("explosion", 17, "times what it was"),
        ("parameter", 20, "a parameter is no number"),
    ],
)
def test_divergence_is_rolled_back_and_told(run, tmp_path, by, at, noticed):
    """Back to the last checkpoint, on at half the rate, and on to the end."""
    breaks = {"breaks_at": at, "breaks_above": 0.006, "breaks_by": by}
    done, messages = run(tmp_path, **breaks)
    assert done.finished
    assert done.rollbacks == 1
    (event,) = (line for line in read_metrics(tmp_path) if "event" in line)
    assert event["update"] == 15
    assert event["learning_rate_factor"] == 0.5
    assert noticed in event["reason"]
    assert any("15" in message and "0.5" in message for message in messages)


def test_one_odd_batch_is_no_divergence(run, tmp_path):
    """A single loss far off the others is passed over."""
    done, _ = run(tmp_path, breaks_at=23, breaks_by="one odd batch")
    assert done.rollbacks == 0
    assert max(line["loss"] for line in read_metrics(tmp_path)) == 1e6


def test_hopeless_divergence_is_given_up(run, tmp_path):
    """After some rollbacks an error says what stands; the policy before it can be loaded."""
    with pytest.raises(DivergedError, match="lower learning rate"):
        run(tmp_path, breaks_at=23)
    assert sum("event" in line for line in read_metrics(tmp_path)) == ROLLBACKS
    assert policy_bytes(tmp_path)


def test_the_newest_checkpoint_damaged_falls_back(run, tmp_path):
    """The one before is used, which is said, and the end is the same."""
    run(tmp_path / "a")
    for name, damage in (("cut", lambda d: d[: len(d) // 2]), ("nil", lambda d: bytes(len(d)))):
        folder = tmp_path / name
        with pytest.raises(KilledError):
            run(folder, kill_at=33)
        older, newest = sorted(folder.glob("checkpoint-*"))
        assert (older.stem, newest.stem) == ("checkpoint-00000025", "checkpoint-00000030")
        newest.write_bytes(damage(newest.read_bytes()))
        _, messages = run(folder, resume=True)
        assert "passed over" in messages[0]
        assert newest.name in messages[0]
        assert "25" in messages[1]
        assert policy_bytes(folder) == policy_bytes(tmp_path / "a")
        assert without_times(folder) == without_times(tmp_path / "a")


def test_without_a_usable_checkpoint_nothing_is_overwritten(run, tmp_path):
    """One error that names them."""
    with pytest.raises(KilledError):
        run(tmp_path, kill_at=33)
    for path in tmp_path.glob("checkpoint-*"):
        path.write_bytes(b"")
    with pytest.raises(optrl.OptrlError, match="no checkpoint of"):
        run(tmp_path, resume=True)


def test_a_folder_is_not_overwritten_nor_resumed_as_another(run, walking, subject, tmp_path):
    """Refused without resume, and with other settings, seed or instance, naming what differs."""
    run(tmp_path, updates=5)
    with pytest.raises(optrl.OptrlError, match="already"):
        run(tmp_path, updates=5)
    with pytest.raises(optrl.OptrlError, match="other seed, updates:"):
        run(tmp_path, updates=6, seed=1, resume=True)
    instance = replace(subject.instance, on_hand=subject.instance.on_hand + 1)
    with pytest.raises(optrl.OptrlError, match="other instance or demand"):
        train(
            Subject(instance, fit(instance)),
            walking.WalkingLearner,
            tmp_path,
            settings=walking.WalkingSettings(updates=5),
            resume=True,
        )


def test_two_processes_do_not_share_a_folder(run, tmp_path):
    """The second is refused while the first holds the folder."""
    with held(tmp_path), pytest.raises(optrl.OptrlError, match="another process"):
        run(tmp_path)
    run(tmp_path)


def test_a_time_limit_stops_at_a_checkpoint(run, tmp_path):
    """What is left is done on resume, with the same end."""
    run(tmp_path / "a")
    first, _ = run(tmp_path / "b", time_limit=0.0)
    assert not first.finished
    assert first.updates == 5
    assert first.policy is not None
    second, _ = run(tmp_path / "b", resume=True)
    assert second.finished
    assert policy_bytes(tmp_path / "a") == policy_bytes(tmp_path / "b")


def test_stopped_before_the_first_validation_there_is_no_policy(run, subject, tmp_path):
    """Which the result says, and whoever asks the folder for it."""
    first, _ = run(tmp_path, time_limit=0.0, validate_every=20)
    assert first.policy is None
    assert first.validation_cost == float("inf")
    second, _ = run(tmp_path, validate_every=20, resume=True)
    assert second.policy is not None


def test_goodput_counts_what_was_lost(run, tmp_path):
    """Updates done twice count once: their time is in the total alone."""
    whole, _ = run(tmp_path / "a", updates=20, checkpoint_every=10, pause=0.01)
    with pytest.raises(KilledError):
        run(tmp_path / "b", kill_at=19, updates=20, checkpoint_every=10, pause=0.01)
    resumed, _ = run(tmp_path / "b", resume=True, updates=20, checkpoint_every=10, pause=0.01)
    seconds = [read_metrics(tmp_path / name)[-1]["seconds"] for name in "ab"]
    assert seconds[1] > seconds[0] + 0.08
    assert resumed.goodput * seconds[1] == pytest.approx(whole.goodput * seconds[0], rel=0.5)
    assert 0.2 / seconds[1] < resumed.goodput < 1 - 0.08 / seconds[1]


def test_a_full_disk_leaves_the_last_checkpoint(run, tmp_path, monkeypatch):
    """The error says so, and training goes on from there when there is room."""
    import errno
    from pathlib import Path

    run(tmp_path / "a")
    write = Path.write_bytes

    def full(self, data):
        if "00000020" in self.name:
            write(self, data[:100])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(optrl.OptrlError, match="No space left"):
            run(tmp_path / "b")
    names = sorted(path.name for path in (tmp_path / "b").glob("*checkpoint-*"))
    assert names == ["checkpoint-00000010.safetensors", "checkpoint-00000015.safetensors"]
    run(tmp_path / "b", resume=True)
    assert policy_bytes(tmp_path / "a") == policy_bytes(tmp_path / "b")


def test_metrics_that_outgrow_the_disk_are_told(run, tmp_path):
    """The system's own limit on the size of a file: the error says so, and training goes on after.

    Half a line that was written is dropped.
    """
    resource = pytest.importorskip("resource")
    run(tmp_path / "a", updates=120)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in (tmp_path / "a").glob("checkpoint-*"))
    limit = largest + 1000
    assert (tmp_path / "a" / "metrics.jsonl").stat().st_size > limit
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(optrl.OptrlError, match="metrics cannot be written"):
            run(tmp_path / "b", updates=120)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "b" / "metrics.jsonl").stat().st_size == limit
    run(tmp_path / "b", updates=120, resume=True)
    assert policy_bytes(tmp_path / "a") == policy_bytes(tmp_path / "b")
    assert without_times(tmp_path / "a") == without_times(tmp_path / "b")


def test_a_sink_that_fails_does_not_end_a_training(run, tmp_path):
    """It is left out from then on, which is said; others go on."""

    class Sink:
        def __init__(self, fails_at):
            self.fails_at, self.taken, self.begun, self.closed = fails_at, [], [], 0

        def begin(self, update):
            self.begun.append(update)

        def take(self, line):
            if line["update"] == self.fails_at:
                raise ConnectionError("nobody there")
            self.taken.append(line["update"])

        def close(self):
            self.closed += 1

    good, bad = Sink(None), Sink(3)
    _, messages = run(tmp_path, updates=10, sinks=(bad, good))
    assert bad.taken == [1, 2]
    assert good.taken == list(range(1, 11))
    assert good.begun == [0]
    assert good.closed == 1
    assert any("nobody there" in message for message in messages)


def test_a_changed_version_is_told(run, tmp_path):
    """Results may differ in their last digits: the training goes on and says so."""
    with pytest.raises(KilledError):
        run(tmp_path, kill_at=7)
    path = tmp_path / "training.json"
    known = json.loads(path.read_text())
    known["versions"]["torch"] = "1.0"
    path.write_text(json.dumps(known))
    _, messages = run(tmp_path, resume=True)
    assert any(torch.__version__ in message and "1.0" in message for message in messages)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "damaged"),
        ("[]", "no description"),
        ('{"kind": "optrl training", "learner": 3}', "no description"),
        ("[" * 10_000, "damaged"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "too large"),
    ],
)
def test_a_description_of_an_attacker_is_refused(tmp_path, text, said):
    """One clear error, whatever it holds."""
    (tmp_path / "training.json").write_text(text)
    with pytest.raises(optrl.OptrlError, match=said):
        read_job(tmp_path)


def test_a_folder_without_what_it_says_is_refused(run, subject, tmp_path):
    """A learner that is none, and a policy that is missing or a pickle."""
    run(tmp_path, updates=5)
    with pytest.raises(optrl.OptrlError, match="of learner 'walking'"):
        optrl.load_policy(tmp_path, subject.instance, subject.demand)
    path = tmp_path / "training.json"
    for learner in ("os.system", "../ppo"):
        path.write_text(path.read_text().replace('"walking"', json.dumps(learner)))
        with pytest.raises(optrl.OptrlError, match="of learner"):
            optrl.load_policy(tmp_path, subject.instance, subject.demand)
        path.write_text(path.read_text().replace(json.dumps(learner), '"walking"'))
    with pytest.raises(optrl.OptrlError, match="holds no training"):
        optrl.load_policy(tmp_path / "nothing", subject.instance, subject.demand)


@pytest.mark.parametrize(
    "change",
    [
        {"rollbacks": -5},
        {"rollbacks": 10**9},
        {"metrics_size": -1},
        {"useful": "much"},
        {"losses": [None]},
        {"elapsed": -1.0},
    ],
)
def test_a_checkpoint_of_an_attacker_is_refused(run, tmp_path, change):
    """Counters out of range are refused before anything is done with them."""
    from optrl.learning.checkpoint import KIND
    from optrl.networks.tensor_file import read_tensor_file, write_tensor_file

    with pytest.raises(KilledError):
        run(tmp_path, kill_at=6)
    path = tmp_path / "checkpoint-00000005.safetensors"
    tensors, document = read_tensor_file(path, KIND)
    document["loop"] |= change
    write_tensor_file(path, KIND, tensors, document)
    with pytest.raises(optrl.OptrlError, match="not one of this training"):
        run(tmp_path, resume=True)


def test_a_checkpoint_of_another_form_is_passed_over(run, tmp_path):
    """Other names, shapes or numbers than the learner's are those of something else."""
    from optrl.learning.checkpoint import KIND
    from optrl.networks.tensor_file import read_tensor_file, write_tensor_file

    with pytest.raises(KilledError):
        run(tmp_path / "a", kill_at=6)
    path = tmp_path / "a" / "checkpoint-00000005.safetensors"
    tensors, document = read_tensor_file(path, KIND)
    for changed, numbers in (
        (tensors | {"carried": torch.zeros(5)}, document["numbers"]),
        (tensors | {"more": torch.zeros(1)}, document["numbers"]),
        (tensors | {"carried": torch.full((4,), torch.nan)}, document["numbers"]),
        (tensors, document["numbers"] | {"more": 1}),
    ):
        write_tensor_file(path, KIND, changed, document | {"numbers": numbers})
        # It goes on from the checkpoint of update 0, and so comes by update 1.
        with pytest.raises(KilledError):
            run(tmp_path / "a", kill_at=1, resume=True)


def test_settings_of_another_learner_are_refused(walking, subject, tmp_path):
    """They would be taken for something else."""
    from optrl.learning.base import LearnerSettings

    with pytest.raises(optrl.OptrlError, match="WalkingSettings"):
        train(subject, walking.WalkingLearner, tmp_path, settings=LearnerSettings())
