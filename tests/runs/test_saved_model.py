"""The files of a trained model take raw numbers, and are what was scored."""

import json

import numpy as np
import pytest

from lstm_baseline import FileError, load_model
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.runs.run import carry_out_run
from lstm_baseline.runs.saved_model import WEIGHTS, trained_model
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED, RunSpec
from lstm_baseline.tasks import ArrayFile
from lstm_baseline.training import TrainingSettings, predict
from lstm_baseline.usage.predict import predict as predict_file
from lstm_baseline.usage.score import describe_score

SETTINGS = TrainingSettings(num_steps=80, batch_size=16, learning_rate=1e-2, evaluate_every=40)
N, T = 120, 5


def file_of(folder, y, x_scale=1.0, x_mean=0.0, lengths=None):
    x = np.random.default_rng(0).standard_normal((N, T, 2))
    arrays = {"X": x_mean + x_scale * x, "y": y(x[:, -1, 0])}
    if lengths is not None:
        arrays["X"][np.arange(T) >= lengths[:, None]] = np.nan  # padding is never read
        arrays["lengths"] = lengths
    np.savez(folder / "d.npz", **arrays)
    return ArrayFile(folder / "d.npz")


def spec_of(task, model="lstm", seed=0, **options):
    contestant = Contestant.model_validate(model)
    return RunSpec(task, contestant, 8, SETTINGS, seed, **options)


VALUES = {
    "plain": lambda u: u,
    "Julian days": lambda u: 2_460_000 + 0.3 * u,
    "Unix seconds": lambda u: 1.7e9 + 60 * u,
    "tiny": lambda u: 1e-44 * (1 + u),
    "nearly constant": lambda u: 1 + 1e-9 * u,
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    "model",
    ["lstm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gru", "relational"))],
)
def test_the_score_is_that_of_the_file(tmp_path, name, model):
    task = file_of(tmp_path, VALUES[name])
    result = carry_out_run(spec_of(task, model), tmp_path / "run")
    assert result.status == "finished"
    found = load_model(tmp_path / "run" / "model.safetensors")
    y = np.load(tmp_path / "d.npz")["y"]
    rows = task._split(0).test
    p = found.forward(np.load(tmp_path / "d.npz")["X"][rows], False)[:, 0]
    error = np.mean((p.astype(float) - y[rows]) ** 2)
    assert error == pytest.approx(result.score, rel=0.02)
    assert result.score < y.var()
    assert found.dtype == (np.float32 if name == "plain" else np.float64)


@pytest.mark.parametrize("lengths", [None, 1 + np.arange(N) % T])
def test_a_run_of_a_race_predicts_raw_rows_and_has_labels(tmp_path, lengths):
    task = file_of(tmp_path, lambda u: np.where(u > 0, "up", "down"), 8.0, 1013.0, lengths)
    result = carry_out_run(spec_of(task), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "labels.json").read_text()) == ["down", "up"]
    found = predict_file(tmp_path / "run", tmp_path / "d.npz")
    y = np.load(tmp_path / "d.npz")["y"]
    rows = task._split(0).test
    assert np.mean(found.chosen[rows] == y[rows]) == result.score


@pytest.mark.parametrize("target", ["classification", "regression"])
def test_the_report_gets_the_model_of_standardised_inputs_back(tmp_path, target):
    labels = (lambda u: (u > 0).astype(int)) if target == "classification" else (lambda u: 5 + u)
    task = file_of(tmp_path, labels, 8.0, 1013.0)
    plain = spec_of(task)
    carry_out_run(plain, tmp_path / "run")
    model = trained_model(plain, tmp_path / "run", raw=True)
    standardised = predict(model, task, task.test(0))
    raw = load_model(tmp_path / "run" / "model.safetensors").forward(
        task.raw_inputs("test", 0), False
    )
    if target == "regression":
        mean, scale = task.target_scaling(0)
        raw = (raw - mean) / scale
    np.testing.assert_allclose(standardised, raw, atol=1e-3)


@pytest.mark.parametrize("arguments", [{"layer_norm": True}, {"bias": False}])
def test_what_cannot_take_raw_numbers_is_no_model_file(tmp_path, arguments):
    task = file_of(tmp_path, lambda u: u, 8.0, 1013.0)
    contestant = {"name": "mine", "model": "lstm", "arguments": arguments}
    spec = spec_of(task, contestant)
    assert carry_out_run(spec, tmp_path / "run").status == "finished"
    path = tmp_path / "run" / "model.safetensors"
    with pytest.raises(FileError, match="take no raw numbers"):
        predict_file(tmp_path / "run", tmp_path / "d.npz")
    with pytest.raises(FileError):
        load_model(path)
    model = trained_model(spec, tmp_path / "run", raw=True)
    outputs = predict(model, task, task.test(0))
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert task.metric.measure(outputs, task.test(0)) == result["score"]
    assert WEIGHTS in path.read_bytes()[:4000].decode(errors="ignore")


def test_a_trial_is_saved_without_a_look_at_test_rows(tmp_path, monkeypatch):
    task = file_of(tmp_path, VALUES["Julian days"])
    monkeypatch.setattr(ArrayFile, "test", lambda *_: pytest.fail("a trial saw test rows"))
    trial = spec_of(task, seed=FIRST_TRIAL_SEED, stage="trial")
    result = carry_out_run(trial, tmp_path / "run")
    assert (result.status, result.score, result.loss_drop) == ("finished", None, None)


def test_a_run_of_an_earlier_version_is_not_taken_for_one_of_raw_numbers(tmp_path):
    task = file_of(tmp_path, VALUES["plain"], 8.0, 1013.0)
    carry_out_run(spec_of(task), tmp_path / "run")
    path = tmp_path / "run" / "result.json"
    result = json.loads(path.read_text())
    del result["selected_by"]
    path.write_text(json.dumps(result))
    with pytest.raises(FileError, match="earlier version"):
        predict_file(tmp_path / "run", tmp_path / "d.npz")


@pytest.mark.parametrize("model", ["lstm", "gru", "relational"])
def test_several_labels_are_predicted_with_their_probabilities(tmp_path, model):
    task = file_of(tmp_path, lambda u: np.stack([u > 0, u < -0.5, u > u.min()], 1), 8.0, 1013.0)
    result = carry_out_run(spec_of(task, model), tmp_path / "run")
    found = predict_file(tmp_path / "run", tmp_path / "d.npz")
    y, rows = np.load(tmp_path / "d.npz")["y"], task.rows(0)["test"]
    p = found.probabilities.astype(float)
    nats = -np.log(np.where(y, p, 1 - p)[rows]).sum(axis=1).mean()
    assert nats == pytest.approx(result.score, rel=1e-3)
    head, first = list(found.lines())[:2]
    assert head == ["row", "p0", "p1", "p2"]
    assert first[1:] == [str(value) for value in found.probabilities[0]]
    found.write(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["probabilities"], found.probabilities)
    assert next(describe_score(found, None)).startswith("negative log-likelihood")


@pytest.mark.parametrize("arguments", [{}, {"embedding_size": 3}, {"layer_norm": True}])
def test_tokens_go_into_the_saved_model_as_they_are(tmp_path, arguments):
    rng = np.random.default_rng(0)
    x, lengths = rng.integers(0, 6, (N, T)), rng.integers(1, T + 1, N)
    np.savez(tmp_path / "d.npz", X=x, y=(x[:, 0] > 2).astype(str), lengths=lengths)
    task = ArrayFile(tmp_path / "d.npz")
    contestant = {"name": "mine", "model": "lstm", "arguments": arguments} if arguments else "lstm"
    result = carry_out_run(spec_of(task, contestant), tmp_path / "run")
    found = predict_file(tmp_path / "run", tmp_path / "d.npz")
    rows = task.rows(0)["test"]
    assert np.mean((found.chosen == (x[:, 0] > 2).astype(str))[rows]) == result.score
    assert result.score > result.untrained_score
