"""ONNX files to and fro: equal outputs in ONNX Runtime, PyTorch and Keras, equal weights here."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM
from lstm_baseline.engine.cells.gate_activations import NAMES
from lstm_baseline.engine.errors import InputError, WriteError
from lstm_baseline.interop import from_onnx, to_onnx
from tests.support.models import normal, scatter

onnx = pytest.importorskip("onnx", reason="reads and writes ONNX, which is not installed")

from lstm_baseline.interop.onnx_backend import LSTMBackend  # noqa: E402
from tests.support.onnx_graphs import (  # noqa: E402
    BATCH_FIRST,
    DENSE,
    FLOAT,
    TIME_FIRST,
    H,
    I,
    O,
    as_model,
    assert_same_model,
    layer,
    make_model,
    node,
    numbers,
)

B, T = 4, 6
FORMS = [
    {},
    {"output_size": O},
    {"num_layers": 3, "output_size": O},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "output_size": O, "bias": False},
    {"peepholes": True, "bidirectional": True},
    {"peepholes": True, "coupled_gates": True, "clip": 0.6, "num_layers": 2},
    {"activations": ("hard_sigmoid", ("leaky_relu", 0.1), ("scaled_tanh", 1.2, 0.8))},
]


def run_in_onnxruntime(path, **feeds):
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs ONNX, and is not installed")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


# To a file.


@pytest.mark.parametrize("lengths", [None, [6, 0, 4, 1]], ids=["whole", "ragged"])
@pytest.mark.parametrize("return_sequences", [True, False], ids=["all", "last"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_to_onnx_against_onnxruntime(form, return_sequences, lengths, tmp_path):
    model, path = make_model(**form), tmp_path / "model.onnx"
    to_onnx(model, path, return_sequences=return_sequences, lengths=lengths is not None)
    for num_rows, num_steps in ((B, T), (2, 9)):
        feeds, options = {"x": normal(num_rows, num_steps, I, dtype=np.float32)}, {}
        if lengths:
            feeds["lengths"] = np.array(lengths[:num_rows], np.int32)
            options["lengths"] = feeds["lengths"]
        expected = model.forward(feeds["x"], return_sequences, **options)
        y = run_in_onnxruntime(path, **feeds)
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)
    onnx.checker.check_model(onnx.load(path), full_check=True)


@pytest.mark.parametrize("return_sequences", [True, False], ids=["all", "last"])
@pytest.mark.parametrize("form", [{}, {"output_size": O}, {"num_layers": 2}], ids=str)
@pytest.mark.parametrize("merge", ["sum", "mean"])
def test_merged_directions(merge, form, return_sequences, tmp_path):
    """They go out and come back."""
    model, path = make_model(bidirectional=True, merge=merge, **form), tmp_path / "model.onnx"
    to_onnx(model, path, return_sequences=return_sequences, lengths=True)
    assert_same_model(from_onnx(path), model)
    to_onnx(model, path, return_sequences=return_sequences)
    x = normal(B, T, I, dtype=np.float32)
    expected = model.forward(x, return_sequences)
    np.testing.assert_allclose(run_in_onnxruntime(path, x=x), expected, rtol=0, atol=1e-6)
    assert_same_model(from_onnx(path), model)


def test_dropout_has_no_place_in_a_file(tmp_path):
    path = tmp_path / "model.onnx"
    to_onnx(make_model(dropout=0.3, recurrent_dropout=0.2, num_layers=2), path)
    assert_same_model(from_onnx(path), make_model(num_layers=2))


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_every_activation_in_every_place(name, place, tmp_path):
    activations = ["sigmoid", "tanh", "tanh"]
    activations[place] = name
    model, path = make_model(activations=activations, bidirectional=True), tmp_path / "model.onnx"
    to_onnx(model, path)
    x = normal(B, T, I, dtype=np.float32)
    expected = model.forward(x)
    # Activations without bounds let rounding errors grow with the numbers.
    scale = max(1.0, np.abs(expected).max() ** 2)
    np.testing.assert_allclose(run_in_onnxruntime(path, x=x), expected, rtol=0, atol=1e-6 * scale)
    assert_same_model(from_onnx(path), model)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("return_sequences", [True, False], ids=["all", "last"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_there_and_back(form, return_sequences, lengths, dtype, tmp_path):
    model, path = make_model(dtype, **form), tmp_path / "model.onnx"
    to_onnx(model, path, return_sequences=return_sequences, lengths=lengths)
    assert_same_model(from_onnx(path), model)
    assert_same_model(from_onnx(onnx.load(path)), model)


@pytest.mark.parametrize("lengths", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("form", [{}, {"bidirectional": True}, {"output_size": O}], ids=str)
def test_layers_that_differ_in_size(form, lengths, tmp_path):
    model, path = scatter(LSTM(I, (6, 4, 5), **form, rng=0)), tmp_path / "model.onnx"
    to_onnx(model, path, lengths=lengths)
    assert_same_model(from_onnx(path), model)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LSTM(I, H, layer_norm=True), "the model has layer_norm, which ONNX's LSTM has not"),
        (LSTM(I, H, zoneout=(0, 0.1)), "the model has zoneout, which ONNX's LSTM has not"),
        (LSTM(I, H, projection_size=2), "the model has projection_size, which"),
        (LSTM(I, H, clip=1e300), r"clip is 1e\+300; ONNX keeps it in float32, which cannot"),
        (LSTM(I, H, clip=1e-300), "clip is 1e-300; ONNX keeps it in float32"),
        (GRU(I, H), "to_onnx got a GRU; give an LSTM"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_onnx_lacks_is_refused_by_name(model, message, tmp_path):
    with pytest.raises(InputError, match=message):
        to_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_too_large_for_one_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("lstm_baseline.interop.onnx.export.LARGEST_FILE", 2**20)
    with pytest.raises(InputError, match="has 720 bytes of parameters; one ONNX file holds 1,048"):
        to_onnx(make_model(), tmp_path / "model.onnx")


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match=r"cannot write .*folder"):
        to_onnx(make_model(), tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


# From PyTorch's exporters.


def torch_module(torch, form, reads, zeros, batch_first):
    """Return a module around an nn.LSTM: which outputs it ``reads``, and whether it has zeros."""
    D, L = 2 if form.get("bidirectional") else 1, form.get("num_layers", 1)

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = torch.nn.LSTM(I, H, **form, batch_first=batch_first)
            self.head = torch.nn.Linear(D * H, O)

        def forward(self, x):
            start = None
            if zeros:
                num_rows = x.shape[0 if batch_first else 1]
                start = (torch.zeros(D * L, num_rows, H), torch.zeros(D * L, num_rows, H))
            y, (h, c) = self.rnn(x, start)
            if reads == "all":
                return self.head(y)
            if reads == "last step":
                return self.head(y[:, -1] if batch_first else y[-1])
            if reads == "last states":
                return self.head(torch.cat([h[k] for k in range(-D, 0)], -1))
            return y, h, c

    torch.manual_seed(0)
    return Module().eval().requires_grad_(False)


def assert_as_torch(torch, module, batch_first, reads, path):
    model = from_onnx(path)
    x = normal(B, T, I, dtype=np.float32)
    with torch.inference_mode():
        y = module(torch.from_numpy(x if batch_first else x.swapaxes(0, 1).copy()))
    y = (y[0] if reads == "module" else y).numpy()
    if y.ndim == 3 and not batch_first:
        y = y.swapaxes(0, 1)
    ours = model.forward(x, return_sequences=reads != "last states")
    if reads == "last step":
        ours = ours[:, -1]
    np.testing.assert_allclose(ours, y, rtol=0, atol=1e-6)


LEGACY = list(
    product(
        [{}, {"num_layers": 2, "bias": False}, {"num_layers": 2, "bidirectional": True}],
        ["module", "all", "last step", "last states"],
        [True, False],
        [True, False],
        [0, 1, 2],
    )
)


@pytest.mark.filterwarnings(
    "ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning",
    "ignore:The feature will be removed:DeprecationWarning",
    "ignore:Exporting a model to ONNX with a batch_size other than 1:UserWarning",
    "ignore:Converting a tensor to a Python boolean:Warning",
)
@pytest.mark.parametrize(
    ("form", "reads", "batch_first", "fold", "open_axes"),
    # A few of them, among which are all values of each, are enough for every day.
    [pytest.param(*case, marks=[pytest.mark.slow] * (k % 11 > 0)) for k, case in enumerate(LEGACY)],
    ids=str,
)
def test_from_the_legacy_exporter(form, reads, batch_first, fold, open_axes, tmp_path):
    torch = pytest.importorskip("torch", reason="exports from PyTorch, which is not installed")
    module = torch_module(torch, form, reads, zeros=not fold, batch_first=batch_first)
    axes = [0, 1] if batch_first else [1, 0]
    torch.onnx.export(
        module,
        (torch.zeros((B, T, I) if batch_first else (T, B, I)),),
        tmp_path / "model.onnx",
        dynamo=False,
        do_constant_folding=fold,
        input_names=["x"],
        dynamic_axes={"x": {axis: f"axis{axis}" for axis in axes[:open_axes]}},
    )
    assert_as_torch(torch, module, batch_first, reads, tmp_path / "model.onnx")


@pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
    "ignore:The tensor attributes .* assigned during export:UserWarning",
    "ignore:_check_is_size will be removed:FutureWarning",
)
@pytest.mark.parametrize(
    ("form", "reads", "zeros", "batch_first", "open_batch"),
    [
        ({"num_layers": 2, "bidirectional": True}, "all", True, True, True),
        ({"num_layers": 2, "bias": False}, "last step", False, False, False),
        pytest.param({}, "module", False, True, True, marks=pytest.mark.slow),
        pytest.param({}, "all", True, False, False, marks=pytest.mark.slow),
        pytest.param(
            {"num_layers": 2, "bidirectional": True},
            *("last states", False, False, False),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"bidirectional": True}, "last step", False, False, True, marks=pytest.mark.slow
        ),
    ],
    ids=str,
)
def test_from_the_new_exporter(form, reads, zeros, batch_first, open_batch, tmp_path):
    torch = pytest.importorskip("torch", reason="exports from PyTorch, which is not installed")
    pytest.importorskip("onnxscript", reason="PyTorch's exporter needs it")
    module = torch_module(torch, form, reads, zeros, batch_first)
    batch_axis = 0 if batch_first else 1
    torch.onnx.export(
        module,
        (torch.zeros((B, T, I) if batch_first else (T, B, I)),),
        tmp_path / "model.onnx",
        dynamo=True,
        verbose=False,
        dynamic_shapes=({batch_axis: torch.export.Dim.DYNAMIC},) if open_batch else None,
    )
    assert (tmp_path / "model.onnx.data").exists()  # the weights lie beside the file
    assert_as_torch(torch, module, batch_first, reads, tmp_path / "model.onnx")


KERAS_EXPORTS = Path(__file__).parent / "keras_exports"


@pytest.mark.parametrize("path", sorted(KERAS_EXPORTS.glob("*.onnx")), ids=lambda path: path.stem)
def test_from_onnx_as_keras_exports_it(path):
    """Files that ``export_from_keras.py`` had Keras write, and what Keras computed."""
    with np.load(KERAS_EXPORTS / "outputs.npz") as outputs:
        x, expected = outputs["x"], outputs[path.stem]
    model = from_onnx(path)
    np.testing.assert_allclose(model.forward(x, expected.ndim == 3), expected, rtol=0, atol=1e-6)


def test_all_of_keras_exports_are_there():
    with np.load(KERAS_EXPORTS / "outputs.npz") as outputs:
        assert {path.stem for path in KERAS_EXPORTS.glob("*.onnx")} == {*outputs} - {"x"}


# From graphs as tf2onnx writes them, and others by hand.


def keras_sequences(model):
    """LSTM(return_sequences=True) and Dense."""
    lstm, weights = layer(model, start="zeros zeros")
    zeros = [
        node("Shape", "x", "shape"),
        node("Slice", "shape zero one", "rows"),
        node("Concat", "one rows units", "sizes", axis=0),
        node("ConstantOfShape", "sizes", "zeros"),
    ]
    return as_model([TIME_FIRST, *zeros, lstm, *BATCH_FIRST, *DENSE], weights | numbers(model))


def keras_sequences_before_opset_13(model):
    """The same, with axes as attributes."""
    lstm, weights = layer(model, start="zeros zeros")
    nodes = [
        TIME_FIRST,
        node("Shape", "x", "shape"),
        node("Slice", "shape", "rows", axes=[0], starts=[0], ends=[1]),
        node("Concat", "one rows units", "sizes", axis=0),
        node("ConstantOfShape", "sizes", "zeros"),
        lstm,
        node("Squeeze", "Y0", "by_time", axes=[1]),
        node("Transpose", "by_time", "by_row", perm=[1, 0, 2]),
        *DENSE,
    ]
    return as_model(nodes, weights | numbers(model), opset=9)


def keras_last(model):
    """LSTM and Dense."""
    lstm, weights = layer(model)
    nodes = [TIME_FIRST, lstm, node("Squeeze", "Yh0 zero", "by_row"), *DENSE]
    return as_model(nodes, weights | numbers(model), outputs={"y": 2})


def keras_time_distributed(model):
    """LSTM and a Dense over all steps as one product."""
    lstm, weights = layer(model)
    nodes = [
        TIME_FIRST,
        lstm,
        *BATCH_FIRST,
        node("Shape", "x", "shape"),
        node("Slice", "shape zero two", "rows_and_steps"),
        node("Concat", "rows_and_steps outputs", "sizes", axis=0),
        node("Reshape", "by_row flat", "rows"),
        node("Gemm", "rows kernel bias", "products"),
        node("Reshape", "products sizes", "y"),
    ]
    extra = {"flat": np.array([-1, H]), "outputs": np.array([O])}
    return as_model(nodes, weights | numbers(model) | extra)


def keras_bidirectional(model):
    """Bidirectional(LSTM), each direction cut out of Y."""
    lstm, weights = layer(model)
    nodes = [TIME_FIRST, lstm]
    for name, first, last in (("forward", "zero", "one"), ("backward", "one", "two")):
        nodes += [
            node("Slice", f"Y0 {first} {last} one", f"{name}_part"),
            node("Squeeze", f"{name}_part one", f"{name}_by_time"),
            node("Transpose", f"{name}_by_time", name, perm=[1, 0, 2]),
        ]
    nodes.append(node("Concat", "forward backward", "by_row", axis=2))
    return as_model([*nodes, *DENSE], weights | numbers(model))


def both_directions_at_the_last_step(model):
    lstm, weights = layer(model)
    nodes = [
        TIME_FIRST,
        lstm,
        node("Transpose", "Y0", "by_batch", perm=[0, 2, 1, 3]),
        node("Reshape", "by_batch joined", "by_time"),
        node("Gather", "by_time minus_one", "by_row", axis=0),
    ]
    extra = {"joined": np.array([0, 0, 2 * H]), "minus_one": np.array(-1)}
    return as_model([*nodes, *DENSE], weights | numbers(model) | extra, outputs={"y": 2})


def by_layout_1(model):
    """A node that takes the batch first."""
    lstm, weights = layer(model, x="x", layout=1)
    nodes = [lstm, node("Squeeze", "Y0 two", "by_row"), *DENSE]
    return as_model(nodes, weights | numbers(model))


def node_alone(model):
    lstm, weights = layer(model, x="x")
    return as_model([lstm, node("Identity", "Y0", "y")], weights, outputs={"y": 4})


def weights_among_the_inputs(model):
    """As IR versions before 4 ask for."""
    lstm, weights = layer(model, x="x")
    inputs = {"x": (FLOAT, ("t", "b", I))}
    inputs |= {name: (FLOAT, value.shape) for name, value in weights.items()}
    return as_model(
        [lstm, node("Squeeze", "Y0 one", "y")], weights | {"one": np.array([1])}, inputs=inputs
    )


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (keras_sequences, {"output_size": O}),
        (keras_sequences, {"output_size": 1, "bias": False}),
        (keras_sequences_before_opset_13, {"output_size": O}),
        (keras_last, {"output_size": O}),
        (keras_time_distributed, {"output_size": O}),
        (keras_bidirectional, {"output_size": O, "bidirectional": True}),
        (both_directions_at_the_last_step, {"output_size": O, "bidirectional": True}),
        (by_layout_1, {"output_size": O}),
        (node_alone, {}),
        (node_alone, {"bidirectional": True}),
        (weights_among_the_inputs, {}),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_graphs_of_other_exporters(make, form):
    model = make_model(**form)
    assert_same_model(from_onnx(make(model)), model)


def test_two_biases_are_added_and_gemm_scales():
    model = make_model(output_size=O)
    lstm, weights = layer(model)
    weights["B0"][:, 4 * H :] = weights["B0"][:, : 4 * H]
    nodes = [
        TIME_FIRST,
        lstm,
        node("Squeeze", "Yh0 zero", "last"),
        node("Gemm", "last kernel bias", "y", alpha=0.5, beta=2.0),
    ]
    found = from_onnx(as_model(nodes, weights | numbers(model), outputs={"y": 2}))
    for name, factor in (("b", 2), ("W_out", 0.5), ("b_out", 2), ("U", 1)):
        np.testing.assert_array_equal(found.params[name], factor * model.params[name])


def test_a_linear_layer_without_bias():
    model = make_model(output_size=O)
    lstm, weights = layer(model)
    nodes = [TIME_FIRST, lstm, *BATCH_FIRST, node("MatMul", "by_row kernel", "y")]
    found = from_onnx(as_model(nodes, weights | numbers(model)))
    np.testing.assert_array_equal(found.params["W_out"], model.params["W_out"])
    np.testing.assert_array_equal(found.params["b_out"], 0)


# Lengths of rows, of axes, and what is not said.


WITH_LENGTHS = {"x": (FLOAT, ("b", "t", I)), "n": (onnx.TensorProto.INT32, ("b",))}


@pytest.mark.parametrize("kind", ["INT32", "INT64"])
@pytest.mark.parametrize("outputs", ["Y0", "last", "read out"])
def test_lengths_of_rows(outputs, kind):
    """As PyTorch's exporter writes them for packed sequences, too."""
    model = make_model(output_size=O if outputs == "read out" else None)
    lstm, weights = layer(model, lengths="ends")
    after = {
        "Y0": [node("Identity", "Y0", "y")],
        "last": [node("Squeeze", "Yh0 zero", "y")],
        "read out": [*BATCH_FIRST, *DENSE],
    }[outputs]
    made = as_model(
        [TIME_FIRST, node("Cast", "n", "ends", to=6), lstm, *after],
        weights | numbers(model),
        inputs=WITH_LENGTHS | {"n": (getattr(onnx.TensorProto, kind), ("b",))},
        outputs={"y": {"Y0": 4, "last": 2, "read out": 3}[outputs]},
    )
    found = from_onnx(made)
    assert_same_model(found, model)
    x, lengths = normal(B, T, I, dtype=np.float32), np.array([6, 0, 4, 1])
    (y,) = LSTMBackend.run_model(made, [x, lengths.astype(np.int32)])
    ours = found.forward(x, outputs != "last", lengths=lengths)
    if outputs == "Y0":
        y = y[:, 0].swapaxes(0, 1)
    if outputs == "read out":  # past a row's end the graph has its bias
        y[np.arange(T) >= lengths[:, None]] = 0
    np.testing.assert_allclose(ours, y, rtol=0, atol=1e-6)


def test_the_number_of_steps_as_sequence_lens():
    """As some exporters write what is no length at all."""
    model = make_model()
    lstm, weights = layer(model, lengths="ends")
    ends = [
        node("Shape", "x", "shape"),
        node("Gather", "shape one", "num_steps"),
        node("Slice", "shape zero one", "rows"),
        node("Cast", "num_steps", "ends_whole", to=6),
        node("Expand", "ends_whole rows", "ends"),
    ]
    nodes = [TIME_FIRST, *ends, lstm, *BATCH_FIRST, node("Identity", "by_row", "y")]
    assert_same_model(from_onnx(as_model(nodes, weights | numbers())), model)


@pytest.mark.parametrize("shape", [(5000, 1), (1, 5000), (1, 1), (12, 2), ("t", 1), (3, "b")])
def test_axes_of_fixed_length_and_initial_states_as_arrays(shape):
    model = make_model(output_size=1, bidirectional=True)
    start = "state state" if isinstance(shape[1], int) else "- -"
    lstm, weights = layer(model, x="x", start=start)
    nodes = [
        lstm,
        node("Transpose", "Y0", "apart", perm=[0, 2, 1, 3]),
        node("Reshape", "apart joined", "by_row"),
        *DENSE,
        node("Squeeze", "y two", "numbers"),
    ]
    extra = {"joined": np.array([0, 0, 2 * H])}
    if isinstance(shape[1], int):
        extra["state"] = np.zeros((2, shape[1], H), np.float32)
    made = as_model(
        nodes,
        weights | numbers(model) | extra,
        inputs={"x": (FLOAT, (*shape, I))},
        outputs={"numbers": 2},
    )
    assert_same_model(from_onnx(made), model)


@pytest.mark.parametrize("bare", [["input"], ["output"], ["input", "output"]], ids=str)
def test_shapes_may_be_left_out(bare, tmp_path):
    """ONNX lets them be, and ONNX Runtime runs such graphs."""
    model = make_model(output_size=O)
    made = keras_sequences(model)
    for values in bare:
        for value in getattr(made.graph, values):
            value.type.tensor_type.ClearField("shape")
    before = made.SerializeToString()
    assert_same_model(from_onnx(made), model)
    assert made.SerializeToString() == before
    (tmp_path / "model.onnx").write_bytes(before)
    assert_same_model(from_onnx(tmp_path / "model.onnx"), model)
    x = normal(B, T, I, dtype=np.float32)
    (y,) = LSTMBackend.run_model(made, [x])
    np.testing.assert_allclose(y, model.forward(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "options", [{"embedding_size": 3}, {"embedding_size": 4, "tied": True}, {"learned_state": True}]
)
def test_what_stands_before_an_lstm_is_not_left_out(tmp_path, options):
    model = LSTM(6, 4, 6, rng=0, **options)
    with pytest.raises(InputError, match=f"the model has {next(iter(options))}, which ONNX's"):
        to_onnx(model, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
