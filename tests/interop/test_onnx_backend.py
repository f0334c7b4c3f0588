"""The backend: ONNX's own tests of the operator LSTM, ONNX Runtime, and refusals by name."""

import unittest
import warnings

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.errors import InputError
from lstm_baseline.interop import to_onnx
from tests.support.models import normal, random_state, scatter

onnx = pytest.importorskip("onnx", reason="runs ONNX models, and onnx is not installed")

from lstm_baseline.interop.onnx.lstm import node_attributes, node_weights  # noqa: E402
from lstm_baseline.interop.onnx_backend import LSTMBackend  # noqa: E402
from tests.support.onnx_graphs import as_model, node  # noqa: E402

B, T, I, H = 4, 6, 3, 5


@pytest.fixture(scope="module")
def onnx_tests():
    from onnx.backend.test import BackendTest

    with warnings.catch_warnings():
        # From data of other operators' tests, which are made as well.
        warnings.simplefilter("ignore", RuntimeWarning)
        runner = BackendTest(LSTMBackend, __name__).include("test_lstm_.*")
        return runner.test_cases["OnnxBackendNodeModelTest"]


@pytest.mark.parametrize(
    "name",
    ["defaults", "with_initial_bias", "with_peepholes", "batchwise", "reverse", "bidirectional"],
)
def test_onnx_own_tests(onnx_tests, name):
    result = unittest.TestResult()
    onnx_tests(f"test_lstm_{name}_cpu").run(result)
    assert result.testsRun == 1
    assert not result.skipped
    assert not result.errors + result.failures


def test_these_are_all_of_onnx_own_tests(onnx_tests):
    names = [n for n in dir(onnx_tests) if n.startswith("test_lstm_") and n.endswith("_cpu")]
    assert len(names) == 6


VARIANTS = [
    {},
    {"bidirectional": True, "peepholes": True},
    {"bidirectional": True, "coupled_gates": True, "clip": 0.6, "bias": False},
    {"activations": ("hard_sigmoid", ("leaky_relu", 0.1), ("scaled_tanh", 1.2, 0.8))},
]


@pytest.mark.parametrize(
    ("variant", "direction"),
    [(v, "bidirectional" if v.get("bidirectional") else "forward") for v in VARIANTS]
    + [(v, "reverse") for v in VARIANTS if not v.get("bidirectional")],
    ids=str,
)
def test_every_input_and_output_against_onnxruntime(variant, direction):
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs the same in ONNX Runtime")
    model = scatter(LSTM(I, H, **variant, rng=0))
    D = 2 if model.bidirectional else 1
    weights = node_weights(model, model.suffixes)
    attributes = node_attributes(model, 0) | {"direction": direction}
    feeds = {
        "x": normal(T, B, I, dtype=np.float32),
        "lengths": np.array([6, 1, 4, 3], np.int32),
        "h": normal(D, B, H, seed=1, dtype=np.float32),
        "c": normal(D, B, H, seed=2, dtype=np.float32),
    }
    names = [name if name in weights else "-" for name in ("W", "R", "B", "P")]
    text = "x {} {} {} lengths h c {}".format(*names)
    kinds = {"x": 1, "lengths": 6, "h": 1, "c": 1}
    peer = as_model(
        [node("LSTM", text, "y y_h y_c", **attributes)],
        weights,
        inputs={name: (kind, feeds[name].shape) for name, kind in kinds.items()},
        outputs={"y": 4, "y_h": 3, "y_c": 3},
    )
    session = onnxruntime.InferenceSession(
        peer.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = session.run(None, feeds)
    outputs = LSTMBackend.run_model(peer, list(feeds.values()))
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["HardSigmoid", "Elu", "leakyrelu", "SOFTSIGN"])
def test_activations_by_default_against_onnxruntime(name):
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs the same in ONNX Runtime")
    model = scatter(LSTM(I, H, rng=0))
    lstm = node("LSTM", "x W R B", "y", hidden_size=H, activations=["Sigmoid", name, name])
    peer = as_model([lstm], node_weights(model, model.suffixes), outputs={"y": 4})
    x = normal(T, B, I, dtype=np.float32)
    session = onnxruntime.InferenceSession(
        peer.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": x})
    (y,) = LSTMBackend.run_model(peer, [x])
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6 * scale)


def test_layout_1_is_layout_0_with_the_batch_first():
    model = scatter(LSTM(I, H, bidirectional=True, rng=0))
    weights = node_weights(model, model.suffixes)
    x, start = normal(B, T, I, dtype=np.float32), random_state(model, B)
    h, c = (part.astype(np.float32) for part in start)
    text, attributes = "x W R B - h c", node_attributes(model, 0)
    given = list(weights.values())
    by_time = LSTMBackend.run_node(
        node("LSTM", text, "y h_n c_n", **attributes), [x.swapaxes(0, 1), *given, h, c]
    )
    by_row = LSTMBackend.run_node(
        node("LSTM", text, "y h_n c_n", layout=1, **attributes),
        [x, *given, h.swapaxes(0, 1), c.swapaxes(0, 1)],
    )
    np.testing.assert_array_equal(by_row[0], by_time[0].transpose(2, 0, 1, 3))
    for k in (1, 2):
        np.testing.assert_array_equal(by_row[k], by_time[k].swapaxes(0, 1))


@pytest.mark.parametrize("options", [{}, {"lengths": True}, {"return_sequences": False}], ids=str)
def test_float64(options, tmp_path):
    model = scatter(LSTM(I, H, 2, num_layers=2, bidirectional=True, dtype=np.float64, rng=0))
    path = tmp_path / "model.onnx"
    to_onnx(model, path, **options)
    x, lengths = normal(B, T, I), np.array([6, 0, 4, 3], np.int32)
    prepared = LSTMBackend.prepare(onnx.load(path))
    forward = {"return_sequences": options.get("return_sequences", True)}
    feeds = {"x": x}
    if "lengths" in options:
        forward["lengths"] = feeds["lengths"] = lengths
    (y,) = prepared.run(feeds)
    (again,) = prepared.run(list(feeds.values()))
    np.testing.assert_array_equal(y, again)
    np.testing.assert_allclose(y, model.forward(x, **forward), rtol=0, atol=1e-14)


OPERATORS = {
    # operator: (inputs, attributes, expected)
    "Slice backwards": (
        "Slice",
        [np.arange(6), np.array([4]), np.array([-100]), np.array([0]), np.array([-2])],
        {},
        [4, 2, 0],
    ),
    "Slice of two axes": (
        "Slice",
        [np.arange(6).reshape(2, 3), np.array([1, 0]), np.array([9, -1])],
        {},
        [[3, 4]],
    ),
    "Shape of a part": ("Shape", [np.ones((2, 3, 4))], {"start": 1, "end": -1}, [3]),
    "Reshape keeps a length": (
        "Reshape",
        [np.arange(6).reshape(2, 3), np.array([0, -1, 1])],
        {},
        [[[0], [1], [2]], [[3], [4], [5]]],
    ),
    "Expand both ways": ("Expand", [np.ones((2, 1)), np.array([1, 3])], {}, np.ones((2, 3))),
    "Gather from the end": (
        "Gather",
        [np.arange(6).reshape(2, 3), np.array(-1)],
        {"axis": 1},
        [2, 5],
    ),
    "Gemm": (
        "Gemm",
        [np.ones((2, 3)), np.ones((2, 4)), np.ones(1)],
        {"alpha": 0.5, "beta": 3.0, "transA": 1},
        np.full((3, 4), 4.0),
    ),
    "Squeeze": ("Squeeze", [np.ones((1, 2, 1))], {}, [1, 1]),
    "Squeeze one": ("Squeeze", [np.ones((1, 2, 1)), np.array([-1])], {}, [[1, 1]]),
    "Unsqueeze": ("Unsqueeze", [np.ones(2), np.array([0, 2])], {}, [[[1], [1]]]),
    "Range": ("Range", [np.array(1), np.array(6), np.array(2)], {}, [1, 3, 5]),
    "Where": ("Where", [np.array([True, False]), np.ones(1), np.zeros(2)], {}, [1, 0]),
    "Less": ("Less", [np.arange(3), np.array(1)], {}, [True, False, False]),
    "Mul": ("Mul", [np.arange(3), np.array([[2], [3]])], {}, [[0, 2, 4], [0, 3, 6]]),
    "Cast": ("Cast", [np.array([1.7, -1.7])], {"to": 7}, [1, -1]),
    "ConstantOfShape": ("ConstantOfShape", [np.array([2])], {}, [0, 0]),
    "Transpose": ("Transpose", [np.arange(2).reshape(1, 2)], {}, [[0], [1]]),
    "Identity": ("Identity", [np.arange(2)], {}, [0, 1]),
    "Dropout": ("Dropout", [np.arange(2.0), np.array(0.5), np.array(False)], {}, [0, 1]),
    "Flatten": (
        "Flatten",
        [np.arange(6).reshape(1, 2, 3)],
        {"axis": 2},
        [[0, 1, 2], [3, 4, 5]],
    ),
    "Flatten from the end": ("Flatten", [np.ones((2, 1, 3))], {"axis": -3}, np.ones((1, 6))),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name):
    operator, inputs, attributes, expected = OPERATORS[name]
    names = " ".join(f"in{k}" for k in range(len(inputs)))
    (y,) = LSTMBackend.run_node(node(operator, names, "y", **attributes), inputs)
    np.testing.assert_array_equal(y, expected)
    assert y.shape == np.shape(expected)


def test_split_by_lengths_and_by_number():
    x = np.arange(6)
    by_lengths = LSTMBackend.run_node(node("Split", "x n", "a b"), [x, np.array([4, 2])])
    by_number = LSTMBackend.run_node(node("Split", "x", "a b", num_outputs=2), [x])
    assert [part.tolist() for part in by_lengths] == [[0, 1, 2, 3], [4, 5]]
    assert [part.tolist() for part in by_number] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(InputError, match="Split node 'a b c' has 3 outputs; it gives 2"):
        LSTMBackend.run_node(node("Split", "x", "a b c", num_outputs=2), [x])


@pytest.mark.parametrize(
    ("constant", "expected"),
    [
        ({"value_int": 3}, 3),
        ({"value_ints": [1, 2]}, [1, 2]),
        ({"value_float": 0.5}, 0.5),
        ({"value_floats": [0.5]}, [0.5]),
    ],
    ids=str,
)
def test_constants(constant, expected):
    (y,) = LSTMBackend.run_node(node("Constant", "", "y", **constant), [])
    np.testing.assert_array_equal(y, expected)


def test_what_is_not_understood_is_refused_by_name():
    softmax = as_model([node("Softmax", "x", "y")], {})
    with pytest.raises(InputError, match="has the operator 'Softmax', node 'y'; understood are"):
        LSTMBackend.prepare(softmax)
    assert not LSTMBackend.is_compatible(softmax)
    assert LSTMBackend.is_compatible(as_model([node("Identity", "x", "y")], {}))
    with pytest.raises(InputError, match="device is 'CUDA'; give CPU"):
        LSTMBackend.prepare(softmax, "CUDA")
    with pytest.raises(onnx.checker.ValidationError):
        LSTMBackend.prepare(as_model([node("Identity", "nothing", "y")], {}))


def test_inputs_that_do_not_fit_are_refused():
    prepared = LSTMBackend.prepare(as_model([node("Identity", "x", "y")], {}))
    with pytest.raises(InputError, match=r"got 2 inputs; the graph takes 1: \['x'\]"):
        prepared.run([np.ones(1), np.ones(1)])
    with pytest.raises(InputError, match=r"input 'x' is missing; the graph takes \['x'\]"):
        prepared.run({"z": np.ones(1)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.ones((T, B, I + 1), np.float32)}, r"X has shape \(6, 4, 4\); W asks for three"),
        ({"lengths": np.array([1, 2, 3, 7], np.int32)}, "lengths runs from 1 to 7; x has 6 steps"),
        ({"lengths": np.array([1], np.int32)}, r"lengths has shape \(1,\); give one number a row"),
        ({"h": np.zeros((1, B, 1), np.float32)}, r"initial_h has shape \(1, 4, 1\); expected"),
        ({"R": np.ones((1, 4 * H, 2), np.float32)}, r"LSTM node 'y' .* R has shape \(1, 20, 2\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nodes_that_cannot_be_computed_are_named(changes, message):
    model = LSTM(I, H, rng=0)
    given = {
        "x": normal(T, B, I, dtype=np.float32),
        **node_weights(model, model.suffixes),
        "lengths": np.full(B, T, np.int32),
        "h": np.zeros((1, B, H), np.float32),
    } | changes
    with pytest.raises(InputError, match=message):
        LSTMBackend.run_node(node("LSTM", " ".join(given), "y"), list(given.values()))
