"""The operators of ONNX on symbols: what the values of a graph are, for x of any length.

A value is one of three kinds:

- an array. Where it holds lengths of axes that are open, they are of class ``Size``.
- ``Filled``: one number everywhere, such as a state of zeros.
- ``Signal``: x, or what LSTM nodes make of it, moved but not changed, or a linear layer of that.

Each operator is a function with the arguments of its namesake in ``operators.py``. It returns None
where what comes out is none of these kinds: then the graph does what an LSTM with a linear readout
does not.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.interop.onnx.graph import Node
from lstm_baseline.interop.onnx.operators import DTYPES, cuts

OPEN_END = 2**31 - 1
"""No axis is longer, so that a slice up to here or beyond takes all."""

MOST_PLACES = 2**12
"""Limit of parts, axes and places: a file of a few bytes can ask for any number."""


@dataclass(frozen=True)
class Size:
    """A number times the lengths of open axes; it is above any number that is known."""

    number: int
    axes: tuple[str, ...]
    """Names of the axes, in alphabetical order."""

    def __mul__(self, other: "Size | int") -> "Size":
        number, axes = (other.number, other.axes) if isinstance(other, Size) else (index(other), ())
        found = Size(self.number * number, tuple(sorted(self.axes + axes)))
        if not 0 < found.number <= OPEN_END or len(found.axes) > 8:
            raise ValueError(f"{found} is no size of an array")
        return found

    __rmul__ = __mul__


class Filled(NamedTuple):
    """An array of any shape with one number everywhere."""

    value: float | Size


class Factor(NamedTuple):
    """An index over batch, time, parts or the features of each part ("units")."""

    name: str
    size: int | Size


class Term(NamedTuple):
    """An output of one direction of an LSTM node, or an input of the graph."""

    kind: str
    """"h" or "c"; "x", "lengths"; "steps", which counts from 0; "live", where a step is valid."""
    layer: int = 0
    direction: int = 0
    step: str = "every"
    """"every"; "first" or "last" of the sequence; or "end", after a row's last valid one."""


class Part(NamedTuple):
    """A sum of terms, times a number."""

    terms: tuple[Term, ...]
    scale: float = 1.0


class Readout(NamedTuple):
    """A linear layer: W (O, ·) times all parts side by side, plus b (O,)."""

    W: FloatArray
    b: FloatArray | None


class Signal(NamedTuple):
    """Parts, each with the same axes, and the order of all axes.

    Each axis is a product of factors, the slowest first; that of length 1 has none.
    """

    parts: tuple[Part, ...]
    axes: tuple[tuple[Factor, ...], ...]
    readout: Readout | None = None

    @property
    def kind(self) -> str:
        """The kind of the first term."""
        return self.parts[0].terms[0].kind


def axes(*factors: Factor) -> tuple[tuple[Factor, ...], ...]:
    """Return an axis for each factor."""
    return tuple(_axis(factor) for factor in factors)


def outputs_of(node: Node, given: Sequence[Any]) -> dict[str, Any]:
    """Return what the outputs of a node are, by name, from what its inputs are.

    Raises
    ------
    InputError
        If they are nothing that an LSTM with a linear readout has.
    """
    arrays = all(x is None or isinstance(x, np.ndarray) for x in given)
    sizes = any(isinstance(x, np.ndarray) and x.dtype == object for x in given)
    if arrays and not sizes:
        computed = node.compute(dict(zip(node.inputs, given, strict=True)))
        return {name: np.asarray(y) for name, y in computed.items()}
    places = [x for x in given if isinstance(x, np.ndarray) and x.dtype.kind in "iO"]
    try:
        if any(x.size > MOST_PLACES for x in places):
            found = None
        elif arrays and node.operator in _OF_SIZES:
            found = _OF_SIZES[node.operator](node, given)
        else:
            found = _OPERATORS[node.operator](*given, **node.attributes)
    except InputError as error:
        raise InputError(f"{node} {error}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        found = None  # its inputs are not of the kinds that it is understood for
    outputs = found if type(found) is tuple else (found,)
    if len(outputs) < len(node.outputs) or any(map(_is_beyond, outputs)):
        raise InputError(f"{node} {_complaint(given)}")
    return {name: y for name, y in zip(node.outputs, outputs, strict=False) if name}


def _is_beyond(y: Any) -> bool:
    """Return whether a value is none that is understood."""
    return y is None or (isinstance(y, Signal) and max(len(y.parts), len(y.axes)) > MOST_PLACES)


def _complaint(given: Sequence[Any]) -> str:
    kinds = {x.kind for x in given if isinstance(x, Signal)}
    if kinds & {"h", "c"}:
        return (
            "changes the outputs of LSTM nodes; an LSTM has at most one linear layer after them, "
            "so cut off what comes on top"
        )
    if "x" in kinds:
        return "changes x; an LSTM takes x as it is"
    if kinds:
        return "computes with the lengths of rows in a way that is not understood"
    return "computes with the lengths of x in a way that is not understood"


# Lengths of axes. Operators that only move them run as they are, on arrays of objects.


def _move_sizes(node: Node, given: Sequence[Any]) -> Any:
    try:
        found = node.compute(dict(zip(node.inputs, given, strict=True)))
    except InputError:
        return None
    outputs = tuple(_known(found[name]) for name in node.outputs if name)
    return outputs if len(outputs) > 1 else outputs[0]


def _cast_sizes(node: Node, given: Sequence[Any]) -> Any:
    return given[0] if DTYPES[node.attributes["to"]].kind == "i" else None


def _known(found: Any) -> NDArray:
    """Return an array of sizes, as numbers if none is open."""
    sizes: NDArray = np.asarray(found, object)
    if any(isinstance(size, Size) for size in sizes.flat):
        return sizes
    return sizes.astype(np.int64)


_OF_SIZES: dict[str, Callable[[Node, Sequence[Any]], Any]] = {
    **dict.fromkeys(
        (
            *("Concat", "Gather", "Identity", "Mul", "ReduceProd", "Reshape", "Shape", "Slice"),
            *("Split", "Squeeze", "Transpose", "Unsqueeze"),
        ),
        _move_sizes,
    ),
    "Cast": _cast_sizes,
}


# Axes.


def _axis(factor: Factor) -> tuple[Factor, ...]:
    return () if factor.size == 1 else (factor,)


def _size(axis: Sequence[Factor]) -> Any:
    return math.prod(factor.size for factor in axis)


def _regroup(factors: Sequence[Factor], sizes: Sequence[Any]) -> list[tuple[Factor, ...]]:
    """Return the first factors as axes of these sizes.

    Raises
    ------
    ValueError
        If an axis would have a part of a factor.
    """
    found, k = [], 0
    for size in sizes:
        start = k
        while _size(factors[start:k]) != size:
            if k == len(factors):
                raise ValueError
            k += 1
        found.append(tuple(factors[start:k]))
    return found


def _shape(x: Signal, *, start: int = 0, end: int | None = None) -> NDArray:
    sizes = [_size(axis) for axis in x.axes[start:end]]
    found = np.empty(len(sizes), object)
    found[:] = sizes
    return _known(found)


def _reshape(x: Signal, shape: NDArray, *, allowzero: int = 0) -> Signal | None:
    if isinstance(x, Filled):
        return x
    sizes = [size if isinstance(size, Size) else int(size) for size in shape]
    if not allowzero:
        sizes = [_size(x.axes[k]) if size == 0 else size for k, size in enumerate(sizes)]
    factors = [factor for axis in x.axes for factor in axis]
    if -1 not in sizes:
        found = _regroup(factors, sizes)
        return x._replace(axes=tuple(found)) if sum(found, ()) == tuple(factors) else None
    k = sizes.index(-1)
    before = _regroup(factors, sizes[:k])
    factors = factors[sum(map(len, before)) :]
    after = [axis[::-1] for axis in _regroup(factors[::-1], sizes[:k:-1])][::-1]
    middle = tuple(factors[: len(factors) - sum(map(len, after))])
    return x._replace(axes=(*before, middle, *after))


def _flatten(x: Signal, *, axis: int = 1) -> Signal:
    k = axis + len(x.axes) if axis < 0 else axis
    return x._replace(axes=(sum(x.axes[:k], ()), sum(x.axes[k:], ())))


def _squeeze(
    x: Signal, axes_in: NDArray | None = None, *, axes: Sequence[int] | None = None
) -> Signal | None:
    if isinstance(x, Filled):
        return x
    where = axes if axes_in is None else axes_in
    places = range(len(x.axes))
    # Without axes an open one would go too where its length is 1: then only its place is lost.
    gone = [k for k in places if not x.axes[k]] if where is None else [places[k] for k in where]
    if any(x.axes[k] for k in gone):
        return None
    return x._replace(axes=tuple(x.axes[k] for k in places if k not in gone))


def _unsqueeze(x: Signal, axes_in: NDArray | None = None, *, axes: Sequence[int] = ()) -> Signal:
    if isinstance(x, Filled):
        return x
    where = axes if axes_in is None else axes_in
    places = range(len(x.axes) + len(where))
    new, old = {places[k] for k in where}, iter(x.axes)
    return x._replace(axes=tuple(() if k in new else next(old) for k in places))


def _transpose(x: Signal, *, perm: Sequence[int] | None = None) -> Signal | None:
    if isinstance(x, Filled):
        return x
    order = list(range(len(x.axes))[::-1] if perm is None else perm)
    if sorted(order) != list(range(len(x.axes))):
        return None
    return x._replace(axes=tuple(x.axes[k] for k in order))


def _identity(x: Any) -> Any:
    return x


def _dropout(x: Any, ratio: object = None, training: object = None, **_: object) -> Any:
    # In training it would be random.
    is_off = training is None or (isinstance(training, np.ndarray) and not training.any())
    return x if is_off else None


def _cast(x: Any, *, to: int, saturate: int = 1) -> Any:
    kind = DTYPES[to].kind
    if isinstance(x, Filled):
        return x if x.value == 0 or (isinstance(x.value, Size) and kind != "b") else None
    # Between float32 and float64; if that rounds, the trial shows it.
    wanted = {"x": "f", "h": "f", "c": "f", "lengths": "i", "steps": "i"}
    return x if kind == wanted[x.kind] else None


# Cutting and joining.


def _cut(x: Signal, k: int, places: Sequence[int] | None) -> Signal | None:
    """Return what stands at these places of axis k; None means all of them."""
    axis = x.axes[k]
    if places is None:
        return x
    if [factor.name for factor in axis] == ["time"] and x.kind in ("h", "c"):
        last = -1 if isinstance(axis[0].size, Size) else axis[0].size - 1
        step = {0: "first", last: "last"}.get(places[0]) if len(places) == 1 else None
        if step is None:
            return None
        parts = tuple(
            part._replace(terms=tuple(term._replace(step=step) for term in part.terms))
            for part in x.parts
        )
        return x._replace(parts=parts, axes=(*x.axes[:k], (), *x.axes[k + 1 :]))
    if axis and axis[0].name == "parts":
        width = _size(axis[1:])
        chosen = [place // width for place in places[::width]]
        whole = [n * width + j for n in chosen for j in range(width)]
        if not chosen or list(places) != whole:
            return None
        found = (*_axis(Factor("parts", len(chosen))), *axis[1:])
        return x._replace(
            parts=tuple(x.parts[n] for n in chosen), axes=(*x.axes[:k], found, *x.axes[k + 1 :])
        )
    return None


def _slice(
    x: Signal,
    starts_in: NDArray | None = None,
    ends_in: NDArray | None = None,
    axes_in: NDArray | None = None,
    steps_in: NDArray | None = None,
    *,
    starts: Sequence[int] = (),
    ends: Sequence[int] = (),
    axes: Sequence[int] | None = None,
) -> Signal | None:
    if isinstance(x, Filled):
        return x
    found: Signal | None = x
    for axis, start, end, step in cuts(
        starts if starts_in is None else starts_in,
        ends if ends_in is None else ends_in,
        axes if axes_in is None else axes_in,
        steps_in,
    ):
        if found is None:
            return None
        k = range(len(x.axes))[axis]
        size = _size(found.axes[k])
        places: Sequence[int] | None
        if not isinstance(size, Size):
            places = range(size)[int(start) : int(end) : int(step)]
            places = None if places == range(size) else places
        elif step != 1:
            return None
        elif end == size or (not isinstance(end, Size) and end >= OPEN_END):
            places = {0: None, -1: [-1]}[int(start)]
        else:
            places = {(0, 1): [0]}[int(start), int(end)]
        found = _cut(found, k, places)
    return found


def _gather(x: Signal, indices: NDArray, *, axis: int = 0) -> Signal | None:
    if isinstance(x, Filled):
        return x
    if indices.ndim > 1 or indices.dtype.kind != "i":
        return None
    k = range(len(x.axes))[axis]
    size = _size(x.axes[k])
    places: list[int] | None = [int(place) for place in indices.reshape(-1)]
    if not isinstance(size, Size):
        places = [range(size)[place] for place in places or ()]
        places = None if places == list(range(size)) else places
    found = _cut(x, k, places)
    if found is None or indices.ndim:
        return found
    return found._replace(axes=(*found.axes[:k], *found.axes[k + 1 :]))


def _split(
    x: Any,
    lengths_in: NDArray | None = None,
    *,
    axis: int = 0,
    split: Sequence[int] | None = None,
    num_outputs: int = 1,
) -> tuple[Any, ...] | None:
    lengths = split if lengths_in is None else lengths_in
    if isinstance(x, Filled):
        return (x,) * (num_outputs if lengths is None else len(lengths))
    size = _size(x.axes[axis])
    if lengths is None:
        lengths = [size // num_outputs] * num_outputs
    ends = np.cumsum(lengths)
    if ends[-1] != size:
        return None
    k = range(len(x.axes))[axis]
    return tuple(
        _cut(x, k, range(end - length, end) if length != size else None)
        for length, end in zip(lengths, ends, strict=True)
    )


def _concat(*given: Any, axis: int) -> Any:
    """Return parts side by side."""
    first = given[0]
    if len(given) == 1 or (isinstance(first, Filled) and all(x == first for x in given)):
        return first
    k = range(len(first.axes))[axis]
    inner = _inner(first, k)
    for x in given:
        others = (*x.axes[:k], *x.axes[k + 1 :])
        if x.readout is not None or x.kind not in ("h", "c") or _inner(x, k) != inner:
            return None
        if others != (*first.axes[:k], *first.axes[k + 1 :]):
            return None
    parts = sum((x.parts for x in given), ())
    joined = (*_axis(Factor("parts", len(parts))), *inner)
    return first._replace(parts=parts, axes=(*first.axes[:k], joined, *first.axes[k + 1 :]))


def _inner(x: Signal, k: int) -> tuple[Factor, ...]:
    """Return axis k within each part.

    Raises
    ------
    ValueError
        If parts lie on another axis.
    """
    outer = _axis(Factor("parts", len(x.parts)))
    if x.axes[k][: len(outer)] != outer:
        raise ValueError
    return x.axes[k][len(outer) :]


# Filling.


def _constant_of_shape(shape: NDArray, *, value: NDArray | None = None) -> Filled:
    return Filled(0.0 if value is None else value.item())


def _expand(x: Any, shape: NDArray) -> Any:
    if isinstance(x, Filled):
        return x
    first = x.flat[0]
    return Filled(first) if np.all(x == first) else None


def _range(start: NDArray, limit: NDArray, delta: NDArray) -> Signal | None:
    size = limit.item()
    if start.item() != 0 or delta.item() != 1 or size.number != 1 or len(size.axes) != 1:
        return None
    return Signal((Part((Term("steps"),)),), axes(Factor(size.axes[0], size)))


# Arithmetic.


def _add(a: Any, b: Any) -> Signal | None:
    """Return a linear layer with its bias, or both directions of a layer, added."""
    x, other = (a, b) if isinstance(a, Signal) else (b, a)
    if not isinstance(other, Signal):
        return _with_bias(x, other)
    if x.readout or other.readout or x.axes != other.axes:
        return None
    return _merged(x, x.parts + other.parts)


def _merged(x: Signal, parts: Sequence[Part], scale: float = 1.0) -> Signal | None:
    """Return the sum of parts that are the two directions of one layer, times a number."""
    terms = sorted(term for part in parts for term in part.terms)
    whose = [(term.kind, term.layer, term.direction) for term in terms]
    if len(parts) != 2 or any(part.scale != 1 for part in parts):
        return None
    if whose != [("h", terms[0].layer, 0), ("h", terms[0].layer, 1)]:
        return None
    return x._replace(parts=(Part(tuple(terms), scale),))


def _mul(a: Any, b: Any) -> Signal | None:
    """Return the mean of both directions from their sum."""
    x, number = (a, b) if isinstance(a, Signal) else (b, a)
    [part] = x.parts
    is_sum = x.readout is None and len(part.terms) == 2 and part.scale == 1
    if not is_sum or number.size != 1 or number.ndim > len(x.axes) or number.item() != 0.5:
        return None
    return x._replace(parts=(part._replace(scale=0.5),))


def _with_bias(x: Signal, b: NDArray) -> Signal | None:
    if x.readout is None or b.dtype.kind != "f" or b.ndim > len(x.axes):
        return None
    if x.readout.b is not None:
        raise InputError("adds a second bias; an LSTM has one readout")
    num_outputs = len(x.readout.W)
    if b.size != 1 and (
        b.size != num_outputs
        or b.shape[-1] != num_outputs
        or x.axes[-1] != _axis(Factor("units", num_outputs))
    ):
        return None
    readout = x.readout._replace(b=np.broadcast_to(b.reshape(-1), num_outputs))
    return x._replace(readout=readout)


def _matmul(x: Signal, W: Any) -> Signal | None:
    if not isinstance(x, Signal) or x.kind != "h":
        return None
    if x.readout is not None:
        raise InputError("is a second linear layer; an LSTM has one readout")
    if not isinstance(W, np.ndarray):
        raise InputError("has weights that depend on the graph's inputs")
    if W.ndim != 2:
        raise InputError(f"has weights of shape {W.shape}; a linear layer's have two axes")
    # All features must be on the last axis, part by part, and nothing else.
    features = tuple(f for axis in x.axes for f in axis if f.name in ("parts", "units"))
    if x.axes[-1] != features or sorted(features) != list(features):
        return None
    if _size(features) != W.shape[0] or W.dtype.kind != "f":
        return None
    return x._replace(
        axes=(*x.axes[:-1], _axis(Factor("units", W.shape[1]))), readout=Readout(W.T, None)
    )


def _gemm(
    x: Signal,
    W: NDArray,
    b: NDArray | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Signal | None:
    if transA or len(x.axes) != 2:
        return None
    found = _matmul(x, alpha * (W.T if transB else W) if isinstance(W, np.ndarray) else W)
    return found if b is None or found is None else _with_bias(found, beta * b)


def _reduced(
    scale: float,
    x: Signal,
    axes_in: NDArray | None = None,
    *,
    axes: Sequence[int] | None = None,
    keepdims: int = 1,
    noop_with_empty_axes: int = 0,
) -> Signal | None:
    """Return the sum over both directions of a layer, times a number."""
    where = axes if axes_in is None else axes_in
    if where is None or not len(where) or x.readout is not None:
        return None
    found: Signal | None = x
    gone = [range(len(x.axes))[k] for k in where]
    for k in gone:
        if found is not None and x.axes[k]:
            sides = _axis(Factor("parts", len(x.parts)))
            found = _merged(x, x.parts, scale) if x.axes[k] == sides else None
    if found is None:
        return None
    kept = [() if k in gone else axis for k, axis in enumerate(x.axes) if keepdims or k not in gone]
    return found._replace(axes=tuple(kept))


def _reduce_mean(x: Signal, *rest: Any, **options: Any) -> Signal | None:
    return _reduced(0.5, x, *rest, **options)


def _reduce_sum(x: Signal, *rest: Any, **options: Any) -> Signal | None:
    return _reduced(1.0, x, *rest, **options)


# Steps past a row's end.


def _less(steps: Signal, ends: Signal) -> Signal | None:
    """Return where a step is valid."""
    if (steps.kind, ends.kind) != ("steps", "lengths"):
        return None
    together = []
    num_axes = max(len(steps.axes), len(ends.axes))
    for k in range(-num_axes, 0):
        pair = [x.axes[k] for x in (steps, ends) if k >= -len(x.axes) and x.axes[k]]
        if len(pair) > 1:
            return None
        together.append(pair[0] if pair else ())
    return Signal((Part((Term("live"),)),), tuple(together))


def _where(live: Signal, x: Signal, zero: Any) -> Signal | None:
    """Return outputs with zeros past each row's end: so an LSTM gives them, too."""
    if live.kind != "live" or x.kind != "h":
        return None
    if zero.size != 1 or zero.ndim > len(x.axes) or zero.item() != 0:
        return None
    if len(live.axes) > len(x.axes) or {f.name for a in live.axes for f in a} != {"batch", "time"}:
        return None
    for k in range(-len(live.axes), 0):
        if live.axes[k] and live.axes[k] != x.axes[k]:
            return None
    return x


_OPERATORS: dict[str, Callable[..., Any]] = {
    "Add": _add,
    "Cast": _cast,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "Identity": _identity,
    "Less": _less,
    "MatMul": _matmul,
    "Mul": _mul,
    "Range": _range,
    "ReduceMean": _reduce_mean,
    "ReduceSum": _reduce_sum,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
}
