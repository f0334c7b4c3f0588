"""``lstm-baseline predict``: a saved model over the user's data."""

import csv
import io
import json

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.usage.predict import predict
from tests.support.engines import run_python
from tests.support.models import normal, scatter

N, T, I, O = 150, 6, 3, 4
LENGTHS = np.arange(N) % (T + 1)


@pytest.fixture
def folder(tmp_path):
    scatter(LSTM(I, 5, O, dtype=np.float64, rng=0)).save(tmp_path / "model.safetensors")
    np.save(tmp_path / "x.npy", normal(N, T, I))
    np.savez(tmp_path / "x.npz", X=normal(N, T, I), lengths=LENGTHS)
    return tmp_path


def table(prediction):
    return list(csv.reader(io.StringIO(prediction.csv())))


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_outputs_are_those_of_the_model(folder, name, every_step):
    lengths = LENGTHS if name == "x.npz" else None
    expected = LSTM.load(folder / "model.safetensors").forward(
        normal(N, T, I), every_step, lengths=lengths
    )
    for path in (folder, folder / "model.safetensors"):
        found = predict(path, folder / name, every_step)
        np.testing.assert_allclose(found.outputs, expected, atol=1e-12)
    head, *lines = table(found)
    assert head == ["row", *(["step"] if every_step else []), "y0", "y1", "y2", "y3"]
    num_steps = N * T if lengths is None else LENGTHS.sum()
    assert len(lines) == (num_steps if every_step else N)
    row = int(lines[-1][0])
    value = expected[row, int(lines[-1][1])] if every_step else expected[row]
    np.testing.assert_allclose([float(y) for y in lines[-1][-O:]], value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("every_step", [False, True])
def test_classes_have_labels_and_probabilities(folder, every_step):
    labels = ["a", "b, or so", 3, True]
    (folder / "labels.json").write_text(json.dumps(labels))
    found = predict(folder, folder / "x.npz", every_step)
    np.testing.assert_allclose(found.probabilities.sum(axis=-1), 1, atol=1e-12)
    head, *lines = table(found)
    assert head[-2:] == ["label", "probability"]
    assert {line[-2] for line in lines} <= {"a", "b, or so", "3", "true"}
    index = (1, 0) if every_step else 0  # row 0 has no steps
    best = found.outputs[index].argmax()
    assert lines[0][-2] == ["a", "b, or so", "3", "true"][best]
    assert float(lines[0][-1]) == pytest.approx(found.probabilities[index][best], abs=1e-4)
    found.write(folder / "out.npz")
    with np.load(folder / "out.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["y"], found.outputs)
        np.testing.assert_array_equal(arrays["labels"], found.chosen)
    if every_step:
        assert (found.chosen[0] == "").all()
        assert (found.chosen[1, 1:] == "").all()
    found.write(folder / "out.csv")
    assert (folder / "out.csv").read_text() == found.csv()


@pytest.mark.parametrize(
    ("labels", "kind", "text"),
    [
        ([10, -2, 3, 2**40], "i", ["10", "-2", "3", str(2**40)]),
        ([0.5, 1.0, 2.0, 3.0], "f", ["0.5", "1.0", "2.0", "3.0"]),
        (["a", "b", "c", "1"], "U", ["a", "b", "c", "1"]),
        (["a", "b", "c", None], "U", ["a", "b", "c", "null"]),
    ],
)
def test_labels_keep_their_type(folder, labels, kind, text):
    (folder / "labels.json").write_text(json.dumps(labels))
    found = predict(folder, folder / "x.npz", True)
    found.write(folder / "out.npz")
    with np.load(folder / "out.npz", allow_pickle=False) as arrays:
        chosen = arrays["labels"]
    assert chosen.dtype.kind == kind
    nothing = np.zeros((), chosen.dtype)
    assert (chosen[0] == nothing).all()  # row 0 has no steps
    best = found.outputs.argmax(axis=-1)
    wanted = np.array(labels if kind != "U" else text)
    np.testing.assert_array_equal(chosen[-1, 0], wanted[best[-1, 0]])
    assert table(found)[-1][-2] in text


def test_large_values_with_a_small_spread_are_told_apart(folder):
    model = LSTM(I, 5, 1, dtype=np.float64, rng=0)
    model.give_raw_outputs(np.array([1.7e9]), np.array([1e-3]))
    model.save(folder / "model.safetensors")
    found = predict(folder, folder / "x.npy", False)
    assert len(set(found.outputs.ravel())) > 0.9 * N
    assert [float(line[1]) for line in table(found)[1:]] == found.outputs.ravel().tolist()


def test_every_step_is_the_default_where_training_was_on_every_step(folder):
    (folder / "run").mkdir()
    for per_step in (True, False):
        (folder / "run" / "run.json").write_text(json.dumps({"per_step": per_step}))
        assert predict(folder, folder / "x.npy").every_step == per_step


def test_models_of_every_kind(folder):
    for model in (
        GRU(I, 5, 2, rng=0),
        LSTM(I, 5, 2, num_layers=2, bidirectional=True, merge="sum", rng=0),
        LSTM(I, 5, projection_size=3, layer_norm=True, zoneout=0.1, rng=0),
    ):
        model.save(folder / "other.safetensors")
        found = predict(folder / "other.safetensors", folder / "x.npz")
        expected = model.forward(normal(N, T, I), False, lengths=LENGTHS)
        np.testing.assert_allclose(found.outputs, expected, atol=1e-6)


def test_no_framework_is_imported(folder):
    script = f"""
import sys
for name in ("torch", "jax", "keras", "flax", "onnx", "onnxruntime", "tensorflow"):
    sys.modules[name] = None
sys.argv = ["lstm-baseline", "predict", {str(folder)!r}, "--data", {str(folder / "x.npy")!r}]
from lstm_baseline.cli import main
main()
"""
    assert len(run_python(script).splitlines()) == N + 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"X": np.zeros((3, 4))}, r"X has shape \(3, 4\); expected \(N, T, I\)"),
        ({"X": np.zeros((3, 4, 2))}, r"x has 2 features; this LSTM takes 3 \(input_size\)"),
        ({"x": np.zeros((3, 4, 3))}, r"has no array X \(found: x\)"),
        ({"X": np.full((3, 4, 3), np.nan)}, r"X\[0, 0, 0\] is nan; expected finite numbers"),
        ({"X": np.zeros((3, 4, 3)), "lengths": [9, 1, 1]}, r"lengths\[0\] is 9; expected 0 to 4"),
        ({"X": np.full((3, 4), 3)}, r"tokens"),
        ({"X": np.zeros((3, 4, 3), complex)}, "X is complex128; expected real numbers"),
    ],
    ids=str,
)
def test_data_that_does_not_fit(folder, content, words):
    np.savez(folder / "bad.npz", **content)
    with pytest.raises((FileError, InputError), match=words):
        predict(folder, folder / "bad.npz")


def test_other_files(folder):
    (folder / "x.txt").write_text("1 2 3")
    (folder / "half.npy").write_bytes((folder / "x.npy").read_bytes()[:100])
    np.save(folder / "objects.npy", np.array([{}, 1]), allow_pickle=True)
    for name, words in (
        ("x.txt", "is not an .npz file"),
        ("half.npy", "is damaged; save X"),
        ("objects.npy", "holds Python objects; save X"),
        ("nothing.npy", "there is no such file"),
    ):
        with pytest.raises(FileError, match=words):
            predict(folder, folder / name)
    for name in ("m.onnx", "m.keras"):
        with pytest.raises(FileError, match=f"convert it first: lstm-baseline convert .*{name}"):
            predict(folder / name, folder / "x.npy")
    with pytest.raises(InputError, match=r"end it in .csv or .npz"):
        predict(folder, folder / "x.npy").write(folder / "y.txt")
    (folder / "labels.json").write_text('["one"]')
    with pytest.raises(FileError, match="is not a list of 4 labels"):
        predict(folder, folder / "x.npy")
