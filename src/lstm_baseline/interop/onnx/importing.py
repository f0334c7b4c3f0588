"""An ONNX model as an LSTM.

A graph does not say what it is meant to be, and exporters write one thing in many ways. So weights
are read from its LSTM nodes and the linear layer after them, and then the graph's own values are
checked node by node: all other nodes may do no more than put axes in their places.
"""

from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.models.stack import MERGES
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.interop.onnx.file import read_model
from lstm_baseline.interop.onnx.graph import Graph, Node, as_graph
from lstm_baseline.interop.onnx.lstm import Direction, read_directions

if TYPE_CHECKING:
    from onnx import ModelProto

SEQUENCE_LENS = 4
WEIGHTS = {"W": 1, "R": 2, "B": 3, "P": 7}
STATES = {"initial_h": 5, "initial_c": 6}
"""Places of these among the inputs of an LSTM node."""

MOST_STEPS = 2**12
"""Largest batch and time on which a model is tried, so that it does not take minutes."""


def from_onnx(source: "str | Path | ModelProto") -> LSTM:
    """Return an LSTM that gives the outputs of an ONNX model.

    The model's graph has LSTM nodes, one after another, and at most a linear layer after them. This
    is what PyTorch's exporters write, and Keras's with tf2onnx. It takes x, batch or time first.
    Before the LSTM is returned, its outputs are compared with the graph's on random inputs.

    A graph that gives only the last step is the LSTM with ``return_sequences=False``. If it takes
    both directions at the last step, the first step that the backward direction sees, it is
    ``forward(x)[:, -1]``.

    Parameters
    ----------
    source
        Path of a file, or an ``onnx.ModelProto``.

    Raises
    ------
    FileError
        If the file is missing, damaged, too large or not ONNX, or its data lie outside its folder.
    InputError
        If the model does anything that an LSTM with a linear readout does not, or starts from a
        state that is not zero.
    """
    file = read_model(source)
    if all(node.op_type != "LSTM" for node in file.graph.node):
        raise InputError(
            "the graph has no LSTM node; some exporters write the operations of each step instead, "
            "as Keras's does on PyTorch: take the weights from the original model"
        )
    graph = as_graph(file).folded()
    nodes = [node for node in graph.nodes if node.operator == "LSTM"]
    if not nodes:
        raise InputError("the graph's LSTM nodes do not depend on its inputs")
    layers, readout = [_layer(node, graph) for node in nodes], _readout(graph, nodes[-1])
    # Only the graph's values show how directions are merged.
    refused: list[InputError] = []
    for merge in MERGES if len(layers[0]) == 2 else MERGES[:1]:
        try:
            model = _model(nodes, layers, readout, merge)
            for x in _trials(graph, model):
                _check(graph, nodes, model, x)
            return model
        except InputError as error:
            refused.append(error)
    raise refused[0]


def _layer(node: Node, graph: Graph) -> list[Direction]:
    """Return the directions of a node, forward first."""
    if node.input(SEQUENCE_LENS):
        raise InputError(
            f"{node} takes sequence_lens; export without them, and give lengths to forward instead"
        )
    arrays: dict[str, Any] = {}
    for name, k in WEIGHTS.items():
        if source := node.input(k):
            arrays[name] = _weights(f"{name} of {node}", source, graph)
    attributes = {name: value for name, value in node.attributes.items() if name != "layout"}
    try:
        directions = read_directions(**arrays, **attributes)
    except InputError as error:
        raise InputError(f"{node}: {error}") from error
    if directions[0].backwards:
        raise InputError(
            f"{node} runs in reverse only; an LSTM runs forward, or in both directions"
        )
    if directions[0].variant != directions[-1].variant:
        raise InputError(f"{node} has other activations backward; an LSTM has the same")
    return directions


def _weights(what: str, name: str, graph: Graph) -> FloatArray:
    if name not in graph.constants:
        raise InputError(f"{what} is no constant; it depends on the graph's inputs")
    array: FloatArray = graph.constants[name]
    if array.dtype.kind != "f":
        raise InputError(f"{what} has dtype {array.dtype}; expected float32 or float64")
    if not np.isfinite(array).all():
        raise InputError(f"{what} holds numbers that are not finite")
    return array


def _model(
    nodes: list[Node],
    layers: list[list[Direction]],
    readout: tuple[FloatArray, FloatArray] | None,
    merge: str,
) -> LSTM:
    """Return the LSTM with the weights of all layers."""

    def form(directions: list[Direction]) -> dict[str, Any]:
        variant, params, _ = directions[0]
        return {
            "hidden_size": params["U"].shape[1],
            "bidirectional": len(directions) == 2,
            "dtype": params["W"].dtype.name,
            **variant._asdict(),
        }

    options = form(layers[0])
    for node, directions in zip(nodes, layers, strict=True):
        for name, value in form(directions).items():
            if value != options[name]:
                raise InputError(
                    f"{nodes[0]} has {name} {options[name]} and {node} {value}; "
                    "an LSTM has one for all layers"
                )
    model = LSTM(
        layers[0][0].params["W"].shape[1],
        output_size=None if readout is None else len(readout[0]),
        num_layers=len(layers),
        merge=merge,
        initialization="zeros",
        **options,
    )
    given = {
        f"{name}{suffix}": value
        for suffix, direction in zip(model.suffixes, chain(*layers), strict=True)
        for name, value in direction.params.items()
    }
    if readout is not None:
        given |= {"W_out": readout[0], "b_out": readout[1]}
    for name, value in given.items():
        if value.shape != model.params[name].shape:
            expected = model.params[name].shape
            raise InputError(f"the graph has {name} with shape {value.shape}; expected {expected}")
        model.params[name][...] = value
    return model


def _readout(graph: Graph, last: Node) -> tuple[FloatArray, FloatArray] | None:
    """Return W_out (O, ·) and b_out (O,) of the linear layer after the last LSTM node, if any.

    This does not check that they are applied as a readout: the outputs show it.
    """
    after, W_out, b_out = set(filter(None, last.outputs)), None, None
    for node in graph.nodes:
        if not after.intersection(node.inputs) or node is last:
            continue
        after.update(filter(None, node.outputs))
        weights: FloatArray | None = None
        bias: str = ""
        if node.operator in ("MatMul", "Gemm"):
            weights = _weights(f"the second factor of {node}", node.input(1), graph)
            weights = weights if node.attributes.get("transB") else weights.T
            weights = node.attributes.get("alpha", 1.0) * weights
            bias = node.input(2)
        elif node.operator == "Add":
            # An Add may also compute a shape, but shapes are whole numbers.
            constants = [name for name in node.inputs if name in graph.constants]
            bias = next((n for n in constants if graph.constants[n].dtype.kind == "f"), "")
        if weights is not None:
            if W_out is not None:
                raise InputError(f"{node} is a second linear layer; an LSTM has one readout")
            W_out = weights
        if bias:
            if b_out is not None:
                raise InputError(f"{node} adds a second bias; an LSTM has one readout")
            b_out = _weights(f"the bias of {node}", bias, graph) * node.attributes.get("beta", 1.0)
    if W_out is None:
        return None
    if W_out.ndim != 2 or (b_out is not None and b_out.size not in (1, len(W_out))):
        shapes = f"{W_out.shape} and {None if b_out is None else b_out.shape}"
        raise InputError(f"the linear layer has weights and bias of shapes {shapes}")
    b = np.zeros(1, W_out.dtype) if b_out is None else b_out.reshape(-1)
    return W_out, np.broadcast_to(b, len(W_out))


def _trials(graph: Graph, model: LSTM) -> Iterator[FloatArray]:
    """Yield random x in the graph's own order of axes, of sizes that it takes."""
    if len(graph.inputs) != 1:
        raise InputError(f"the graph takes {list(graph.inputs)}; give one that takes x alone")
    [(name, given)] = graph.inputs.items()
    shape = (None, None, None) if given is None else given
    if len(shape) != 3 or shape[2] not in (None, model.input_size):
        raise InputError(
            f"the graph's input {name!r} has shape {shape}; its LSTM nodes ask for three axes, "
            f"the last of {model.input_size}"
        )
    for length in shape[:2]:
        if length is not None and not 0 < length <= MOST_STEPS:
            raise InputError(
                f"the graph's input {name!r} has shape {shape}, on which it cannot be tried; "
                "leave batch and time open"
            )
    rng = np.random.default_rng(0)
    beyond = _largest_index(graph) + 3
    trials = ((3, 5), (2, beyond), (beyond, 2))
    sizes = {(shape[0] or first, shape[1] or second) for first, second in trials}
    for first, second in sorted(sizes):
        yield rng.standard_normal((first, second, model.input_size)).astype(model.dtype)


def _largest_index(graph: Graph) -> int:
    """Return the largest place at which the graph cuts; up to there, a cut might not show."""
    largest = 0
    for node in graph.nodes:
        if node.operator in ("Slice", "Gather"):
            places = [graph.constants[n] for n in node.inputs[1:] if n in graph.constants]
            places += [np.array(node.attributes.get(name, 0)) for name in ("starts", "ends")]
            for place in places:
                # Larger numbers stand for an open end.
                near = place[(place >= -MOST_STEPS) & (place <= MOST_STEPS)]
                largest = max(largest, int(np.abs(near).max(initial=0)))
    return largest


def _check(graph: Graph, nodes: list[Node], model: LSTM, x: FloatArray) -> None:
    """Refuse a graph whose values for x are not those of the model."""
    values = graph.run({next(iter(graph.inputs)): x})
    taken = values[nodes[0].input(0)]
    if nodes[0].attributes.get("layout"):
        taken = taken.swapaxes(0, 1)
    if np.array_equal(taken, x):
        x = x.swapaxes(0, 1)
    elif not np.array_equal(taken, x.swapaxes(0, 1)):
        raise InputError(f"the graph changes x before {nodes[0]}; an LSTM takes x as it is")
    for node in nodes:
        for name, k in STATES.items():
            if node.input(k) and np.any(values[node.input(k)]):
                raise InputError(f"{node} starts from {name} that is not zero; an LSTM from zero")
    for before, node in pairwise(nodes):
        given, taken = values.get(before.outputs[0]), values[node.input(0)]
        if given is None or not np.array_equal(taken, _merged(given, model.merge, before, node)):
            raise InputError(
                f"{node} does not take the outputs of {before} as they are, its directions side by "
                "side, added or averaged"
            )
    y, h, c = model.forward(x, return_state=True)
    last = model.forward(x, return_sequences=False)
    results = [y, y.swapaxes(0, 1), y[:, -1], last]
    if model.bidirectional and model.merge == "concatenate" and model.output_size is None:
        apart = y.reshape(*y.shape[:2], 2, -1)
        results += [apart.transpose(1, 2, 0, 3), apart]  # as ONNX has them, batch second or first
    found = False
    for name in graph.outputs:
        found = found or _is_any_of(values[name], results)
        if not _is_any_of(values[name], [*results, h, c]):
            raise InputError(
                f"output {name!r} of the graph is not what its LSTM nodes and a linear layer give; "
                "cut off what comes after them"
            )
    if not found:
        raise InputError("the graph gives states only; add its outputs y")


def _merged(Y: NDArray, merge: str, before: Node, node: Node) -> NDArray:
    """Return the outputs of a node as the next one takes them, of both directions one."""
    y = Y if before.attributes.get("layout") else Y.transpose(2, 0, 1, 3)  # (B, T, D, H)
    if merge == "concatenate":
        y = y.reshape(*y.shape[:2], -1)
    else:
        y = y.sum(axis=2) if merge == "sum" else y.sum(axis=2) / 2
    return y if node.attributes.get("layout") else y.swapaxes(0, 1)


def _is_any_of(value: NDArray, expected: list[FloatArray]) -> bool:
    """Return whether a value is one of these, up to axes of length 1 and rounding."""
    tolerance = 1e-5 if expected[0].dtype == np.float32 else 1e-12
    for other in expected:
        a, b = np.squeeze(value), np.squeeze(other)
        largest = float(np.abs(b).max())
        if a.shape == b.shape and np.allclose(a, b, rtol=0, atol=tolerance * largest):
            return True
    return False
