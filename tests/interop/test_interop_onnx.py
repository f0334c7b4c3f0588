"""ONNX files: equal outputs in ONNX Runtime and PyTorch, and refusals by name."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM
from lstm_baseline.engine.cells.gate_activations import NAMES
from lstm_baseline.engine.errors import InputError, WriteError
from lstm_baseline.interop import from_onnx, to_onnx
from tests.support.models import assert_same_arrays, normal, scatter

onnx = pytest.importorskip("onnx", reason="reads and writes ONNX, which is not installed")

from lstm_baseline.interop.onnx.lstm import node_attributes, node_weights  # noqa: E402
from tests.support.onnx_graphs import FLOAT, as_model, node  # noqa: E402

B, T, I, H, O = 4, 6, 3, 5, 2
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


def make_model(dtype=np.float32, **form):
    return scatter(LSTM(I, H, **form, dtype=dtype, rng=0))


def run_in_onnxruntime(path, **feeds):
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs ONNX, and is not installed")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)[0]


def assert_same_model(given, expected):
    assert given.config == expected.config
    assert_same_arrays(given.params, expected.params)


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
@pytest.mark.parametrize("return_sequences", [True, False], ids=["all", "last"])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_there_and_back(form, return_sequences, dtype, tmp_path):
    model = make_model(dtype, **form)
    to_onnx(model, tmp_path / "model.onnx", return_sequences=return_sequences)
    assert_same_model(from_onnx(tmp_path / "model.onnx"), model)
    assert_same_model(from_onnx(onnx.load(tmp_path / "model.onnx")), model)


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


def layer(model, k=0, x="X", W=None, start="- -", lengths="-", **attributes):
    """Return the node of a model of one layer, from x to Yk, Yhk and Yck, and its weights."""
    weights = {f"{n}{k}": array for n, array in node_weights(model, model.suffixes).items()}
    R, bias, P = (f"{n}{k}" if f"{n}{k}" in weights else "-" for n in ("R", "B", "P"))
    if model.bidirectional:
        attributes = {"direction": "bidirectional"} | attributes
    inputs = f"{x} {W or f'W{k}'} {R} {bias} {lengths} {start} {P}"
    return node("LSTM", inputs, f"Y{k} Yh{k} Yc{k}", name=f"rnn{k}", **attributes), weights


TIME_FIRST = node("Transpose", "x", "X", perm=[1, 0, 2])
BATCH_FIRST = [
    node("Squeeze", "Y0 one", "by_time"),
    node("Transpose", "by_time", "by_row", perm=[1, 0, 2]),
]
DENSE = [node("MatMul", "by_row kernel", "product"), node("Add", "product bias", "y")]


def numbers(model=None):
    """Return what the graphs below need besides the weights of LSTM nodes."""
    found = {"zero": [0], "one": [1], "two": [2], "units": [H]}
    found = {name: np.array(value) for name, value in found.items()}
    if model is not None and model.output_size:
        found |= {"kernel": model.params["W_out"].T, "bias": model.params["b_out"]}
    return found


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


# What is no LSTM with a readout.


def graph(*after, before=(), arrays=None, inputs=None, outputs=None, opset=14, opsets=(), **lstm):
    """Return a model of an LSTM node with ``before`` from X and ``after`` from by_row (B, T, H)."""
    model = make_model(output_size=O)
    made, weights = layer(model, **lstm)
    return as_model(
        [TIME_FIRST, *before, made, *BATCH_FIRST, *after],
        weights | numbers(model) | (arrays or {}),
        inputs=inputs,
        outputs=outputs,
        opset=opset,
        opsets=opsets,
    )


def second_layer(*between, x="H0", **form):
    """Return a model of two LSTM nodes with ``between`` from H0 (T, B, H) to x."""
    model = scatter(LSTM(**{"input_size": H, "hidden_size": H} | form, rng=1))
    lstm, weights = layer(model, k=1, x=x, **node_attributes(model, 0))
    nodes = [node("Squeeze", "Y0 one", "H0"), *between, lstm, node("Squeeze", "Y1 one", "y")]
    return graph(*nodes, arrays=weights | HALF)


HALF = {"half": np.full(1, 0.5, np.float32)}
Y_IS_HIDDEN = node("Identity", "by_row", "y")
START = [
    node("Shape", "X", "shape"),
    node("Slice", "shape one two", "rows"),
    node("Concat", "one rows units", "sizes", axis=0),
    node("Expand", "half sizes", "start"),
]


def with_sparse_weights():
    made = graph(Y_IS_HIDDEN)
    values = onnx.numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    places = onnx.numpy_helper.from_array(np.zeros(1, np.int64), "places")
    made.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, [9]))
    return made


OPSET_14 = [onnx.helper.make_opsetid("", 14)]
BOTH = make_model(bidirectional=True)
BAD = np.full((1, 4 * H, I), np.inf, np.float32)

REFUSED = {
    # What is asked of the LSTM node itself.
    "starts from initial_h that is not zero": lambda: graph(
        Y_IS_HIDDEN, before=START, start="start -", arrays=HALF
    ),
    "starts from initial_c that is not zero": lambda: graph(
        Y_IS_HIDDEN, before=START, start="- start", arrays=HALF
    ),
    "LSTM node 'rnn0' runs in reverse only": lambda: graph(Y_IS_HIDDEN, direction="reverse"),
    "LSTM node 'rnn0' takes sequence_lens; export without": lambda: graph(
        Y_IS_HIDDEN,
        lengths="n",
        inputs={"x": (FLOAT, ("b", "t", I)), "n": (onnx.TensorProto.INT32, ("b",))},
    ),
    "'rnn0': an activation is 'Swish'; ONNX knows Affine": lambda: graph(
        Y_IS_HIDDEN, activations=["Swish", "Tanh", "Tanh"]
    ),
    "'rnn0': activation Affine lacks a constant, and runtimes differ": lambda: graph(
        Y_IS_HIDDEN, activations=["Affine", "Tanh", "Tanh"], activation_alpha=[1.0]
    ),
    "'rnn0': there are 2 activations; give 3": lambda: graph(
        Y_IS_HIDDEN, activations=["Tanh", "Tanh"]
    ),
    "'rnn0': direction is 'sideways'; ONNX knows forward": lambda: graph(
        Y_IS_HIDDEN, direction="sideways"
    ),
    "'rnn0': clip is 0.0; give a limit above 0": lambda: graph(Y_IS_HIDDEN, clip=0.0),
    "'rnn0': hidden_size is 4; R has shape": lambda: graph(Y_IS_HIDDEN, hidden_size=4),
    "W of LSTM node 'rnn0' holds numbers that are not finite": lambda: graph(
        Y_IS_HIDDEN, arrays={"W0": BAD}
    ),
    r"'rnn0': R has shape \(1, 20, 4\); expected \(1, 16, 4\)": lambda: graph(
        Y_IS_HIDDEN, arrays={"R0": np.ones((1, 20, 4), np.float32)}
    ),
    r"'rnn0': B has shape \(1, 20\); expected \(1, 40\)": lambda: graph(
        Y_IS_HIDDEN, arrays={"B0": np.ones((1, 20), np.float32)}
    ),
    r"W has shape \(20, 3\); expected \(1, 20, 3\)": lambda: graph(
        Y_IS_HIDDEN, arrays={"W0": np.ones((20, 3), np.float32)}
    ),
    "W of LSTM node 'rnn0' has dtype int64; expected float32 or": lambda: graph(
        Y_IS_HIDDEN, arrays={"W0": np.ones((1, 20, 3), np.int64)}
    ),
    "'rnn0': R has dtype float64; W has float32": lambda: graph(
        Y_IS_HIDDEN, arrays={"R0": np.ones((1, 20, 5))}
    ),
    "'W0' has type FLOAT16; convert the model to float32": lambda: graph(
        Y_IS_HIDDEN, arrays={"W0": np.ones((1, 20, 3), np.float16)}
    ),
    r"'rnn0': R has shape \(1, 0, 0\)": lambda: graph(
        Y_IS_HIDDEN,
        arrays={
            "W0": np.ones((1, 0, I), np.float32),
            "R0": np.ones((1, 0, 0), np.float32),
            "B0": np.ones((1, 0), np.float32),
        },
    ),
    "W of LSTM node 'rnn0' is no constant": lambda: graph(
        Y_IS_HIDDEN,
        arrays={"W0": np.ones(1, np.float32)},
        before=[node("Expand", "W0 x_shape", "V")],
        inputs={"x": (FLOAT, ("b", "t", I)), "x_shape": (onnx.TensorProto.INT64, (3,))},
        W="V",
    ),
    "has other activations backward": lambda: as_model(
        [layer(BOTH, x="x", activations=["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Tanh", "Relu"])[0]],
        layer(BOTH)[1],
        outputs={"Y0": 4},
    ),
    # Between nodes.
    "has hidden_size 5 and LSTM node 'rnn1' 4; an LSTM has one": lambda: second_layer(
        hidden_size=4
    ),
    "has clip None and LSTM node 'rnn1' 2.0": lambda: second_layer(clip=2.0),
    "has bias True and LSTM node 'rnn1' False": lambda: second_layer(bias=False),
    "'rnn1' does not take the outputs of LSTM node 'rnn0' as they are": lambda: second_layer(
        node("Mul", "H0 half", "H"), x="H"
    ),
    "the graph has W_l1 with shape": lambda: second_layer(
        node("Concat", "H0 H0", "H", axis=2), x="H", input_size=2 * H
    ),
    "the graph changes x before LSTM node 'rnn0'": lambda: graph(
        Y_IS_HIDDEN, before=[node("Mul", "X half", "scaled")], arrays=HALF, x="scaled"
    ),
    # After them.
    "output 'y' of the graph is not what its LSTM nodes and a": lambda: graph(
        *DENSE[:1], node("Mul", "product half", "y"), arrays=HALF
    ),
    "output 'y' of the graph is not what its LSTM nodes": lambda: graph(
        *DENSE[:1],
        node("Mul", "product half", "y"),
        arrays=HALF | {"kernel": np.full((H, O), 1e-9, np.float32)},
    ),
    "output 'y' of the graph is not": lambda: graph(node("Add", "by_row by_row", "y")),
    "'y' of the graph is not what": lambda: graph(
        node("Gather", "by_row two", "y", axis=1), outputs={"y": 3}
    ),
    "'y' of the graph": lambda: graph(
        node("Slice", "by_row zero fifty one", "y"), arrays={"fifty": np.array([50])}
    ),
    "is a second linear layer; an LSTM has one readout": lambda: graph(
        *DENSE, node("MatMul", "y more", "z"), arrays={"more": np.eye(O, dtype=np.float32)}
    ),
    "adds a second bias": lambda: graph(*DENSE, node("Add", "y bias", "z"), outputs={"z": 3}),
    "the linear layer has weights and bias of shapes": lambda: graph(
        node("MatMul", "by_row kernel", "y"), arrays={"kernel": np.ones(H, np.float32)}
    ),
    "the second factor of MatMul node 'y' is no constant": lambda: graph(
        node("Transpose", "by_row", "turned", perm=[0, 2, 1]), node("MatMul", "by_row turned", "y")
    ),
    "output 'z' of the graph is not": lambda: graph(
        Y_IS_HIDDEN, node("Mul", "by_row half", "z"), arrays=HALF, outputs={"y": 3, "z": 3}
    ),
    "the graph gives states only; ": lambda: graph(node("Identity", "Yc0", "y")),
    # The model as a whole.
    "has the operator 'Softmax'; understood are": lambda: graph(node("Softmax", "by_row", "y")),
    "has the operator 'GRU'; ": lambda: graph(
        node("GRU", "X W0 R0", "y", hidden_size=H), outputs={"y": 4}
    ),
    r"has the operator 'my\.Attention'": lambda: graph(
        node("Attention", "by_row", "y", domain="my"),
        opsets=[onnx.helper.make_opsetid("my", 1)],
    ),
    "has attribute 'value_string', which is not understood": lambda: graph(
        node("Constant", "", "text", value_string="a"), Y_IS_HIDDEN
    ),
    "the model has opset 6; understood are 7 to 28": lambda: as_model(
        [layer(BOTH, x="x")[0]], layer(BOTH)[1], outputs={"Y0": 4}, opset=6
    ),
    "the model has a function of its own, 'Twice'": lambda: as_model(
        [layer(BOTH, x="x")[0]],
        layer(BOTH)[1],
        outputs={"Y0": 4},
        functions=[
            onnx.helper.make_function(
                "my", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], OPSET_14
            )
        ],
        opsets=[onnx.helper.make_opsetid("my", 1)],
    ),
    "the model has sparse weights; make them dense": lambda: with_sparse_weights(),
    "the graph has no LSTM node; some exporters write": lambda: as_model(
        [node("Sigmoid", "x", "y")], {}
    ),
    "LSTM nodes do not depend on its inputs": lambda: graph(
        Y_IS_HIDDEN, x="ones", arrays={"ones": np.ones((2, 2, I), np.float32)}
    ),
    r"the graph takes \['x', 'z'\]; give one that takes x alone": lambda: graph(
        Y_IS_HIDDEN, inputs={"x": (FLOAT, ("b", "t", I)), "z": (FLOAT, (1,))}
    ),
    r"input 'x' has shape \(None, None, 4\); its LSTM nodes ask": lambda: graph(
        Y_IS_HIDDEN, inputs={"x": (FLOAT, ("b", "t", I + 1))}
    ),
    r"input 'x' has shape \(0, 7, 3\), on which it cannot be tried": lambda: graph(
        Y_IS_HIDDEN, inputs={"x": (FLOAT, (0, 7, I))}
    ),
    r"input 'x' has shape \(None, 100000, 3\), on which": lambda: graph(
        Y_IS_HIDDEN, inputs={"x": (FLOAT, ("b", 100000, I))}
    ),
    r"asks for 1,099,511,627,776 numbers; at most 268,435,456": lambda: graph(
        node("ConstantOfShape", "huge", "zeros"), Y_IS_HIDDEN, arrays={"huge": np.array([2**40])}
    ),
    "node 'y' cannot be computed: ": lambda: graph(
        node("Reshape", "by_row seven", "y"), arrays={"seven": np.array([7, 7, 7])}
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_no_lstm_with_a_readout_is_refused_by_name(message):
    with pytest.raises(InputError, match=message) as caught:
        from_onnx(REFUSED[message]())
    assert "\n" not in str(caught.value)


def test_a_graph_of_too_many_numbers_is_refused(monkeypatch):
    monkeypatch.setattr("lstm_baseline.interop.onnx.graph.MOST_NUMBERS", 1000)
    copies = [node("Identity", f"copy{k}", f"copy{k + 1}") for k in range(50)]
    made = graph(node("Identity", "by_row", "copy0"), *copies, node("Identity", "copy50", "y"))
    with pytest.raises(InputError, match="the graph has over 1,000 numbers"):
        from_onnx(made)
