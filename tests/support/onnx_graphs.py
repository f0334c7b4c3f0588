"""Small ONNX models, written node by node."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOAT = onnx.TensorProto.FLOAT


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
