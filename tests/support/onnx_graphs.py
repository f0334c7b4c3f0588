"""Small ONNX models, written node by node."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from lstm_baseline import LSTM
from lstm_baseline.interop.onnx.lstm import node_weights
from tests.support.models import assert_same_arrays, scatter

FLOAT = onnx.TensorProto.FLOAT
I, H, O = 3, 5, 2


def node(operator, inputs, outputs, **attributes):
    """Return a node; inputs and outputs are names in one string, "-" for one left out."""
    names = ([("" if n == "-" else n) for n in text.split()] for text in (inputs, outputs))
    return helper.make_node(operator, *names, **attributes)


def as_model(nodes, arrays, *, inputs=None, outputs=None, opset=14, opsets=(), **options):
    """Return a model of nodes and arrays by name; it takes x (B, T, 3) and gives y, three axes.

    Parameters
    ----------
    inputs
        Types and shapes by name.
    outputs
        Numbers of axes by name.
    """
    inputs = inputs or {"x": (FLOAT, ("b", "t", 3))}
    outputs = outputs or {"y": 3}
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [value(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [value(name, FLOAT, [None] * axes) for name, axes in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset), *opsets]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **options)


def make_model(dtype=np.float32, **form):
    return scatter(LSTM(I, H, **form, dtype=dtype, rng=0))


def assert_same_model(given, expected):
    assert given.config == expected.config
    assert_same_arrays(given.params, expected.params)


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
