"""``lstm-baseline convert``: from every format to every other, checked, whole or not at all."""

import os
import sys
from itertools import product

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lstm_baseline import GRU, LSTM
from lstm_baseline.engine.errors import FileError, InputError, WriteError
from lstm_baseline.interop import conversion, convert
from tests.support.models import assert_same_arrays, normal, scatter

os.environ.setdefault("KERAS_BACKEND", "torch")

ENDINGS = {"lstm-baseline": "safetensors", "torch": "safetensors", "onnx": "onnx", "keras": "keras"}
FORMS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "bias": False},
]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def need(*formats):
    needed = {"onnx": ["onnx", "onnxruntime"], "keras": ["keras", "torch"], "torch": ["torch"]}
    for name in formats:
        for package in needed.get(name, []):
            pytest.importorskip(package, reason=f"opens files of {name}, and is not installed")


def make(dtype=np.float32, **form):
    return scatter(LSTM(3, 5, **form, dtype=dtype, rng=0))


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(("source", "target"), list(product(ENDINGS, repeat=2)))
def test_from_every_format_to_every_other(source, target, form, tmp_path):
    need(source, target)
    model = make(**form)
    paths = [tmp_path / f"{k}.{ENDINGS[name]}" for k, name in enumerate((source, target))]
    back = tmp_path / "back.safetensors"
    model.save(tmp_path / "own.safetensors")
    convert(tmp_path / "own.safetensors", paths[0], to=source)
    found = convert(paths[0], paths[1], to=target)
    assert found.error < 2e-6
    convert(paths[1], back)
    for name, value in LSTM.load(back).params.items():
        np.testing.assert_allclose(value, model.params[name], atol=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        {"own.safetensors", "back.safetensors", *(p.name for p in paths)}
    )


@pytest.mark.parametrize("target", ["lstm-baseline", "torch", "onnx", "keras"])
def test_float64(target, tmp_path):
    need(target)
    make(np.float64).save(tmp_path / "own.safetensors")
    found = convert(tmp_path / "own.safetensors", tmp_path / f"x.{ENDINGS[target]}", to=target)
    assert found.model.dtype == np.float64
    assert found.error < 1e-6


def test_a_larger_state_dict_by_its_prefix(tmp_path):
    model = make(num_layers=2)
    convert_from = tmp_path / "net.safetensors"
    model.save(tmp_path / "own.safetensors")
    convert(tmp_path / "own.safetensors", tmp_path / "plain.safetensors", to="torch")
    weights = load_file(tmp_path / "plain.safetensors")
    net = {f"net.rnn.{name}": value for name, value in weights.items()}
    save_file(net | {"net.fc.weight": np.ones((2, 5), np.float32)}, convert_from)
    convert(convert_from, tmp_path / "back.safetensors", prefix="net.rnn.")
    assert_same_arrays(LSTM.load(tmp_path / "back.safetensors").params, model.params)
    with pytest.raises(FileError, match=r"net.fc.weight is no weight.*--prefix names the LSTM"):
        convert(convert_from, tmp_path / "other.safetensors")
    with pytest.raises(FileError, match=r"no array whose name begins with 'other.'"):
        convert(convert_from, tmp_path / "other.safetensors", prefix="other.")
    with pytest.raises(InputError, match="--prefix is for state dicts of PyTorch"):
        convert(tmp_path / "own.safetensors", tmp_path / "other.safetensors", prefix="rnn.")


def test_without_a_framework_our_own_code_checks(tmp_path, monkeypatch):
    """None in sys.modules stands for a package that is not installed."""
    need("onnx")
    for name in ("torch", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    make().save(tmp_path / "own.safetensors")
    found = convert(tmp_path / "own.safetensors", tmp_path / "t.safetensors", to="torch")
    assert found.checked_by == "lstm-baseline, as PyTorch is not installed"
    found = convert(tmp_path / "own.safetensors", tmp_path / "o.onnx")
    assert found.checked_by == "lstm-baseline's ONNX backend"


def test_a_file_that_gives_other_outputs_is_not_kept(tmp_path, monkeypatch):
    make().save(tmp_path / "own.safetensors")
    (tmp_path / "x.safetensors").write_text("as it was")
    written = conversion.to_state_dict

    def spoiled(model, **names):
        weights = written(model, **names)
        weights["weight_hh_l0"][3, 2] += 0.1
        return weights

    monkeypatch.setattr(conversion, "to_state_dict", spoiled)
    with pytest.raises(InputError, match=r"other outputs for .*x.safetensors.*nothing is written"):
        convert(tmp_path / "own.safetensors", tmp_path / "x.safetensors", to="torch")
    assert (tmp_path / "x.safetensors").read_text() == "as it was"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["own.safetensors", "x.safetensors"]


def test_refusals(tmp_path):
    own = tmp_path / "own.safetensors"
    make(layer_norm=True).save(own)
    GRU(3, 5, rng=0).save(tmp_path / "gru.safetensors")
    for name in ("a.pt", "b.txt", "c.onnx", "d.safetensors"):
        (tmp_path / name).write_bytes(b"something else")
    cases = [
        (tmp_path / "a.pt", "x.onnx", FileError, "may be a pickle.*never opened"),
        (tmp_path / "b.txt", "x.onnx", FileError, "of no known format; known endings: .keras, .on"),
        (tmp_path / "d.safetensors", "x.onnx", FileError, "damaged or not safetensors"),
        (tmp_path / "nothing.onnx", "x.onnx", FileError, "there is no such file"),
        (tmp_path / "gru.safetensors", "x.onnx", InputError, "holds a GRU; other formats are for"),
        (own, "x.txt", InputError, "cannot write .*x.txt'; end it in one of: .safetensors"),
        (own, "no/such", InputError, "cannot write .*end it in one of"),
    ]
    for source, target, error, words in cases:
        with pytest.raises(error, match=words):
            convert(source, tmp_path / target)
        assert not (tmp_path / target).exists()
    with pytest.raises(InputError, match="the format is 'tf'; give one of: lstm-baseline, torch"):
        convert(own, tmp_path / "x.onnx", to="tf")
    with pytest.raises(InputError, match="cannot write"):
        convert(own, tmp_path / "x.onnx", to="torch")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(WriteError, match=r"cannot write .*folder.safetensors"):
        convert(own, tmp_path / "folder.safetensors")


@pytest.mark.parametrize("last_only", [False, True])
def test_keras_models_that_give_the_last_output_alone(last_only, tmp_path):
    need("keras")
    import keras

    net = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=not last_only)),
            keras.layers.Dense(2),
        ]
    )
    net.save(tmp_path / "net.keras")
    convert(tmp_path / "net.keras", tmp_path / "own.safetensors")
    x = normal(2, 6, 3, dtype=np.float32)
    expected = net.predict(x, verbose=0)
    model = LSTM.load(tmp_path / "own.safetensors")
    np.testing.assert_allclose(model.forward(x, not last_only), expected, atol=1e-6)


def test_a_damaged_keras_file(tmp_path):
    need("keras")
    (tmp_path / "x.keras").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FileError, match=r"x.keras cannot be read by Keras"):
        convert(tmp_path / "x.keras", tmp_path / "x.onnx")
