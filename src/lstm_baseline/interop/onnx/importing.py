"""An ONNX model as an LSTM.

A graph does not say what it is meant to be, and exporters write one thing in many ways. So it is
walked from its inputs to its outputs on symbols (``symbolic.py``), which say of each value what it
is, for x of any length: every node must be understood. Then the LSTM's outputs are compared with
the graph's on random inputs.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.interop.onnx.absence import refuse_without_lstm
from lstm_baseline.interop.onnx.file import read_model
from lstm_baseline.interop.onnx.graph import (
    Graph,
    Input,
    Node,
    NumberCount,
    as_graph,
    type_name,
)
from lstm_baseline.interop.onnx.lstm import Direction, read_directions
from lstm_baseline.interop.onnx.symbolic import (
    Factor,
    Filled,
    Part,
    Readout,
    Signal,
    Size,
    Term,
    axes,
    outputs_of,
)

if TYPE_CHECKING:
    from onnx import ModelProto

WEIGHTS = {"W": 1, "R": 2, "B": 3, "P": 7}
SEQUENCE_LENS = 4
STATES = {"initial_h": 5, "initial_c": 6}
"""Places of these among the inputs of an LSTM node."""

MOST_TRIED = 2**24
"""Numbers in the largest x on which a graph is tried, so that it does not take minutes."""

_FLOATS, _WHOLE_NUMBERS = (1, 11), (6, 7)
"""Types by their numbers in ONNX."""


def from_onnx(source: "str | Path | ModelProto") -> LSTM:
    """Return an LSTM that gives the outputs of an ONNX model.

    The model's graph has LSTM nodes, one after another, and at most a linear layer after them. This
    is what PyTorch's exporters write, and Keras's with tf2onnx. It takes x, batch or time first,
    and may take the lengths of rows, as the nodes' sequence_lens. Every node of the graph must be
    understood, and before the LSTM is returned, its outputs are compared with the graph's on random
    inputs.

    A graph that gives only the last step is the LSTM with ``return_sequences=False``. If it takes
    both directions at the last step, the first step that the backward direction sees, it is
    ``forward(x)[:, -1]``. A graph that takes lengths is ``forward(x, lengths=...)``, which gives 0
    past a row's end; there a graph may give its bias. States that a graph gives beside its outputs
    are those of ``forward(x, return_state=True)``.

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
        state that is not zero. The message names the node.
    """
    file = read_model(source)
    refuse_without_lstm(file)
    graph = as_graph(file).folded()
    try:
        walk = _Walk(graph, ("batch", "time"))
    except _OtherOrder:
        walk = _Walk(graph, ("time", "batch"))
    model = _model(walk)
    for x, lengths in _trials(walk, model):
        _check(walk, model, x, lengths)
    return model


class _OtherOrder(Exception):
    """The graph's x has batch and time the other way round."""


class _Output(NamedTuple):
    """An output of the graph."""

    kind: str
    """"every step"; "last step"; "last", the last one of each row; or "states"."""
    signal: Signal


class _Walk:
    """What a graph is, node by node.

    Parameters
    ----------
    graph
        Graph whose nodes all depend on its inputs.
    order
        Names of the first two axes of x.
    """

    def __init__(self, graph: Graph, order: tuple[str, str]) -> None:
        nodes = [node for node in graph.nodes if node.operator == "LSTM"]
        if not nodes:
            raise InputError("the graph's LSTM nodes do not depend on its inputs")
        self.graph, self.order = graph, order
        self.layers: list[tuple[Node, list[Direction]]] = []
        self.merges: set[str] = set()
        self.readout: Readout | None = None
        self.x, self.lengths = _names(graph)
        W = _weights(f"W of {nodes[0]}", nodes[0].input(WEIGHTS["W"]), graph)
        self.shape = _shape(self.x, graph.inputs[self.x], W.shape[-1] if W.ndim else 0)
        self.factors = {
            name: Factor(name, Size(1, (name,)) if length is None else length)
            for name, length in zip(order, self.shape, strict=False)
        }
        batch, time = (self.factors[name] for name in ("batch", "time"))
        self.values: dict[str, Any] = dict(graph.constants)
        first_two = (self.factors[name] for name in order)
        units = Factor("units", self.shape[2])
        self.values[self.x] = Signal((Part((Term("x"),)),), axes(*first_two, units))
        if self.lengths:
            self.values[self.lengths] = Signal((Part((Term("lengths"),)),), axes(batch))
        count = NumberCount()
        for node in graph.nodes:
            if node.operator == "LSTM":
                self._take(node, batch, time)
            else:
                outputs = outputs_of(node, [self.values[n] if n else None for n in node.inputs])
                count.add(node, outputs.values())
                self.values |= outputs
        signals = {name: self.values[name] for name in graph.outputs}
        reads_out = any(isinstance(y, Signal) and y.readout for y in signals.values())
        self.outputs = {name: self._output(name, y, reads_out) for name, y in signals.items()}
        if all(output.kind == "states" for output in self.outputs.values()):
            raise InputError("the graph gives states only; add its outputs y")
        if len(self.merges) > 1:
            ways = " and ".join(sorted(self.merges))
            raise InputError(
                f"the graph puts both directions together in more than one way: {ways}"
            )

    def _take(self, node: Node, batch: Factor, time: Factor) -> None:
        """Add an LSTM node as the next layer."""
        directions = _layer(node, self.graph)
        k, D = len(self.layers), len(directions)
        by_row = bool(node.attributes.get("layout"))
        features = self._features(node, by_row, batch, time)
        takes_lengths = self._takes_lengths(node, batch, time)
        for name, place in STATES.items():
            if node.input(place) and not _is_zero(self.values[node.input(place)]):
                raise InputError(
                    f"{node} starts from {name} that is not zero; an LSTM starts from zero"
                )
        if features != directions[0].params["W"].shape[1]:
            W = directions[0].params["W"]
            raise InputError(f"{node} takes {features} features; its W has {W.shape[1]}")
        self.layers.append((node, directions))
        sides, units = Factor("parts", D), Factor("units", directions[0].params["U"].shape[1])
        # Without lengths, the state after the last step is the output there; the backward
        # direction ends at the first step in any case.
        ends = ("end" if takes_lengths else "last", "first")
        given = [
            Signal(
                tuple(Part((Term("h", k, d, "every"),)) for d in range(D)),
                axes(batch, time, sides, units) if by_row else axes(time, sides, batch, units),
            ),
            *(
                Signal(
                    tuple(Part((Term(kind, k, d, steps[d]),)) for d in range(D)),
                    axes(batch, sides, units) if by_row else axes(sides, batch, units),
                )
                for kind, steps in (("h", ends), ("c", ("end", "end")))
            ),
        ]
        self.values |= {name: y for name, y in zip(node.outputs, given, strict=False) if name}

    def _features(self, node: Node, by_row: bool, batch: Factor, time: Factor) -> Any:
        """Return the number of features that a node takes, x or those of the layer before."""
        taken = self.values[node.input(0)]
        outer = (batch, time) if by_row else (time, batch)
        if not self.layers:
            if not isinstance(taken, Signal) or taken.kind != "x":
                raise InputError(f"{node} does not take the graph's input {self.x!r}")
            units = Factor("units", self.shape[2])
            if taken.axes != axes(*outer, units):
                if taken.axes == axes(*outer[::-1], units):
                    raise _OtherOrder
                raise InputError(f"{node} takes x with its axes in another order or number")
            return self.shape[2]
        before, directions = self.layers[-1]
        width = directions[0].params["U"].shape[1]
        if isinstance(taken, Signal) and taken.readout is None:
            merge = self._merge_of(taken, ("every", "every"))
            apart = (Factor("parts", len(taken.parts)), Factor("units", width))
            if merge and taken.axes == (*axes(*outer), sum(axes(*apart), ())):
                self.merges.add(merge)
                return len(taken.parts) * width
        raise InputError(
            f"{node} does not take the outputs of {before} as they are, its directions side by "
            "side, added or averaged"
        )

    def _takes_lengths(self, node: Node, batch: Factor, time: Factor) -> bool:
        """Return whether a node takes the lengths of rows; it may also be told T for all rows."""
        name = node.input(SEQUENCE_LENS)
        given = self.values[name] if name else Filled(time.size)
        if isinstance(given, Signal):
            takes = given.kind == "lengths" and given.axes == axes(batch)
        else:
            takes = False
            given = given.value if isinstance(given, Filled) else given
        if not takes and (isinstance(given, Signal) or not np.all(given == time.size)):
            raise InputError(
                f"{node} has sequence_lens that are neither an input of the graph nor all steps"
            )
        if takes != bool(self.lengths):
            raise InputError(
                f"{node} does not take the graph's input {self.lengths!r} as its sequence_lens"
            )
        return takes

    def _merge_of(self, signal: Signal, steps: Sequence[str]) -> str | None:
        """Return how the last layer's directions, taken at these steps, are put together."""
        sides = tuple(
            Term("h", len(self.layers) - 1, d, steps[d]) for d in range(len(self.layers[-1][1]))
        )
        if signal.parts == tuple(Part((side,)) for side in sides):
            return "concatenate"
        if len(sides) == 2 and signal.parts in ((Part(sides),), (Part(sides, 0.5),)):
            return "sum" if signal.parts[0].scale == 1 else "mean"
        return None

    def _output(self, name: str, y: Any, reads_out: bool) -> _Output:
        """Return what an output of the graph is; ``reads_out`` if any has a linear layer."""
        if isinstance(y, Signal):
            end = "end" if self.lengths else "last"
            kinds = {"every step": ("every", "every"), "last": (end, "first")}
            if not self.lengths:
                kinds["last step"] = ("last", "last")
            for kind, steps in kinds.items():
                merge = self._merge_of(y, steps)
                suits = reads_out == (y.readout is not None) and _is_in_order(y, kind)
                if merge is not None and suits:
                    self.merges.add(merge)
                    self._read_out(name, y.readout)
                    return _Output(kind, y)
            ends = (("h", 0, end), ("h", 1, "first"), ("c", 0, "end"), ("c", 1, "end"))
            terms = [term for part in y.parts for term in part.terms]
            are_states = all((term.kind, term.direction, term.step) in ends for term in terms)
            are_whole = len(terms) == len(y.parts) and y.readout is None
            if are_states and are_whole and _is_in_order(y, "states"):
                return _Output("states", y)
        raise InputError(
            f"output {name!r} of the graph is not what its LSTM nodes and a linear layer give; "
            "cut off what comes after them"
        )

    def _read_out(self, name: str, readout: Readout | None) -> None:
        """Keep the linear layer before an output, of which there must be one."""
        if self.readout is None:
            self.readout = readout
        elif readout is None or not all(map(_equal, readout, self.readout)):
            raise InputError(f"output {name!r} of the graph has a linear layer of its own")


def _names(graph: Graph) -> tuple[str, str]:
    """Return the names of x and of the lengths of rows; empty where the graph takes none."""
    lengths = [name for name, given in graph.inputs.items() if given.kind in _WHOLE_NUMBERS]
    others = [name for name in graph.inputs if name not in lengths]
    shapes = [graph.inputs[name].shape for name in lengths]
    if len(others) != 1 or len(lengths) > 1 or any(s is not None and len(s) != 1 for s in shapes):
        raise InputError(
            f"the graph takes {list(graph.inputs)}; give one that takes x, or x and the lengths of "
            "rows"
        )
    return others[0], lengths[0] if lengths else ""


def _shape(name: str, given: Input, input_size: int) -> tuple[int | None, int | None, int]:
    """Return the shape of x, batch and time in the graph's own order, None for what is open."""
    if given.kind not in _FLOATS:
        raise InputError(
            f"the graph's input {name!r} has type {type_name(given.kind)}; convert the model to "
            "float32 or float64"
        )
    shape = (None, None, None) if given.shape is None else given.shape
    if len(shape) != 3 or shape[2] not in (None, input_size):
        raise InputError(
            f"the graph's input {name!r} has shape {shape}; its LSTM nodes ask for three axes, "
            f"the last of {input_size}"
        )
    size = math.prod(length or 1 for length in shape[:2]) * input_size
    if any(length is not None and length <= 0 for length in shape[:2]) or size > MOST_TRIED:
        raise InputError(
            f"the graph's input {name!r} has shape {shape}, on which it cannot be tried; "
            "leave batch and time open"
        )
    return shape[0], shape[1], input_size


def _layer(node: Node, graph: Graph) -> list[Direction]:
    """Return the directions of a node, forward first."""
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


def _is_zero(value: Any) -> bool:
    if isinstance(value, Filled):
        return bool(value.value == 0)
    return isinstance(value, np.ndarray) and not np.any(value)


def _equal(a: NDArray | None, b: NDArray | None) -> bool:
    return a is b or (a is not None and b is not None and np.array_equal(a, b))


def _is_in_order(y: Signal, kind: str) -> bool:
    """Return whether axes are as an output of this kind may have them.

    Batch and time have axes of their own, in any order, and features follow, part by part; but an
    LSTM node itself gives (T, parts, B, units), and states (parts, B, units).
    """
    filled = [[factor.name for factor in axis] for axis in y.axes if axis]
    features = [axis for axis in filled if axis not in (["batch"], ["time"])]
    if [name for axis in features for name in axis] not in (
        [],
        ["parts"],
        ["units"],
        ["parts", "units"],
    ):
        return False
    own = {
        "every step": ["time", "parts", "batch", "units"],
        "states": ["parts", "batch", "units"],
    }
    as_nodes_give_it = [[name] for name in own.get(kind, ()) if [name] in filled]
    return filled[len(filled) - len(features) :] == features or filled == as_nodes_give_it


def _model(walk: _Walk) -> LSTM:
    """Return the LSTM with the weights of all layers."""

    def form(directions: list[Direction]) -> dict[str, Any]:
        variant, params, _ = directions[0]
        return {
            "bidirectional": len(directions) == 2,
            "dtype": params["W"].dtype.name,
            **variant._asdict(),
        }

    first, directions = walk.layers[0]
    options = form(directions)
    for node, others in walk.layers:
        for name, value in form(others).items():
            if value != options[name]:
                raise InputError(
                    f"{first} has {name} {options[name]} and {node} {value}; "
                    "an LSTM has one for all layers"
                )
    readout = walk.readout
    model = LSTM(
        walk.shape[2],
        [directions[0].params["U"].shape[1] for _, directions in walk.layers],
        output_size=None if readout is None else len(readout.W),
        num_layers=len(walk.layers),
        merge=next(iter(walk.merges)),
        initialization="zeros",
        **options,
    )
    given = {
        f"{name}{suffix}": value
        for suffix, direction in zip(
            model.suffixes, chain(*(directions for _, directions in walk.layers)), strict=True
        )
        for name, value in direction.params.items()
    }
    if readout is not None:
        given["W_out"] = readout.W
        given["b_out"] = np.zeros(len(readout.W)) if readout.b is None else readout.b
    for name, value in given.items():
        if not np.isfinite(value).all():
            raise InputError(f"the graph has {name} with numbers that are not finite")
        model.params[name][...] = value
    return model


def _trials(walk: _Walk, model: LSTM) -> Iterator[tuple[FloatArray, IntArray | None]]:
    """Yield random x (B, T, I) of sizes that the graph takes, and lengths if it takes them."""
    rng = np.random.default_rng(0)
    B, T = (walk.factors[name].size for name in ("batch", "time"))
    sizes = {
        (b if isinstance(B, Size) else B, t if isinstance(T, Size) else T)
        for b, t in ((3, 5), (1, 4), (4, 1))
    }
    for (num_rows, num_steps), make in product(sorted(sizes), (_usual, _unusual)):
        x = make(rng, (num_rows, num_steps, model.input_size)).astype(model.dtype)
        lengths = rng.integers(0, num_steps + 1, num_rows, np.int32) if walk.lengths else None
        yield x, lengths


def _usual(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    return rng.standard_normal(shape)


def _unusual(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Return whole numbers, tiny ones, large ones and what often stands for a missing one."""
    x = rng.choice([-999.0, -1.0, 0.0, 999.0], shape)
    for numbers in (
        rng.integers(-3, 4, shape),
        1e-6 * rng.standard_normal(shape),
        1e4 * rng.standard_normal(shape),
    ):
        np.copyto(x, numbers, where=rng.random(shape) < 0.3)
    return x


def _check(walk: _Walk, model: LSTM, x: FloatArray, lengths: IntArray | None) -> None:
    """Refuse a graph whose outputs for x are not those of the model."""
    feeds: dict[str, NDArray] = {walk.x: x if walk.order[0] == "batch" else x.swapaxes(0, 1)}
    if lengths is not None:
        feeds[walk.lengths] = lengths
    values = walk.graph.run(feeds)
    y, *state = model.forward(x, return_state=True, lengths=lengths)
    for name, (kind, signal) in walk.outputs.items():
        if kind == "every step":
            expected = y
        elif kind == "last step":
            expected = y[:, -1]
        elif kind == "last":
            expected = model.forward(x, return_sequences=False, lengths=lengths)
        else:
            expected = _states(signal, model, state)
        given = _by_row(values[name], signal)
        if kind == "every step" and lengths is not None:
            # Past a row's end a graph may give anything.
            steps = np.arange(x.shape[1])
            given = np.where((steps < lengths[:, None])[..., None], given.reshape(y.shape), 0)
        if not _agree(given, expected):
            raise InputError(
                f"output {name!r} of the graph has other values than an LSTM with its weights"
            )


def _states(signal: Signal, model: LSTM, state: list[FloatArray]) -> FloatArray:
    """Return states side by side, (B, ·)."""
    num_cells, D = len(model.suffixes), 2 if model.bidirectional else 1
    if len(state) == 2:
        h, c = (list(part.reshape(num_cells, -1, part.shape[-1])) for part in state)
    else:
        h, c = state[::2], state[1::2]
    terms = [term for part in signal.parts for term in part.terms]
    cells = {"h": h, "c": c}
    return np.concatenate([cells[t.kind][D * t.layer + t.direction] for t in terms], axis=-1)


def _by_row(value: NDArray, signal: Signal) -> NDArray:
    """Return a value with batch and time first."""
    if value.ndim != len(signal.axes):  # an axis of length 1 was squeezed
        return value
    names = [{factor.name for factor in axis} for axis in signal.axes]
    first = [names.index({name}) for name in ("batch", "time") if {name} in names]
    return value.transpose([*first, *(k for k in range(value.ndim) if k not in first)])


def _agree(given: NDArray, expected: FloatArray) -> bool:
    """Return whether values are equal up to axes of length 1 and rounding."""
    if given.size != expected.size:
        return False
    # Where an activation has no bounds, large x may give what is not finite.
    a, b = given.reshape(-1), expected.reshape(-1)
    finite = np.isfinite(b)
    tolerance = 1e-5 if expected.dtype == np.float32 else 1e-12
    largest = float(np.abs(b[finite]).max(initial=0))
    close = np.abs(a[finite] - b[finite]) <= tolerance * largest
    return bool(close.all()) and not np.isfinite(a[~finite]).any()
