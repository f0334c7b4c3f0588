"""Operators on symbols against the same operators on numbers."""

import math

import numpy as np
import pytest

from lstm_baseline.engine.errors import InputError

pytest.importorskip("onnx", reason="reads ONNX, which is not installed")

from lstm_baseline.interop.onnx.graph import Node
from lstm_baseline.interop.onnx.symbolic import (
    Factor,
    Part,
    Signal,
    Size,
    Term,
    axes,
    outputs_of,
)

D, H = 2, 3
FACTORS = [Factor("time", Size(1, ("time",))), Factor("parts", D)]
FACTORS += [Factor("batch", Size(1, ("batch",))), Factor("units", H)]
Y = Signal(tuple(Part((Term("h", 0, d),)) for d in range(D)), axes(*FACTORS))
"""What an LSTM node gives, (T, D, B, H)."""


def value_of(signal, y):
    """Return what a signal says it is, from the numbers of Y."""
    parts = []
    for terms, scale in signal.parts:
        taken = [y[:, term.direction] for term in terms]
        steps = {"every": slice(None), "first": 0, "last": -1}
        parts.append(scale * sum(h[steps[t.step]] for h, t in zip(taken, terms, strict=True)))
    array = np.stack(parts)
    names = ["parts", "time", "batch", "units"] if array.ndim == 4 else ["parts", "batch", "units"]
    lengths = dict(zip(names, array.shape, strict=True))
    found = [factor.name for axis in signal.axes for factor in axis]
    gone = [name for name in names if name not in found]  # of length 1
    order = [names.index(name) for name in gone + found]
    shape = [math.prod(lengths[factor.name] for factor in axis) for axis in signal.axes]
    return array.transpose(order).reshape(shape)


def random_nodes(rng, value, ndim):
    """Return nodes that take one value to another, and their arrays."""
    arrays = {}

    def array(numbers):
        arrays[f"array{len(arrays)}"] = np.array(numbers, np.int64)
        return f"array{len(arrays) - 1}"

    def make(operator, *inputs, outputs=1, **attributes):
        names = [f"{value}_{operator}{k}" for k in range(outputs)]
        return Node(operator, "", list(inputs), names, attributes)

    axis = int(rng.integers(-ndim, ndim))
    sizes = [int(n) for n in rng.choice([0, 0, 0, -1, 1, H, D, D * H], rng.integers(1, 5))]
    start, end = (int(rng.choice(n)) for n in ([0, -1, 1, -(2**31)], [1, 2, -1, H, 2**31 - 1]))
    step = int(rng.choice([1, 1, 1, 1, -1, 2]))
    shape = make("Shape", value)
    order = array(rng.permutation(ndim))
    kinds = {
        "Transpose": [make("Transpose", value, perm=[int(k) for k in rng.permutation(ndim)])],
        "Reshape": [make("Reshape", value, array(sizes))],
        "Flatten": [make("Flatten", value, axis=int(rng.integers(ndim + 1)))],
        "Squeeze": [make("Squeeze", value, array([axis]))],
        "Squeeze all": [make("Squeeze", value)],
        "Unsqueeze": [make("Unsqueeze", value, array([axis]))],
        "Slice": [make("Slice", value, *map(array, ([start], [end], [axis], [step])))],
        "Gather": [make("Gather", value, array(rng.choice([0, -1, 1])), axis=axis)],
        "Gather two": [make("Gather", value, array(rng.choice([0, -1, 1], 2)), axis=axis)],
        "Concat": [make("Concat", value, value, axis=axis)],
        "ReduceSum": [make("ReduceSum", value, array([axis]), keepdims=int(rng.integers(2)))],
        "ReduceMean": [make("ReduceMean", value, axes=[axis], keepdims=int(rng.integers(2)))],
    }
    moved = make("Gather", shape.outputs[0], order)
    kinds["other shape"] = [shape, moved, make("Reshape", value, moved.outputs[0])]
    halves = make("Split", value, array([D * H // 2] * 2 if rng.random() < 0.5 else [1, 1]))
    halves = halves._replace(outputs=["first", "second"], attributes={"axis": axis})
    kinds["swapped halves"] = [halves, make("Concat", "second", "first", axis=axis)]
    kinds["added halves"] = [halves, make("Add", "first", "second")]
    return kinds[rng.choice(list(kinds))], arrays


@pytest.mark.parametrize("sizes", [(2, 4), (3, 2), (5, 6)], ids=str)
def test_what_is_understood_is_what_is_computed(sizes):
    """For all lengths of batch and time, of which the symbols know nothing."""
    B, T = sizes
    y = np.random.default_rng(1).standard_normal((T, D, B, H))
    rng = np.random.default_rng(0)
    understood = []
    for _ in range(2000):
        symbols, numbers, value = {"Y": Y}, {"Y": y}, "Y"
        kinds = []
        for _ in range(rng.integers(1, 6)):
            nodes, arrays = random_nodes(rng, value, len(symbols[value].axes) or 1)
            symbols |= arrays
            numbers |= arrays
            try:
                for node in nodes:
                    symbols |= outputs_of(node, [symbols[name] for name in node.inputs])
            except InputError:
                break
            for node in nodes:
                numbers |= node.compute(numbers)
            value = nodes[-1].outputs[0]
            kinds.append(nodes[0].operator)
            np.testing.assert_array_equal(numbers[value], value_of(symbols[value], y))
        understood += kinds
    assert len(understood) > 1000
    assert len(set(understood)) >= 11
