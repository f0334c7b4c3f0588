"""Predictions of a file that has targets are scored, and told apart from what was trained on."""

import json

import numpy as np
import pytest
from rich.console import Console

from lstm_baseline import LSTM
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.errors import FileError
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import (
    NEGATIVE_LOG_LIKELIHOOD,
    ArrayFile,
    Batch,
    make_task,
)
from lstm_baseline.tasks.own_task import task_code
from lstm_baseline.training import TrainingSettings
from lstm_baseline.usage.predict import predict
from lstm_baseline.usage.score import describe_score, read_split
from lstm_baseline.usage.train import train_and_save
from tests.support.labels import Echo

N, T = 60, 4
X = np.random.default_rng(0).standard_normal((N, T, 2))
LENGTHS = 1 + np.arange(N) % T


def lines(folder, every_step=None, **arrays):
    np.savez(folder / "new.npz", X=X, **arrays)
    found = predict(folder, folder / "new.npz", every_step)
    return found, list(describe_score(found, read_split(folder)))


def trained(folder, y):
    np.savez(folder / "d.npz", X=X, y=y)
    task = ArrayFile(folder / "d.npz")
    settings = TrainingSettings(num_steps=30, batch_size=16, learning_rate=1e-2)
    spec = RunSpec(task, Contestant.model_validate("lstm"), 8, settings, seed=1)
    train_and_save(spec, folder / "m", Console(quiet=True))
    return task, json.loads((folder / "m" / "run" / "result.json").read_text())["score"]


@pytest.mark.parametrize("labels", [["down", "up"], [10, 20], [False, True]])
def test_the_test_rows_of_the_file_itself_have_the_score_of_training(tmp_path, labels):
    y = np.array(labels)[(X[:, -1, 0] > 0).astype(int)]
    task, score = trained(tmp_path, y)
    found = predict(tmp_path / "m", tmp_path / "d.npz")
    split = read_split(tmp_path / "m")
    assert {*split.train, *split.validation, *split.test} == set(range(N))
    np.testing.assert_array_equal(split.test, np.sort(task._split(1).test))
    everything, alone = describe_score(found, split)
    share = np.mean(found.chosen == y)
    assert everything == f"accuracy {share:.3f} over 60 rows"
    assert alone.endswith(
        f"has seen 51 of these rows; on the 9 test rows alone: accuracy {score:.3f}"
    )
    _, (_, other) = lines(tmp_path / "m", y=y, notes=np.zeros(1))
    assert "not the file that the model was trained on" in other


def test_values_are_scored_in_their_own_units(tmp_path):
    y = 1.7e9 + 60 * X[:, -1, 0]
    _, score = trained(tmp_path, y)
    found = predict(tmp_path / "m", tmp_path / "d.npz")
    everything, alone = describe_score(found, read_split(tmp_path / "m"))
    error = np.mean((found.outputs[:, 0] - y) ** 2)
    assert float(everything.split()[3].replace(",", "")) == pytest.approx(error, rel=0.01)
    assert float(alone.split()[-1].replace(",", "")) == pytest.approx(score, rel=0.01)


def spec_of(task, settings):
    """Return the run of an LSTM on a task of the user's own, as `train` makes it."""
    lstm = Contestant.model_validate("lstm")
    return RunSpec(task, lstm, 8, settings, seed=1, task_code=task_code(task))


def echo_file(folder, task, rows=40):
    """Write samples of a task as a file that has y."""
    x, y, *_ = task.sample(rows, np.random.default_rng(3))
    np.savez(folder / "new.npz", X=x, y=y)
    return x, y


def test_labels_are_scored_by_what_was_trained(tmp_path):
    task = Echo(length=4, num_bits=2)
    settings = TrainingSettings(num_steps=60, batch_size=16, learning_rate=2e-2)
    spec = spec_of(task, settings)
    train_and_save(spec, tmp_path / "m", Console(quiet=True))
    x, y = echo_file(tmp_path, task)
    found = predict(tmp_path / "m", tmp_path / "new.npz")
    expected = NEGATIVE_LOG_LIKELIHOOD.measure(found.outputs, Batch(x, y))
    (line,) = describe_score(found, None)
    assert line == f"negative log-likelihood {expected:.3f} over 40 rows"
    assert expected < 2 * np.log(2)

    np.savez(tmp_path / "new.npz", X=x, y=y + 0.5)
    (line,) = describe_score(predict(tmp_path / "m", tmp_path / "new.npz"), None)
    assert line == "not scored: y holds other numbers than labels 0 and 1"
    # Of rows that end earlier, only steps before their end are looked at.
    lengths = np.full(40, 2)
    np.savez(
        tmp_path / "new.npz", X=x, y=np.where(np.arange(4)[:, None] < 2, y, 7), lengths=lengths
    )
    found = predict(tmp_path / "m", tmp_path / "new.npz")
    expected = NEGATIVE_LOG_LIKELIHOOD.measure(found.outputs, Batch(x, y, lengths))
    (line,) = describe_score(found, None)
    assert line == f"negative log-likelihood {expected:.3f} over 40 rows"


def test_outputs_of_a_task_that_is_not_known_are_not_scored(tmp_path):
    task = Echo(length=4, num_bits=2)
    settings = TrainingSettings(num_steps=1)
    spec = spec_of(task, settings)
    train_and_save(spec, tmp_path / "m", Console(quiet=True))
    (run,) = (tmp_path / "m").rglob("run.json")
    run.write_text(run.read_text().replace("tests.support.labels:Echo", "no_such_module:Echo"))
    echo_file(tmp_path, task)
    found = predict(tmp_path / "m", tmp_path / "new.npz")
    assert list(describe_score(found, None)) == [
        "not scored: the model was trained on a task that is not known here"
    ]


def test_logits_of_classes_are_no_values(tmp_path):
    task = make_task("pair-matching", num_pairs=2, num_symbols=6)
    settings = TrainingSettings(num_steps=1)
    spec = RunSpec(task, Contestant.model_validate("lstm"), 8, settings, seed=1)
    train_and_save(spec, tmp_path / "m", Console(quiet=True))
    x, y, *_ = task.sample(40, np.random.default_rng(3))
    np.savez(tmp_path / "new.npz", X=x, y=np.eye(task.output_size)[y])
    found = predict(tmp_path / "m", tmp_path / "new.npz")
    assert list(describe_score(found, None)) == [
        "not scored: the outputs are logits of classes that have no labels"
    ]


def test_values_of_a_generated_task_are_scored(tmp_path):
    task = make_task("adding", length=4)
    settings = TrainingSettings(num_steps=1)
    spec = RunSpec(task, Contestant.model_validate("lstm"), 8, settings, seed=1)
    train_and_save(spec, tmp_path / "m", Console(quiet=True))
    x, y, *_ = task.sample(40, np.random.default_rng(3))
    np.savez(tmp_path / "new.npz", X=x, y=y)
    found = predict(tmp_path / "m", tmp_path / "new.npz")
    error = np.mean((found.outputs - y) ** 2)
    assert list(describe_score(found, None)) == [f"mean squared error {error:.3f} over 40 rows"]


@pytest.mark.parametrize("every_step", [False, True])
def test_targets_of_every_form(tmp_path, every_step):
    LSTM(2, 5, 3, dtype=np.float64, rng=0).save(tmp_path / "model.safetensors")
    found, none = lines(tmp_path, every_step, lengths=LENGTHS)
    assert none == []
    valid = np.arange(T) < LENGTHS[:, None] if every_step else np.ones(N, bool)
    y = np.random.default_rng(1).standard_normal(found.outputs.shape)
    error = np.mean(((found.outputs - y) ** 2).mean(axis=-1)[valid])
    assert lines(tmp_path, every_step, lengths=LENGTHS, y=y)[1] == [
        f"mean squared error {error:.3f} over 60 rows"
    ]
    (tmp_path / "labels.json").write_text(json.dumps([5, 6, 7]))
    classes = np.random.default_rng(1).integers(5, 9, size=found.outputs.shape[:-1])  # 8: unknown
    hit = np.mean((found.outputs.argmax(-1) + 5 == classes)[valid])
    for labels in (classes, classes.astype(float), classes.astype(str), classes.astype("S")):
        for given in (labels, labels[..., None]):
            assert lines(tmp_path, every_step, lengths=LENGTHS, y=given)[1] == [
                f"accuracy {hit:.3f} over 60 rows"
            ]


def test_what_cannot_be_scored_is_said(tmp_path):
    LSTM(2, 5, 3, rng=0).save(tmp_path / "model.safetensors")
    for y, words in (
        (np.zeros((N, 7)), r"not scored: y has shape (60, 7), and the outputs (60, 3)"),
        (np.full(N, "a"), "not scored: y is <U1, and the model predicts numbers"),
    ):
        assert lines(tmp_path, y=y)[1] == [words]
    assert lines(tmp_path, y=np.array([{}] * N, object))[1] == []  # never unpickled
    (tmp_path / "labels.json").write_text('["a", "b", "c"]')
    assert lines(tmp_path, y=np.zeros((N, 2)))[1] == [
        "not scored: y has shape (60, 2), and there are labels of shape (60,)"
    ]
    (tmp_path / "split.json").write_text('{"sha256": "", "train": [1]}')
    with pytest.raises(FileError, match=r"split\.json is damaged"):
        read_split(tmp_path)
