"""``lstm-baseline convert``: from every format to every other, checked, whole or not at all."""

import os
import sys
import zipfile
from itertools import product

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lstm_baseline import GRU, LSTM
from lstm_baseline.engine.errors import FileError, InputError, WriteError
from lstm_baseline.interop import conversion, convert, from_state_dict
from lstm_baseline.interop.state_dict_file import StateDictFile
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
    for prefix, message in (
        ("", "net.fc.weight is no weight of an LSTM of PyTorch; "),
        ("other.", "no name begins with 'other.'; "),
        ("net.rnn", "net.rnn.bias_hh_l0 is no weight of an LSTM of PyTorch; "),
    ):
        with pytest.raises(FileError, match=f"{message}LSTMs are there with prefix 'net.rnn.'"):
            convert(convert_from, tmp_path / "other.safetensors", prefix=prefix)
    for names in ({"prefix": "rnn."}, {"head": "fc"}):
        with pytest.raises(InputError, match="prefix and head are for state dicts of PyTorch"):
            convert(tmp_path / "own.safetensors", tmp_path / "other.safetensors", **names)


def torch_net(**options):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(9, 3)
            self.lstm = torch.nn.LSTM(3, 5, batch_first=True, **options)
            self.fc = torch.nn.Linear(5 * (1 + self.lstm.bidirectional), 2)

        def forward(self, x):
            return self.fc(self.lstm(x)[0])

    return Net()


def test_what_is_left_out_is_named(tmp_path):
    net = torch_net()
    weights = {f"module.{name}": value.numpy() for name, value in net.state_dict().items()}
    save_file(weights, tmp_path / "net.safetensors")
    found = convert(tmp_path / "net.safetensors", tmp_path / "x.onnx", prefix="module.lstm.")
    assert found.notes == [
        "left out: 'module.embed.weight', 'module.fc.bias', 'module.fc.weight'; "
        "--head module.fc takes a linear layer along"
    ]
    names = {"prefix": "module.lstm.", "head": "module.fc"}
    found = convert(tmp_path / "net.safetensors", tmp_path / "own.safetensors", **names)
    assert found.notes == ["left out: 'module.embed.weight'"]
    assert LSTM.load(tmp_path / "own.safetensors").output_size == 2
    save_file(weights | {f"a{k}": np.ones(1) for k in range(9)}, tmp_path / "net.safetensors")
    found = convert(tmp_path / "net.safetensors", tmp_path / "own.safetensors", **names)
    assert found.notes[0].endswith("'a7' and 2 more")


def test_rates_of_dropout_that_a_format_lacks_are_named(tmp_path):
    need("torch")
    make(num_layers=2, dropout=0.25, recurrent_dropout=0.5).save(tmp_path / "own.safetensors")
    found = convert(tmp_path / "own.safetensors", tmp_path / "t.safetensors", to="torch")
    assert found.notes == [
        "left out, as it acts in training alone: dropout 0.25, recurrent_dropout 0.5"
    ]
    assert not convert(tmp_path / "own.safetensors", tmp_path / "again.safetensors").notes


@pytest.mark.parametrize("form", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_a_model_with_a_readout_goes_to_a_module_of_pytorch(form, tmp_path):
    net = torch_net(**form)
    import torch
    from safetensors.torch import load_file as load_tensors

    model = scatter(LSTM(3, 5, 2, **form, rng=0))
    model.take_raw_inputs(np.array([1.0, -2.0, 3.0]), np.array([2.0, 0.5, 4.0]))
    model.save(tmp_path / "own.safetensors")
    target = tmp_path / "out.safetensors"
    with pytest.raises(InputError, match=r"has a readout, which nn.LSTM has not.*--head fc"):
        convert(tmp_path / "own.safetensors", target, to="torch", prefix="lstm.")
    assert not target.exists()
    found = convert(tmp_path / "own.safetensors", target, to="torch", prefix="lstm.", head="fc")
    assert found.checked_by.startswith("PyTorch")
    weights = load_tensors(target)
    net.load_state_dict({"embed.weight": net.embed.weight} | weights, strict=True)
    x = normal(2, 6, 3, dtype=np.float32)
    with torch.inference_mode():
        np.testing.assert_allclose(net(torch.from_numpy(x)), model.forward(x), rtol=0, atol=1e-6)
    back = tmp_path / "back.safetensors"
    convert(target, back, prefix="lstm.", head="fc")
    # A bias is there the sum of two, one of them 0.
    assert_same_arrays(LSTM.load(back).params, model.params)


@pytest.mark.parametrize("spoiled", ["fc.weight", "fc.bias", "lstm.weight_hh_l0"])
def test_a_head_is_checked_too(spoiled, tmp_path, monkeypatch):
    need("torch")
    scatter(LSTM(3, 5, 2, rng=0)).save(tmp_path / "own.safetensors")
    written = conversion.to_state_dict

    def spoil(model, **names):
        weights = written(model, **names)
        weights[spoiled] += 0.1
        return weights

    monkeypatch.setattr(conversion, "to_state_dict", spoil)
    with pytest.raises(InputError, match="gives other outputs"):
        convert(
            tmp_path / "own.safetensors",
            tmp_path / "x.safetensors",
            to="torch",
            prefix="lstm.",
            head="fc",
        )
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_16_bits_are_read_as_float32(dtype, tmp_path):
    net = torch_net()
    import torch
    from safetensors.torch import save_file as save_tensors

    half = net.to(getattr(torch, dtype)).state_dict()
    half["lstm.bias_ih_l0"] = half["lstm.bias_ih_l0"].float()
    save_tensors(half, tmp_path / "net.safetensors", metadata={"format": "pt"})
    own = tmp_path / "own.safetensors"
    found = convert(tmp_path / "net.safetensors", own, prefix="lstm.", head="fc")
    assert f"read as float32: weights in {dtype}" in found.notes
    expected = from_state_dict({k: v.float() for k, v in half.items()}, prefix="lstm.", head="fc")
    assert_same_arrays(LSTM.load(own).params, expected.params)


def test_a_dtype_that_numpy_lacks_is_named(tmp_path):
    net = torch_net()
    import torch
    from safetensors.torch import save_file as save_tensors

    weights = net.lstm.state_dict()
    for name, dtype, message in (
        ("bias_hh_l0", torch.float8_e4m3fn, "bias_hh_l0 has dtype F8_E4M3; convert it to float32"),
        ("bias_hh_l0", torch.int8, "bias_hh_l0 has dtype int8; convert it to float32 or float64"),
    ):
        save_tensors(weights | {name: weights[name].to(dtype)}, tmp_path / "net.safetensors")
        with pytest.raises(FileError, match=message):
            convert(tmp_path / "net.safetensors", tmp_path / "own.safetensors")


def test_a_bfloat16_file_that_changes_while_it_is_read_is_refused(tmp_path):
    """Its header is checked when it is opened, and read again for the place of the numbers."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_tensors

    path = tmp_path / "w.safetensors"
    save_tensors({"w": torch.ones(4, 3, dtype=torch.bfloat16)}, path)
    whole = path.read_bytes()
    weights = StateDictFile(path)
    np.testing.assert_array_equal(weights["w"], np.ones((4, 3), np.float32))
    spoiled = [
        whole[:-1],
        whole[:20],
        b"",
        b"\xff" * 7 + b"\x7f" + whole[8:],
        b"\xff" * 8 + whole[8:],
        whole.replace(b'"w"', b'"v"'),
        whole.replace(b"data_offsets", b"data_offsetz"),
        whole.replace(b"[0,24]", b'["",2]'),
    ]
    for content in spoiled:
        assert content != whole
        with path.open("r+b") as file:  # the same file: another one would not be seen
            file.truncate(0)
            file.write(content)
        with pytest.raises(FileError, match="is damaged or not safetensors"):
            weights["w"]


def test_a_gru_is_called_a_gru(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_tensors

    save_tensors(torch.nn.GRU(3, 4).state_dict(), tmp_path / "gru.safetensors")
    with pytest.raises(FileError, match=r"those of an nn.GRU, and an nn.LSTM's are read here"):
        convert(tmp_path / "gru.safetensors", tmp_path / "x.onnx")


@pytest.mark.parametrize("kind", ["lstm-baseline", "torch", "onnx", "keras"])
def test_endings_in_capitals(kind, tmp_path):
    need(kind)
    make().save(tmp_path / "own.safetensors")
    upper = tmp_path / f"MODEL.{ENDINGS[kind].upper()}"
    convert(tmp_path / "own.safetensors", upper, to=kind)
    convert(upper, tmp_path / "back.safetensors")
    back = LSTM.load(tmp_path / "back.safetensors").params
    assert_same_arrays(back, make().params, tolerance=1e-6)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_link_stays_and_its_file_is_written(tmp_path):
    make().save(tmp_path / "own.safetensors")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "file.safetensors")
    convert(tmp_path / "own.safetensors", tmp_path / "link.safetensors")
    assert (tmp_path / "link.safetensors").is_symlink()
    assert_same_arrays(LSTM.load(tmp_path / "file.safetensors").params, make().params)


def test_pipes_are_not_waited_for(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("makes a pipe, as Unix can")
    make().save(tmp_path / "own.safetensors")
    for ending in ("safetensors", "onnx", "keras"):
        pipe = tmp_path / f"pipe.{ending}"
        os.mkfifo(pipe)
        with pytest.raises(FileError, match=f"cannot read .*pipe.{ending}: .* no regular one"):
            convert(pipe, tmp_path / "x.safetensors")
        with pytest.raises(WriteError, match=f"cannot write .*pipe.{ending}: it is no regular fi"):
            convert(tmp_path / "own.safetensors", pipe)
        assert pipe.is_fifo()


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
        (tmp_path / "a.H5", "x.onnx", FileError, "of Keras's older format, which is not opened"),
        (
            tmp_path / ("x" * 300 + ".onnx"),
            "x.onnx",
            FileError,
            "cannot read x*.*: File name too l",
        ),
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


@pytest.mark.parametrize(
    ("batch_shape", "options"),
    [
        ((None, 24, 3), {}),
        ((1, 10, 3), {}),
        ((4, None, 3), {}),
        ((1, None, 3), {"stateful": True}),
        ((2, 6, 3), {"stateful": True}),
        ((None, 8, 3), {"unroll": True}),
    ],
    ids=str,
)
@pytest.mark.parametrize("functional", [False, True])
def test_keras_models_of_fixed_shapes(functional, batch_shape, options, tmp_path):
    need("keras")
    import keras

    x = keras.Input(batch_shape=batch_shape)
    layers = [keras.layers.LSTM(4, **options), keras.layers.Dropout(0.5), keras.layers.Dense(2)]
    if functional:
        y = x
        for layer in layers:
            y = layer(y)
        net = keras.Model([x], y)
    else:
        net = keras.Sequential([x, *layers])
    net.save(tmp_path / "net.keras")
    found = convert(tmp_path / "net.keras", tmp_path / "own.safetensors")
    assert found.notes == [f"left out, as it acts in training alone: {layers[1].name} (Dropout)"]
    shape = [size or 5 for size in batch_shape]
    given = normal(*shape, dtype=np.float32)
    expected = net([given] if functional else given, training=False)
    expected = keras.ops.convert_to_numpy(expected)
    np.testing.assert_allclose(found.model.forward(given, False), expected, rtol=0, atol=1e-6)


STATES = {
    "all": ({}, lambda y, *states: [y, *states]),
    "an encoder's": ({}, lambda y, *states: list(states)),
    "the last one": ({}, lambda y, *states: states[-1]),
    "of both directions": ({"bidirectional": True}, lambda y, *states: [states[2], y, states[1]]),
    "of stacked cells": ({"num_layers": 2}, lambda y, *states: list(states)),
}


@pytest.mark.parametrize("states", STATES)
def test_keras_models_that_give_their_states(states, tmp_path, monkeypatch):
    need("keras")
    import keras

    form, given = STATES[states]
    layers, x = keras.layers, keras.Input((None, 3))
    layer = layers.LSTM(4, return_state=True)
    if "num_layers" in form:
        layer = layers.RNN([layers.LSTMCell(4), layers.LSTMCell(4)], return_state=True)
    if "bidirectional" in form:
        layer = layers.Bidirectional(layer)
    keras.Model(x, given(*layer(x))).save(tmp_path / "net.keras")
    model = convert(tmp_path / "net.keras", tmp_path / "own.safetensors").model
    assert {name: model.config[name] for name in form} == form
    # Every one of them is compared.
    step = LSTM.forward

    def spoiled(self, x, return_sequences=True, return_state=False, **options):
        y, *parts = step(self, x, return_sequences, True, **options)
        parts[-1][...] += 1e-3
        return (y, *parts) if return_state else y

    monkeypatch.setattr(LSTM, "forward", spoiled)
    with pytest.raises(InputError, match="Keras gives other outputs than the LSTM read from it"):
        convert(tmp_path / "net.keras", tmp_path / "own.safetensors")


def test_keras_models_that_compute_in_halves_are_refused(tmp_path):
    need("keras")
    import keras

    layer = keras.layers.LSTM(4, dtype="mixed_float16", name="l")
    keras.Sequential([keras.Input((None, 3)), layer]).save(tmp_path / "net.keras")
    with pytest.raises(InputError, match="as its layer l computes in float16; convert its layers"):
        convert(tmp_path / "net.keras", tmp_path / "own.safetensors")


def test_keras_files_that_cannot_be_read(tmp_path):
    """Whatever Keras raises becomes one line, and nothing in the file is run."""
    need("keras")
    import keras

    layers = keras.layers
    with keras.saving.CustomObjectScope({}):

        class Mine(layers.LSTM):
            pass

        nets = {
            "custom": [Mine(4)],
            "lambda": [layers.LSTM(4), layers.Lambda(lambda y: y)],
            "whole": [layers.LSTM(4), layers.Dense(2)],
        }
        for name, chain in nets.items():
            keras.Sequential([keras.Input((None, 3)), *chain]).save(tmp_path / f"{name}.keras")
    whole = (tmp_path / "whole.keras").read_bytes()
    spoiled = bytearray(whole)
    spoiled[len(whole) // 2] ^= 255
    (tmp_path / "spoiled.keras").write_bytes(spoiled)
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.keras").write_bytes(b"PK\x03\x04 and no more")
    for name, old, new in (
        ("other", b'"class_name": "LSTM"', b'"class_name": "LSTMs"'),
        ("words", b'"recurrent_dropout": 0.0', b'"recurrent_dropout": "0"'),
        ("large", b'"units": 4', b'"units": 4000000000'),
        ("empty", b"", None),
    ):
        with (
            zipfile.ZipFile(tmp_path / "whole.keras") as given,
            zipfile.ZipFile(tmp_path / f"{name}.keras", "w") as made,
        ):
            for entry in given.namelist():
                content = given.read(entry)
                if entry == "config.json":
                    content = b"{}" if new is None else content.replace(old, new)
                made.writestr(entry, content)
    for name, message in (
        ("custom", "cannot be read by Keras: Could not locate class 'Mine'$"),
        ("lambda", "cannot be read by Keras: Requested the deserialization of a `Lambda` layer"),
        ("spoiled", "cannot be read by Keras: "),
        ("cut", "is damaged or not of Keras 3: it is no zip archive"),
        ("text", "is damaged or not of Keras 3: it is no zip archive"),
        ("other", "cannot be read by Keras: Could not deserialize 'keras.layers.LSTMs'"),
        ("words", "cannot be read by Keras: "),
        ("large", "cannot be read by Keras: "),
        ("empty", "cannot be read by Keras: "),
    ):
        with pytest.raises(FileError, match=message) as refusal:
            convert(tmp_path / f"{name}.keras", tmp_path / "x.safetensors")
        assert "\n" not in str(refusal.value)
        assert not (tmp_path / "x.safetensors").exists()


def test_a_keras_model_that_cannot_be_run_is_one_line(tmp_path, monkeypatch):
    need("keras")
    import keras

    keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(4)]).save(tmp_path / "net.keras")

    def fail(*_, **__):
        raise RuntimeError("no room\nand more")

    monkeypatch.setattr(keras.Sequential, "__call__", fail)
    with pytest.raises(FileError, match=r"Keras cannot run it on x of shape \(3, 7, 3\): "):
        convert(tmp_path / "net.keras", tmp_path / "own.safetensors")
