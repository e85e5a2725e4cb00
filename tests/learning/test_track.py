"""TensorBoard and MLflow take the metrics of a training, each update once."""

import pytest

import optrl
from optrl.learning.track import sink_named
from optrl.learning.training import train


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture
def trained(walking, tmp_path):
    """Train with a sink: killed at update 8, resumed from that of 5, rolled back once."""

    def call(name):
        settings = walking.WalkingSettings(updates=20, breaks_at=13, breaks_above=0.006)
        folder = tmp_path / "training"

        def told(progress):
            if progress.update == 8:
                raise KilledError

        def run(resume, told):
            train(
                walking.subject(),
                walking.WalkingLearner,
                folder,
                settings=settings,
                resume=resume,
                told=told,
                sinks=[sink_named(name, folder, {"seed": 0})],
            )

        with pytest.raises(KilledError):
            run(False, told)
        run(True, lambda _: None)
        return folder

    return call


def test_tensorboard_shows_each_update_once(trained):
    """Updates that were done again replace what was shown of them before."""
    pytest.importorskip("tensorboard", reason="the extra optrl[track] is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(trained("tensorboard") / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 21))
    assert {"validation_cost", "goodput", "throughput"} <= set(events.Tags()["scalars"])


def test_mlflow_goes_on_with_one_run(trained, tmp_path, monkeypatch):
    """Updates done again after a kill are not sent again; those after a rollback are others."""
    pytest.importorskip("mlflow", reason="the extra optrl[track] is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlflow").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    folder = trained("mlflow")
    client = MlflowClient((tmp_path / "mlflow").as_uri())
    (experiment,) = (e for e in client.search_experiments() if e.name == "optrl")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == (folder / "mlflow-run.txt").read_text()
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "0"}
    steps = [entry.step for entry in client.get_metric_history(run.info.run_id, "loss")]
    assert steps == [*range(1, 13), *range(11, 21)]
    assert run.data.tags["rolled back to 10"] == "loss is nan"


def test_mlflow_needs_to_be_told_where(tmp_path, monkeypatch):
    """Nothing is written to a place nobody chose."""
    pytest.importorskip("mlflow", reason="the extra optrl[track] is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(optrl.OptrlError, match="MLFLOW_TRACKING_URI"):
        sink_named("mlflow", tmp_path, {})


def test_an_unknown_sink_is_told(tmp_path):
    """With those there are."""
    with pytest.raises(optrl.OptrlError, match="tensorboard or mlflow"):
        sink_named("paper", tmp_path, {})
