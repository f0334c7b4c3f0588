"""ONNX graphs that are more than an LSTM with a linear readout: refused by the node's name."""

from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.errors import InputError
from lstm_baseline.interop import from_onnx
from tests.support.models import scatter

onnx = pytest.importorskip("onnx", reason="reads ONNX, which is not installed")

from lstm_baseline.interop.onnx.lstm import node_attributes  # noqa: E402
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


def doubled(operator, value, **attributes):
    """Return nodes that apply an operator to a value and itself, over and over."""
    names = [value, *(f"doubled{k}" for k in range(40))]
    return [node(operator, f"{a} {a}", b, **attributes) for a, b in pairwise(names)]


def with_sparse_weights():
    made = graph(Y_IS_HIDDEN)
    values = onnx.numpy_helper.from_array(np.ones(1, np.float32), "sparse")
    places = onnx.numpy_helper.from_array(np.zeros(1, np.int64), "places")
    made.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, [9]))
    return made


WITH_LENGTHS = {"x": (FLOAT, ("b", "t", I)), "n": (onnx.TensorProto.INT32, ("b",))}
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
    "LSTM node 'rnn0' has sequence_lens that are neither an input of the graph": lambda: graph(
        Y_IS_HIDDEN, lengths="ends", arrays={"ends": np.array([3, 4], np.int32)}
    ),
    "'rnn0' does not take the graph's input 'n' as its sequence_lens": lambda: graph(
        Y_IS_HIDDEN, inputs=WITH_LENGTHS
    ),
    "Mul node 'half_of_n' computes with the lengths of rows in a way": lambda: graph(
        Y_IS_HIDDEN,
        before=[node("Mul", "n two", "half_of_n")],
        lengths="half_of_n",
        inputs=WITH_LENGTHS,
    ),
    "output 'y' of the graph is not what": lambda: graph(  # the last step, not the last of each row
        node("Gather", "by_row last", "y", axis=1),
        lengths="n",
        arrays={"last": np.array(-1)},
        inputs=WITH_LENGTHS,
        outputs={"y": 2},
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
    "has clip None and LSTM node 'rnn1' 2.0": lambda: second_layer(clip=2.0),
    "has bias True and LSTM node 'rnn1' False": lambda: second_layer(bias=False),
    "'rnn1' does not take the outputs of LSTM node 'rnn0' as they are": lambda: second_layer(
        node("Concat", "H0 H0", "H", axis=2), x="H", input_size=2 * H
    ),
    "LSTM node 'rnn1' does not take the outputs of": lambda: second_layer(x="X", input_size=I),
    "Mul node 'H' changes the outputs of LSTM nodes": lambda: second_layer(
        node("Mul", "H0 half", "H"), x="H"
    ),
    "Slice node 'H' changes the outputs of LSTM nodes": lambda: second_layer(
        node("Slice", "H0 zero two two", "H"), x="H", input_size=2
    ),
    # After them.
    "Mul node 'y' changes the outputs of LSTM nodes; an LSTM has at most": lambda: graph(
        *DENSE[:1], node("Mul", "product half", "y"), arrays=HALF
    ),
    "Add node 'y' changes the outputs of LSTM nodes": lambda: graph(
        node("Add", "by_row by_row", "y")
    ),
    "Gather node 'y' changes the outputs": lambda: graph(
        node("Gather", "by_row two", "y", axis=1), outputs={"y": 3}
    ),
    "Slice node 'y' changes the outputs": lambda: graph(
        node("Slice", "by_row zero fifty one", "y"), arrays={"fifty": np.array([50])}
    ),
    "Less node 'far' changes the outputs": lambda: graph(
        node("Less", "by_row huge", "far"),
        node("Where", "far by_row huge", "y"),
        arrays={"huge": np.float32(1e30)},
    ),
    "ReduceSum node 'y' changes the outputs": lambda: graph(
        node("ReduceSum", "by_row two", "y", keepdims=0), outputs={"y": 2}
    ),
    "Concat node 'z' changes the outputs": lambda: graph(
        *DENSE, node("Concat", "y y", "z", axis=2), outputs={"z": 3}
    ),
    "output 'y' of the graph is not what its LSTM nodes and a": lambda: graph(
        node("Gather", "by_row first", "y", axis=1), arrays={"first": np.array(0)}, outputs={"y": 2}
    ),
    "output 'z' of the graph is not what its LSTM nodes": lambda: graph(
        *DENSE, node("Identity", "by_row", "z"), outputs={"y": 3, "z": 3}
    ),
    "output 'z' of the graph has a linear layer of its own": lambda: graph(
        *DENSE, node("MatMul", "by_row kernel", "z"), outputs={"y": 3, "z": 3}
    ),
    "MatMul node 'product' changes the outputs": lambda: as_model(  # both directions interleaved
        [
            layer(BOTH, x="x")[0],
            node("Transpose", "Y0", "by_unit", perm=[0, 2, 3, 1]),
            node("Reshape", "by_unit joined", "by_row"),
            *DENSE,
        ],
        layer(BOTH)[1]
        | {
            "joined": np.array([0, 0, 2 * H]),
            "kernel": np.ones((2 * H, O), np.float32),
            "bias": np.ones(O, np.float32),
        },
    ),
    "puts both directions together in more than one way: concatenate and sum": lambda: as_model(
        [layer(BOTH, x="x")[0], node("ReduceSum", "Y0 one", "y")],
        layer(BOTH)[1] | {"one": np.array([1])},
        outputs={"Y0": 4, "y": 4},
    ),
    "is a second linear layer; an LSTM has one readout": lambda: graph(
        *DENSE, node("MatMul", "y more", "z"), arrays={"more": np.eye(O, dtype=np.float32)}
    ),
    "adds a second bias": lambda: graph(*DENSE, node("Add", "y bias", "z"), outputs={"z": 3}),
    r"MatMul node 'y' has weights of shape \(5,\); a linear layer's": lambda: graph(
        node("MatMul", "by_row kernel", "y"), arrays={"kernel": np.ones(H, np.float32)}
    ),
    "MatMul node 'y' has weights that depend on the graph's inputs": lambda: graph(
        node("Transpose", "by_row", "turned", perm=[0, 2, 1]), node("MatMul", "by_row turned", "y")
    ),
    "Mul node 'z' changes": lambda: graph(
        Y_IS_HIDDEN, node("Mul", "by_row half", "z"), arrays=HALF, outputs={"y": 3, "z": 3}
    ),
    "the graph gives states only; ": lambda: graph(node("Identity", "Yc0", "y")),
    # The model as a whole.
    "has the operator 'Softmax', node 'y'; understood are": lambda: graph(
        node("Softmax", "by_row", "y")
    ),
    "has the operator 'GRU', node 'y'; ": lambda: graph(
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
    r"the graph takes \['x', 'z'\]; give one that takes x, or x and the lengths": lambda: graph(
        Y_IS_HIDDEN, inputs={"x": (FLOAT, ("b", "t", I)), "z": (FLOAT, (1,))}
    ),
    r"input 'x' has shape \(None, None, 4\); its LSTM nodes ask": lambda: graph(
        Y_IS_HIDDEN, inputs={"x": (FLOAT, ("b", "t", I + 1))}
    ),
    r"input 'x' has shape \(0, 7, 3\), on which it cannot be tried": lambda: graph(
        Y_IS_HIDDEN, inputs={"x": (FLOAT, (0, 7, I))}
    ),
    r"input 'x' has shape \(None, 1099511627776, 3\), on which": lambda: graph(
        Y_IS_HIDDEN, inputs={"x": (FLOAT, ("b", 2**40, I))}
    ),
    "input 'x' has type FLOAT16; convert the model to float32 or": lambda: graph(
        Y_IS_HIDDEN,
        before=[node("Cast", "X", "wide", to=FLOAT)],
        x="wide",
        inputs={"x": (onnx.TensorProto.FLOAT16, ("b", "t", I))},
    ),
    r"asks for 1,099,511,627,776 numbers; at most 268,435,456": lambda: graph(
        node("ConstantOfShape", "huge", "zeros"), Y_IS_HIDDEN, arrays={"huge": np.array([2**40])}
    ),
    "Reshape node 'y' changes the outputs": lambda: graph(
        node("Reshape", "by_row seven", "y"), arrays={"seven": np.array([7, 7, 7])}
    ),
    "node 'seven' cannot be computed: ": lambda: graph(
        node("Reshape", "one sizes", "seven"), Y_IS_HIDDEN, arrays={"sizes": np.array([7, 7])}
    ),
    # Small files that ask for much.
    "Concat node 'doubled[0-9]+' changes the outputs": lambda: graph(
        *doubled("Concat", "Y0", axis=1), Y_IS_HIDDEN
    ),
    "Concat node 'doubled[0-9]+' computes with the lengths of x": lambda: graph(
        node("Shape", "x", "shape"), *doubled("Concat", "shape", axis=0), Y_IS_HIDDEN
    ),
    "Unsqueeze node 'wide' changes the outputs": lambda: graph(
        node("Unsqueeze", "by_row many", "wide"),
        Y_IS_HIDDEN,
        arrays={"many": np.arange(3, 5000)},
    ),
    "Mul node 'doubled[0-9]+' computes with the lengths of x": lambda: graph(
        node("Shape", "x", "shape"), *doubled("Mul", "shape"), Y_IS_HIDDEN
    ),
}


BEFORE = {
    "a sentinel": [node("Less", "x low", "bad"), node("Where", "bad nothing x", "z")],
    "a ceiling": [node("Less", "x high", "good"), node("Where", "good x high", "z")],
    "the last 5,000 steps": [node("Slice", "x minus_5000 open one", "z")],
    "the first 5,000 steps": [node("Slice", "x zero plus_5000 one", "z")],
    "every second step": [node("Slice", "x zero open one two", "z")],
    "backwards": [node("Slice", "x minus_one minus_open one minus_one", "z")],
    "two features": [node("Slice", "x zero two two", "z")],
    "the same features twice": [node("Concat", "x x", "z", axis=2)],
    "rows in another order": [node("Gather", "x order", "z", axis=0)],
    "times one": [node("Mul", "x unit", "z")],
    "plus next to nothing": [node("Add", "x tiny", "z")],
    "whole numbers": [node("Cast", "x", "whole", to=7), node("Cast", "whole", "z", to=FLOAT)],
    "a mean": [node("ReduceMean", "x", "z", axes=[1])],
    "dropout": [node("Dropout", "x half true", "z")],
    "batch and time mixed": [
        node("Shape", "x", "shape"),
        node("Gather", "shape swapped", "other"),
        node("Reshape", "x other", "z"),
    ],
    "steps by their number": [
        node("Shape", "x", "shape"),
        node("Gather", "shape one_alone", "num_steps"),
        node("Range", "zero_alone num_steps one_alone", "steps"),
        node("Less", "steps plus_5000", "early"),
        node("Unsqueeze", "early two", "early_steps"),
        node("Where", "early_steps x nothing", "z"),
    ],
    "long ones in another way": [
        node("Shape", "x", "shape"),
        node("Gather", "shape one_alone", "num_steps"),
        node("Less", "num_steps plus_5000", "short"),
        node("Where", "short x nothing", "z"),
    ],
}
NUMBERS = {
    "low": np.float32(-900),
    "high": np.float32(10),
    "nothing": np.float32(0),
    "unit": np.float32(1),
    "tiny": np.float32(1e-9),
    "half": np.float32(0.5),
    "true": np.array(True),
    "order": np.array([1, 0]),
    "swapped": np.array([1, 0, 2]),
    "minus_one": np.array([-1]),
    "minus_5000": np.array([-5000]),
    "plus_5000": np.array([5000]),
    "open": np.array([2**31]),
    "minus_open": np.array([-(2**31)]),
    "zero_alone": np.array(0),
    "one_alone": np.array(1),
}


@pytest.mark.parametrize("what", BEFORE)
def test_what_changes_x_is_refused_by_name_however_rarely_it_does(what, monkeypatch):
    """By structure alone: no numbers are tried."""
    monkeypatch.setattr("lstm_baseline.interop.onnx.importing._trials", lambda *_: ())
    lstm, weights = layer(make_model(), x="z", layout=1)
    nodes = [*BEFORE[what], lstm, node("Squeeze", "Y0 two", "y")]
    made = as_model(nodes, weights | numbers() | NUMBERS)
    with pytest.raises(InputError, match=r"node '\w+' (changes x; an LSTM|computes with)"):
        from_onnx(made)


def test_what_changes_nothing_is_taken():
    model = make_model(output_size=1)
    lstm, weights = layer(model, x="z", layout=1)
    nodes = [
        node("Identity", "x", "same"),
        node("Dropout", "same half", "kept"),
        node("Slice", "kept zero open one", "all"),
        node("Shape", "x", "shape"),
        node("Reshape", "all minus_one", "flat"),
        node("Reshape", "flat shape", "whole"),
        node("Cast", "whole", "wide", to=onnx.TensorProto.DOUBLE),
        node("Cast", "wide", "z", to=FLOAT),
        lstm,
        node("Squeeze", "Y0 two", "by_row"),
        node("Flatten", "by_row", "rows", axis=2),
        node("Gemm", "rows kernel bias", "products"),
        node("Slice", "shape zero two", "outer"),
        node("Reshape", "products outer", "y"),
    ]
    made = as_model(nodes, weights | numbers(model) | NUMBERS, outputs={"y": 2})
    assert_same_model(from_onnx(made), model)


def test_the_trial_finds_what_the_walk_might_miss(monkeypatch):
    """A walk that took every slice for the whole is found out."""
    operators = import_module("lstm_baseline.interop.onnx.symbolic")._OPERATORS
    monkeypatch.setitem(operators, "Slice", lambda x, *_: x)
    made = graph(node("Slice", "by_row minus_one minus_open one minus_one", "y"), arrays=NUMBERS)
    with pytest.raises(InputError, match="output 'y' of the graph has other values than an LSTM"):
        from_onnx(made)


# What has no LSTM node in its main graph.


def inside(operator, *, attribute):
    """Return a model with an LSTM node in a subgraph."""
    lstm, weights = layer(make_model(), x="x")
    inner = onnx.helper.make_graph([lstm], "inner", [], [])
    outer = node(operator, "yes", "y", name="outer", **{attribute: inner})
    return as_model([outer], weights | {"yes": np.array(True)}, outputs={"y": 4})


ABSENT = {
    "no LSTM node but a GRU, 'y'; an LSTM has other equations": lambda: as_model(
        [node("GRU", "x W R", "y", hidden_size=H)],
        {"W": np.ones((1, 3 * H, I), np.float32), "R": np.ones((1, 3 * H, H), np.float32)},
    ),
    "no LSTM node but a RNN, 'y'": lambda: as_model(
        [node("RNN", "x W R", "y", hidden_size=H)],
        {"W": np.ones((1, H, I), np.float32), "R": np.ones((1, H, H), np.float32)},
    ),
    "LSTM node 'rnn0' is in a subgraph, the else_branch of If node 'outer'; export": lambda: inside(
        "If", attribute="else_branch"
    ),
    "LSTM node 'rnn0' is in a subgraph, the body of Loop node 'outer'": lambda: inside(
        "Loop", attribute="body"
    ),
    "DynamicQuantizeLSTM node 'y' is quantised; take the model from before": lambda: as_model(
        [node("DynamicQuantizeLSTM", "x", "y", domain="com.microsoft")],
        {},
        opsets=[onnx.helper.make_opsetid("com.microsoft", 1)],
    ),
    r"no LSTM node; the operator my\.FusedLSTM, node 'y', is none of ONNX's own": lambda: as_model(
        [node("FusedLSTM", "x", "y", domain="my")],
        {},
        opsets=[onnx.helper.make_opsetid("my", 1)],
    ),
    "LSTM node 'rnn0' is in the function 'Layer'; export": lambda: as_model(
        [node("Layer", "x", "y", domain="my")],
        {},
        functions=[
            onnx.helper.make_function(
                "my", "Layer", ["a"], ["b"], [layer(BOTH, x="a")[0]], OPSET_14
            )
        ],
        opsets=[onnx.helper.make_opsetid("my", 1)],
    ),
}


@pytest.mark.parametrize("message", ABSENT)
def test_a_graph_without_an_lstm_says_what_it_has(message, monkeypatch):
    # Subgraphs and functions here are no whole ones.
    monkeypatch.setattr("onnx.checker.check_model", lambda *_: None)
    with pytest.raises(InputError, match=message) as caught:
        from_onnx(ABSENT[message]())
    assert "\n" not in str(caught.value)


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
