"""Trainings killed by SIGKILL at random moments and resumed end with the same policy."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from optrl.learning.metrics import TIMES, read_metrics

WALKING = {"updates": 20, "checkpoint_every": 2, "validate_every": 3, "pause": 0.005}
PATHWISE = {
    "updates": 12,
    "checkpoint_every": 2,
    "validate_every": 3,
    "restart": 4,
    "width": 8,
    "paths": 8,
    "validation_paths": 4,
}
PPO = {
    "updates": 12,
    "checkpoint_every": 2,
    "validate_every": 3,
    "environments": 4,
    "rollout": 5,
    "batch": 10,
    "epochs": 2,
    "hidden": [8],
    "validation_scenarios": 4,
}


class Trainings:
    """Trainings in processes of their own."""

    def __init__(self):
        self.server = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("walking_learner.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def run(self, learner, settings, folder, kill_after=None):
        """Train or resume; returns the status of the process and its seconds."""
        self.server.stdin.write(json.dumps([learner, settings, str(folder)]) + "\n")
        self.server.stdin.flush()
        process, begun = int(self.server.stdout.readline()), time.monotonic()
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):  # it was quicker than the one before
                os.kill(process, signal.SIGKILL)
        status = int(self.server.stdout.readline())
        return status, time.monotonic() - begun

    def end(self):
        """End the server."""
        self.server.stdin.close()
        self.server.wait(10)
        self.server.stdout.close()


@pytest.fixture(scope="module")
def trainings():
    server = Trainings()
    yield server
    server.end()


def ended(folder):
    """What must be the same: bytes of the policy, metrics without times."""
    lines = [{k: v for k, v in line.items() if k not in TIMES} for line in read_metrics(folder)]
    policy = {path.name: path.read_bytes() for path in (folder / "policy").iterdir()}
    return policy, lines


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the trainings are forked")
@pytest.mark.parametrize(
    ("learner", "settings", "kills"),
    [("walking", WALKING, 10), ("pathwise", PATHWISE, 2), ("ppo", PPO, 2)],
)
def test_killed_at_random_moments(trainings, tmp_path, learner, settings, kills):
    """Each is resumed to the bytes of the run that was not killed; most kills hit a training."""
    if learner == "ppo":
        pytest.importorskip("stable_baselines3", reason="the extra optrl[rl] is not installed")
    status, seconds = trainings.run(learner, settings, tmp_path / "whole")
    assert status == 0
    expected = ended(tmp_path / "whole")
    generator, hit = np.random.default_rng(), 0
    for number in range(kills):
        folder = tmp_path / f"killed{number}"
        moment = seconds * generator.uniform(0.02, 0.95)
        status, _ = trainings.run(learner, settings, folder, kill_after=moment)
        hit += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        status, _ = trainings.run(learner, settings, folder)
        assert status == 0, f"killed after {moment} s and not resumed"
        assert ended(folder) == expected, f"killed after {moment} s"
    assert hit >= kills // 2
